"""What is logged while something runs."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

from datapunk.telemetry import logger


@contextlib.contextmanager
def logged() -> Iterator[io.StringIO]:
    """Yield what is logged in the body, line by line as it would be written."""
    written = io.StringIO()
    stream = logger().handlers[0].setStream(written)  # type: ignore[attr-defined]
    try:
        yield written
    finally:
        logger().handlers[0].setStream(stream)  # type: ignore[attr-defined]
