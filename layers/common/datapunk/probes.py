"""The edge of a health function: every module answers its probes in the same way."""

from __future__ import annotations

from collections.abc import Sequence

from aws_lambda_powertools.event_handler import Response

from datapunk.guard import Guard
from datapunk.health import Check, Health, Probe, report
from datapunk.http import HttpFunction, LambdaHandler, http_function


def health_function(operation: str, checks: Sequence[Check]) -> tuple[HttpFunction, LambdaHandler]:
    """Return the function that answers `/v1/<module>/health/<probe>` for the operation's module.

    `checks` are what the module depends on. Probes are not limited: who watches must be answered.
    """
    module = operation.partition(".")[0]
    app, handler = http_function(operation, guard=Guard(limited=False))

    @app.get(f"/v1/{module}/health/<probe>", tags=[module])
    def check_health(probe: Probe) -> Response[Health]:
        """Answer a probe: 200 when the module can serve, 503 when a required dependency is down."""
        health = report(module, probe, checks)
        return Response(
            status_code=503 if health.status == "down" else 200,
            content_type="application/json",
            body=health,
            headers={"Cache-Control": "no-store"},
        )

    return app, handler
