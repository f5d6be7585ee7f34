"""The logger: one JSON line per record with the fields every service has.

`timestamp, level, service, message, trace_id, span_id, correlation_id` (specification 003, logging) plus
`operation` and what the call adds. Log identifiers and counts, never payloads.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from functools import cache

import orjson
from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from datapunk.context import current
from datapunk.settings import settings
from datapunk.telemetry.redaction import redact

FIELDS = ("timestamp", "level", "service", "message", "trace_id", "span_id", "correlation_id")
_NO_WORK = dict.fromkeys(("trace_id", "span_id", "correlation_id"), "")
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class _Formatter(LambdaPowertoolsFormatter):
    """Writes a record with the current work's identifiers.

    The whole line is made here and not by the base class, whose merging of keys costs three times as much
    and would be a third of the edge's time for a request.
    """

    def format(self, record: logging.LogRecord) -> str:
        work = current()
        line: dict[str, object] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat("T", "milliseconds"),
            "level": record.levelname,
            "service": work.service if work else "datapunk",
            "message": record.getMessage(),
        }
        if work is None:
            line.update(_NO_WORK)
        else:
            line["trace_id"] = work.trace.trace_id
            line["span_id"] = work.trace.span_id
            line["correlation_id"] = work.correlation_id
            line["operation"] = work.operation
        line |= {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception_name"] = record.exc_info[0].__name__
            line["exception"] = self.formatException(record.exc_info)
        return redact(orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode())


@cache
def logger() -> Logger:
    """Return the process's logger, built on first use.

    Records are made without what no line shows: the place of the call, names of threads and processes
    ("Optimization" in the logging how-to of Python, which names these switches).
    """
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    return Logger(service="datapunk", level=settings().log_level, logger_formatter=_Formatter())
