"""Every five minutes: start uploads that nobody has begun or finished, forget those that ended long ago."""

from typing import Any

from datapunk.lake.uploads import sweep
from datapunk.schedule import scheduled_function


@scheduled_function("lake.sweep_uploads")
def handler(token: int) -> dict[str, Any]:  # noqa: ARG001 -- what is started twice works once
    """Nothing uploaded is lost, though an event or a worker may be."""
    return sweep()
