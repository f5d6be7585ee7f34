"""POST /v1/lake/rpc/{contract}/{method}: the calls of other services, by invoke too."""

from datapunk.lake.service import SERVICE
from datapunk.rpc import rpc_function

handler = rpc_function("lake.serve_rpc", SERVICE)
