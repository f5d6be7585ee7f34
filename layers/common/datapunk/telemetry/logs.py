"""The logger: one JSON line per record with the fields every service has.

`timestamp, level, service, message, trace_id, span_id, correlation_id` (specification 003, logging) plus
`operation` and what the call adds. Log identifiers and counts, never payloads.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from datapunk.context import current
from datapunk.settings import settings

FIELDS = ("timestamp", "level", "service", "message", "trace_id", "span_id", "correlation_id")


def _dumps(record: Any) -> str:
    return orjson.dumps(record, default=str).decode()


class _Formatter(LambdaPowertoolsFormatter):
    """Adds the current work's identifiers to every record."""

    def serialize(self, log: Any) -> str:
        work = current()
        if work is not None:
            log["service"] = work.service
            log["operation"] = work.operation
            log["trace_id"] = work.trace.trace_id
            log["span_id"] = work.trace.span_id
            log["correlation_id"] = work.correlation_id
        else:
            for name in ("trace_id", "span_id", "correlation_id"):
                log.setdefault(name, "")
        log.pop("location", None)
        log.pop("xray_trace_id", None)
        return str(super().serialize(log))


@cache
def logger() -> Logger:
    """Return the process's logger, built on first use."""
    formatter = _Formatter(
        json_serializer=_dumps,
        log_record_order=list(FIELDS),
        utc=True,
        use_rfc3339=True,
    )
    return Logger(
        service="datapunk",
        level=settings().log_level,
        logger_formatter=formatter,
    )
