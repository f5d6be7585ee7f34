"""Logs, metrics and traces: one face for all functions (Powertools inside)."""

from datapunk.telemetry.logs import logger
from datapunk.telemetry.metrics import count, observe
from datapunk.telemetry.traces import span

__all__ = ["count", "logger", "observe", "span"]
