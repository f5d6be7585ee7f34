"""GET /v1/nexus/flags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datapunk.flags.catalogue import FLAGS, LAKE_ROWS_PER_INSERT
from datapunk.settings import settings

from tests.support.invoking import Invoker
from tests.support.rules import OFF, ON, boolean, other, rule, write

pytestmark = pytest.mark.usefixtures("database")
OPERATION = "nexus.list_flags"
ADMIN: dict[str, Any] = {"roles": "admin", "scopes": "read write admin"}


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "flags.json"
    monkeypatch.setenv("FEATURE_FLAGS", f"file:{path}")
    settings.cache_clear()
    return path


def test_where_nothing_is_set_every_flag_has_its_default(invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION)
    # Then
    assert (answer.status, answer.json["next_cursor"]) == (200, None)
    assert [item["name"] for item in answer.json["items"]] == sorted(FLAGS)
    for item in answer.json["items"]:
        assert item["value"] == item["default"]
        assert item["reason"] == "DEFAULT"
        assert item["description"]


def test_values_are_those_of_the_caller(invoke: Invoker, rules: Path) -> None:
    # Given
    only_acme = rule(OFF, ("tenant", "EQUALS", "acme"))
    write(rules, {"lake.ingest": boolean(ON, acme=only_acme), "lake.rows_per_insert": other(9)})
    # When
    found = {
        tenant: {
            item["name"]: (item["value"], item["reason"])
            for item in invoke(OPERATION, tenant=tenant, **ADMIN).json["items"]
        }
        for tenant in ("acme", "other")
    }
    # Then
    assert found["acme"] == {
        "lake.ingest": (False, "TARGETING_MATCH"),
        "lake.rows_per_insert": (9, "STATIC"),
    }
    assert found["other"]["lake.ingest"] == (True, "DEFAULT")


def test_rules_that_cannot_be_read_are_told(invoke: Invoker, rules: Path) -> None:
    # Given no file
    # When
    answer = invoke(OPERATION)
    # Then
    assert answer.status == 200
    assert {item["reason"] for item in answer.json["items"]} == {"ERROR"}
    assert answer.json["items"][1]["value"] == LAKE_ROWS_PER_INSERT.default


def test_who_is_no_administrator_is_refused(invoke: Invoker) -> None:
    # Given / When
    answer = invoke(OPERATION, tenant="acme", roles="editor", scopes="read write")
    # Then
    assert answer.status == 403
