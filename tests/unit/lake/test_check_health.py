"""lake.check_health: up while PostgreSQL answers."""

from __future__ import annotations

import pytest

from tests.support.invoking import Invoker

OPERATION = "lake.check_health"


def test_the_sample_is_up(database: str, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION)
    # Then
    assert (answer.status, answer.json["status"], answer.json["service"]) == (200, "up", "lake")
    assert [(check["name"], check["status"]) for check in answer.json["checks"]] == [
        ("postgresql", "up")
    ]
    assert answer.headers["cache-control"] == "no-store"


def test_without_postgresql_it_is_down(
    environment: None, monkeypatch: pytest.MonkeyPatch, invoke: Invoker
) -> None:
    # Given
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:1/none")
    # When
    answer = invoke(OPERATION)
    # Then
    assert (answer.status, answer.json["status"]) == (503, "down")
    (check,) = answer.json["checks"]
    assert (check["status"], check["required"]) == ("down", True)
    assert "nothing" not in answer.body


def test_it_lives_without_anything(environment: None, invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION, path={"probe": "live"})
    # Then
    assert (answer.status, answer.json["status"], answer.json["checks"]) == (200, "up", [])


@pytest.mark.parametrize("probe", ["", "other", "READY", "ready'--"])
def test_another_probe_is_refused(environment: None, invoke: Invoker, probe: str) -> None:
    # Given / When
    answer = invoke(OPERATION, path={"probe": probe})
    # Then
    assert answer.status in (404, 422)
