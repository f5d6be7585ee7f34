"""Every minute: probe registered targets every 5 s until the next minute, and publish what changes."""

from typing import Any

from datapunk.nexus.registry.probing import probe_for
from datapunk.schedule import scheduled_function

RUN = 57.0
"""Seconds of a run: its last round begins 5 s before the next run's first."""


@scheduled_function("nexus.probe_targets")
def handler(token: int) -> dict[str, Any]:  # noqa: ARG001 -- the lease lets one run at a time
    """Say how many rounds and probes there were, how many failed and how many events that made."""
    return dict(probe_for(RUN))
