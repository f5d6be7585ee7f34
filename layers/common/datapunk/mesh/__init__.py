"""How one service calls another: breaker, bulkhead, retry, deadline, transports."""

from datapunk.mesh.calling import call_service

__all__ = ["call_service"]
