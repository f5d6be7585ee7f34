"""The table of routes as configuration of other gateways: NGINX and Kong."""
