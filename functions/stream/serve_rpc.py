"""POST /v1/stream/rpc/{contract}/{method}: the calls of other services, by invoke too."""

from datapunk.rpc import rpc_function
from datapunk.stream.service import SERVICE

handler = rpc_function("stream.serve_rpc", SERVICE)
