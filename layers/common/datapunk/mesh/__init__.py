"""How one service calls another: breaker, bulkhead, retry, deadline, transports."""

from datapunk.mesh.calling import acall_service, call_service

__all__ = ["acall_service", "call_service"]
