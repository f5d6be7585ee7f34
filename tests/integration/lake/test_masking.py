"""Masks by role: the same row, as each caller is shown it, in both faces."""

from __future__ import annotations

import re
from typing import Any

import pytest
from datapunk.lake.privacy.declared import Mask, Masking
from datapunk.lake.privacy.masks import masked, partial, token
from hypothesis import given
from hypothesis import strategies as st

from tests.support.invoking import Answer, Invoker

MASKING = {"roles": {"admin": "clear", "editor": "partial", "viewer": "hash"}, "others": "full"}
CARD = "4111 1111 1111 1111"
DEFINITION: dict[str, Any] = {
    "name": "accounts",
    "key": ["id"],
    "columns": [
        {"name": "id", "type": "integer"},
        {"name": "email", "type": "text", "protection": "encrypted", "masking": MASKING},
        {"name": "card", "type": "text", "masking": MASKING},
        {
            "name": "owner",
            "type": "text",
            "masking": {"roles": {"admin": "clear"}, "others": "tokenise"},
        },
        {"name": "score", "type": "integer", "masking": {"roles": {"admin": "clear"}}},
    ],
}
ROW = {"id": 1, "email": "ann@example.com", "card": CARD, "owner": "Ann Lee-42", "score": 7}


@pytest.fixture
def accounts(database: str, no_broker: None, invoke: Invoker) -> None:
    """Make a dataset of accounts with two rows that share their values."""
    answer = invoke("lake.create_dataset", body=DEFINITION)
    assert answer.status == 201, answer.body
    rows = [ROW, ROW | {"id": 2}]
    answer = invoke(
        "lake.insert_records",
        path={"dataset": "accounts"},
        body=rows,
        content_type="application/json",
    )
    assert answer.status == 201, answer.body


def _read(
    invoke: Invoker, roles: str, operation: str = "lake.query_records", **query: str
) -> Answer:
    return invoke(
        operation,
        method="GET",
        path={"dataset": "accounts"},
        query=query,
        headers={"Accept": "application/json", "Prefer": ""},
        tenant="public",
        roles=roles,
    )


def _rows(invoke: Invoker, roles: str) -> list[dict[str, Any]]:
    plain: list[dict[str, Any]] = _read(invoke, roles, order="id").json["items"]
    through_rest = _read(invoke, roles, "lake.read_rest", order="id").json
    assert plain == through_rest
    return plain


@pytest.mark.usefixtures("accounts")
def test_each_role_is_shown_its_own(invoke: Invoker) -> None:
    # When
    admin, editor, viewer = (_rows(invoke, role) for role in ("admin", "editor", "viewer"))
    both, auditor = _rows(invoke, "viewer editor"), _rows(invoke, "viewer auditor")
    # Then
    assert admin[0] == ROW
    assert editor[0]["email"] == "a***@example.com"
    assert editor[0]["card"] == "**** **** **** 1111"
    assert both == editor
    assert auditor == viewer
    assert re.fullmatch("[a-z2-7]{32}", viewer[0]["card"])
    assert viewer[0]["card"] == viewer[1]["card"]
    assert viewer[0]["score"] is None
    assert re.fullmatch("[A-Z][a-z]{2} [A-Z][a-z]{2}-[0-9]{2}", viewer[0]["owner"])
    assert viewer[0]["owner"] == viewer[1]["owner"]


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(
    "query",
    [
        {"card": f"eq.{CARD}"},
        {"score": "gt.5"},
        {"order": "score"},
        {"select": "score.max()"},
        {"select": "score,count()"},
        {"owner": "in.(a,b)"},
    ],
)
def test_a_masked_column_is_no_way_to_its_values(invoke: Invoker, query: dict[str, str]) -> None:
    # When
    refused = [
        _read(invoke, "viewer", operation, **query).status
        for operation in ("lake.query_records", "lake.read_rest")
    ]
    allowed = _read(invoke, "admin", **query)
    # Then
    assert refused == [422, 400]
    assert allowed.status == 200, allowed.body


@pytest.mark.usefixtures("accounts")
def test_masks_change_as_a_version(invoke: Invoker) -> None:
    # When
    change = {"op": "set_masking", "column": "card", "masking": None}
    refused, changed = (
        invoke(
            "lake.change_dataset",
            path={"dataset": "accounts"},
            body={"changes": [change]},
            tenant="public",
            roles=role,
            scopes="read write",
        )
        for role in ("editor", "admin editor")
    )
    # Then
    assert refused.status == 403, "whoever is shown a mask cannot lift it"
    assert changed.status == 200, changed.body
    shown = _rows(invoke, "viewer")[0]
    assert shown["card"] == CARD
    assert shown["email"] != ROW["email"]


@pytest.mark.parametrize(
    "column",
    [
        {"name": "n", "type": "integer", "masking": {"others": "partial"}},
        {"name": "n", "type": "date", "masking": {"roles": {"viewer": "hash"}}},
        {"name": "n", "type": "text", "searchable": True},
        {"name": "n", "type": "text", "protection": "encrypted", "default": "x"},
        {"name": "n", "type": "json", "protection": "encrypted", "searchable": True},
    ],
)
def test_what_makes_no_sense_is_refused(
    database: str, invoke: Invoker, column: dict[str, Any]
) -> None:
    # When
    body = {"name": "t", "columns": [{"name": "id", "type": "integer"}, column], "key": ["id"]}
    answer = invoke("lake.create_dataset", body=body)
    # Then
    assert answer.status == 422, answer.body


@given(st.text())
def test_masks_tell_less_than_the_text(text: str) -> None:
    shown = partial(text)
    assert len(token(text, b"k")) >= len(text)
    assert token(text, b"k") == token(text, b"k")
    assert masked(Mask.FULL, text, b"", b"") is None
    assert masked(Mask.HASH, text, b"a", b"") != masked(Mask.HASH, text, b"b", b"")
    if "@" not in text and any(map(str.isalnum, text)):
        assert shown != text
        assert sum(a == b for a, b in zip(text, shown, strict=True) if a.isalnum()) * 4 <= len(text)


def test_the_clearest_of_several_roles_counts() -> None:
    masking = Masking(roles={"a": Mask.HASH, "b": Mask.PARTIAL}, others=Mask.FULL)
    assert masking.of(("a", "b", "c")) is Mask.PARTIAL
    assert masking.of(()) is Mask.FULL
