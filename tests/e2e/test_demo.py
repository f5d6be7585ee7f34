"""The demo, run as `make demo` runs it."""

from __future__ import annotations

import re

from tests.e2e.clone import Clone

PNG = b"\x89PNG\r\n\x1a\n"
STEPS = ("create dataset", "insert rows", "query yearly means", "event through RabbitMQ", "draw")


def test_the_demo_succeeds_again_and_again(platform: Clone) -> None:
    # When
    first, again = platform.run("demo"), platform.run("demo")
    # Then
    for done in (first, again):
        assert done.returncode == 0, done.stdout
        assert [step for step in STEPS if f"✓ {step}" not in done.stdout] == []
        assert re.search(r"^ +1958 +315\.\d\d +\d+  █", done.stdout, re.MULTILINE)
        assert f"curl '{platform.endpoints['api']}/v1/lake/datasets/co2_weekly" in done.stdout
    assert "2,284 rows" in first.stdout
    assert "are there already" in again.stdout
    assert (platform.paths.state / "demo" / "co2.png").read_bytes().startswith(PNG)


def test_the_demo_fails_when_it_does_not_find_its_own_rows(platform: Clone) -> None:
    # Given
    records = "/v1/lake/datasets/co2_weekly/records"
    platform.run("demo")
    row = [{"week": "1900-01-01", "year": 1900, "ppm": 290.0}]
    assert platform.api.post(records, row).status == 201
    # When
    done = platform.run("demo")
    # Then
    assert done.returncode == 1
    assert "✗ insert rows" in done.stdout
    assert "holds 2,285 rows instead of 2,284" in done.stdout
    assert "Traceback" not in done.stdout
