"""How one service calls another: breaker, bulkhead, retry, deadline, transports."""
