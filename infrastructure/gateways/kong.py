"""A declarative configuration for Kong: the routes of the table over several gateways of the platform."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from datapunk.limits import DEFAULT

from infrastructure.gateways.routes import Route

FORMAT = "3.0"
_UPSTREAM = "gateways"
_MILLI = 1_000
_INTERVAL = 5
_TIMEOUT = 3
_THRESHOLD = 3
_HEALTH = "/v1/nexus/health/live"
_LARGEST_MEGABYTES = 6


def build_kong(routes: Sequence[Route], gateways: Iterable[str]) -> dict[str, Any]:
    """Return the configuration in Kong's declarative format for gateways at `host:port`."""
    ordered = sorted(routes, key=lambda route: route.operation)
    return {
        "_format_version": FORMAT,
        "upstreams": [
            {
                "name": _UPSTREAM,
                "algorithm": "round-robin",
                "targets": [{"target": gateway, "weight": 100} for gateway in gateways],
                "healthchecks": {"active": _probe()},
            }
        ],
        "services": [
            _service(operation, list(group))
            for operation, group in groupby(ordered, key=lambda route: route.operation)
        ],
        "plugins": [
            {
                "name": "rate-limiting",
                "config": {
                    "minute": DEFAULT.quota * 60 // DEFAULT.window,
                    "limit_by": "ip",
                    "policy": "local",
                },
            },
            {
                "name": "correlation-id",
                "config": {"header_name": "X-Correlation-Id", "generator": "uuid"},
            },
            {
                "name": "request-size-limiting",
                "config": {"allowed_payload_size": _LARGEST_MEGABYTES, "size_unit": "megabytes"},
            },
        ],
    }


def _service(operation: str, routes: list[Route]) -> dict[str, Any]:
    """Return a service per operation: time limits are a service's in Kong."""
    milliseconds = (max(route.seconds for route in routes) + 1) * _MILLI
    return {
        "name": operation,
        "host": _UPSTREAM,
        "protocol": "http",
        "port": 80,
        "connect_timeout": 2 * _MILLI,
        "read_timeout": milliseconds,
        "write_timeout": milliseconds,
        # Kong repeats a request whatever its method.
        "retries": 0,
        "routes": [
            {
                "name": route.name,
                "methods": [route.method],
                "paths": [f"~{route.pattern}$"],
                "regex_priority": route.weight,
                "strip_path": False,
                "preserve_host": True,
                "protocols": ["http", "https"],
            }
            for route in routes
        ],
    }


def _probe() -> dict[str, Any]:
    return {
        "type": "http",
        "http_path": _HEALTH,
        "timeout": _TIMEOUT,
        "healthy": {"interval": _INTERVAL, "successes": _THRESHOLD},
        "unhealthy": {
            "interval": _INTERVAL,
            "http_failures": _THRESHOLD,
            "tcp_failures": _THRESHOLD,
            "timeouts": _THRESHOLD,
        },
    }
