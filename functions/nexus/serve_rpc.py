"""POST /v1/nexus/rpc/{contract}/{method}: the calls of other services, by invoke too."""

from datapunk.nexus.service import SERVICE
from datapunk.rpc import rpc_function

handler = rpc_function("nexus.serve_rpc", SERVICE)
