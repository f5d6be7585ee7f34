"""The router for registered services: rules, instances, retries, and what outlasts the gateway."""
