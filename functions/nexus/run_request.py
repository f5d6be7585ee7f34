"""Invoked by nexus.route and nexus.sweep_requests: complete an accepted request, or send a copy of one."""

from typing import Any
from uuid import UUID

from datapunk.deployment import operator_function
from datapunk.nexus.routing.router import run_accepted, run_shadow
from datapunk.telemetry import logger
from pydantic import BaseModel


class Work(BaseModel):
    """What is to be done: an accepted request by its id, or a copy as it is."""

    request: UUID | None = None
    shadow: dict[str, Any] | None = None


class Done(BaseModel):
    """What became of it."""

    outcome: str


@operator_function("nexus.run_request")
def handler(wanted: Work) -> Done:
    """Send it; the answer to a request is kept for its sender, that to a copy is dropped."""
    if wanted.request is not None:
        done = Done(outcome=run_accepted(wanted.request))
    elif wanted.shadow is not None:
        done = Done(outcome=run_shadow(wanted.shadow))
    else:
        done = Done(outcome="nothing")
    logger().info("run", extra={"outcome": done.outcome})
    return done
