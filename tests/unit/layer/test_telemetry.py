"""Logs and metrics as they leave a function."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator

import pytest
from datapunk.context import Trace, WorkContext, working
from datapunk.telemetry import count, logger, observe, span
from datapunk.telemetry.logs import FIELDS

WORK = WorkContext("lake.get_dataset", "order-1", Trace("a" * 32, "b" * 16), time.monotonic() + 60)


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logger().handlers[0]
    before = handler.setStream(stream)  # type: ignore[attr-defined]
    yield stream
    handler.setStream(before)  # type: ignore[attr-defined]


def test_a_record_is_one_json_line_with_the_required_fields(written: io.StringIO) -> None:
    # Given
    with working(WORK):
        # When
        logger().info("two\nlines", extra={"rows": 3})
    # Then
    (line,) = written.getvalue().splitlines()
    record = json.loads(line)
    assert tuple(record)[: len(FIELDS) - 3] == FIELDS[: len(FIELDS) - 3]
    assert set(FIELDS) <= set(record)
    assert (record["service"], record["operation"]) == ("lake", "lake.get_dataset")
    assert record["trace_id"] == "a" * 32
    assert record["span_id"] == "b" * 16
    assert record["correlation_id"] == "order-1"
    assert (record["level"], record["message"], record["rows"]) == ("INFO", "two\nlines", 3)


def test_outside_of_any_work_the_fields_are_there_too(written: io.StringIO) -> None:
    # Given / When
    logger().warning("alone")
    # Then
    record = json.loads(written.getvalue())
    assert set(FIELDS) <= set(record)
    assert (record["service"], record["trace_id"]) == ("datapunk", "")


def test_an_exception_is_part_of_its_line(written: io.StringIO) -> None:
    # Given
    try:
        raise KeyError("missing")  # noqa: TRY301 -- what the test is about
    except KeyError:
        # When
        logger().exception("failed")
    # Then
    (line,) = written.getvalue().splitlines()
    record = json.loads(line)
    assert record["exception_name"] == "KeyError"
    assert "Traceback" in record["exception"]


def test_a_timestamp_is_rfc_3339_in_utc(written: io.StringIO) -> None:
    # Given / When
    logger().info("now")
    # Then
    assert json.loads(written.getvalue())["timestamp"].endswith("+00:00")


def test_a_metric_is_a_line_of_the_embedded_format(capsys: pytest.CaptureFixture[str]) -> None:
    # Given / When
    observe("request_duration_seconds", 0.25, service="lake", endpoint="GET /x", status="200")
    count("error_rate_total", service="lake", error_type="conflict")
    # Then
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    (directive,) = first["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "datapunk"
    assert directive["Dimensions"] == [["service", "endpoint", "status"]]
    assert directive["Metrics"] == [{"Name": "request_duration_seconds", "Unit": "Seconds"}]
    assert first["request_duration_seconds"] == 0.25
    assert (first["service"], first["status"]) == ("lake", "200")
    assert second["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [
        {"Name": "error_rate_total", "Unit": "Count"}
    ]
    assert second["error_rate_total"] == 1


def test_without_a_trace_daemon_a_span_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    monkeypatch.delenv("AWS_XRAY_DAEMON_ADDRESS", raising=False)
    done = []
    # When
    with span("query", table="x"):
        done.append(1)
    # Then
    assert done
