"""The router for registered services: rules, instances, retries, and what takes longer than the gateway waits."""
