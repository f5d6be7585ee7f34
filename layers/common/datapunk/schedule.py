"""The edge of a scheduled function: one run at a time, by a lease with a fencing token.

A schedule is at-least-once: two runs may overlap when one is slow or an event arrives twice. The lease
lets one of them work; the other reports that it was skipped. The token grows with every holder, so that a
write of a holder that lost its lease unnoticed can be refused by comparing tokens.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datapunk.context import WorkContext, continue_correlation, continue_trace, deadline_of, working
from datapunk.database import load_queries, transaction
from datapunk.errors import UnavailableError
from datapunk.identity import Caller
from datapunk.telemetry import logger, observe

_SQL = Path(__file__).with_suffix(".sql")
_GRACE = 1.0
_NO_LEASE = 0
"""The token of a run without a lease; those of leases are positive."""

Run = Callable[[int], dict[str, Any]]
LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]


def scheduled_function(operation: str, *, harmless: bool = False) -> Callable[[Run], LambdaHandler]:
    """Turn `run(fencing_token)` into the Lambda handler of a schedule.

    A harmless run may overlap with another: without a database to lease from it goes on, with the token 0.
    """

    def decorate(run: Run) -> LambdaHandler:
        @functools.wraps(run)
        def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
            started = time.perf_counter()
            work = WorkContext(
                operation=operation,
                correlation_id=continue_correlation(str(event.get("id", ""))),
                trace=continue_trace(None, None),
                deadline=deadline_of(context),
                caller=Caller(principal=operation),
            )
            with working(work):
                try:
                    token = _take(operation, context.aws_request_id, work.remaining() + _GRACE)
                except UnavailableError:
                    if not harmless:
                        raise
                    token = _NO_LEASE
                if token is None:
                    logger().info("run skipped: another one is at work")
                    return {"skipped": True}
                try:
                    outcome = run(token)
                finally:
                    if token != _NO_LEASE:
                        _release(operation, token)
                elapsed = time.perf_counter() - started
                observe("run_duration_seconds", elapsed, service=work.service, operation=operation)
                logger().info("run", extra=outcome)
                return outcome

        return handler

    return decorate


def _take(name: str, holder: str, seconds: float) -> int | None:
    with transaction() as tx:
        token = tx.value(
            load_queries(_SQL)["take"], {"name": name, "holder": holder, "seconds": seconds}
        )
    return None if token is None else int(token)


def _release(name: str, token: int) -> None:
    with transaction() as tx:
        tx.execute(load_queries(_SQL)["release"], {"name": name, "token": token})
