"""Filter criteria of event source mappings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infrastructure.local.event_sources.filters import Filters, InvalidFilterError

BODY = json.dumps({"kind": "order", "price": 12.5, "tags": ["a", "b"], "address": {"zip": None}})


@pytest.mark.parametrize(
    ("data", "passes"),
    [
        ({}, True),
        ({"kind": ["order"]}, True),
        ({"kind": ["refund", "order"]}, True),
        ({"kind": ["refund"]}, False),
        ({"kind": ["order"], "price": [1]}, False),
        ({"tags": ["b"]}, True),
        ({"address": {"zip": [None]}}, True),
        ({"address": {"street": ["x"]}}, False),
        ({"kind": [{"prefix": "or"}]}, True),
        ({"kind": [{"suffix": "er"}]}, True),
        ({"kind": [{"equals-ignore-case": "ORDER"}]}, True),
        ({"kind": [{"anything-but": ["refund"]}]}, True),
        ({"kind": [{"anything-but": "order"}]}, False),
        ({"price": [{"numeric": [">", 12, "<=", 12.5]}]}, True),
        ({"price": [{"numeric": ["<", 12]}]}, False),
        ({"kind": [{"numeric": ["=", 1]}]}, False),
        ({"missing": [{"exists": False}]}, True),
        ({"missing": [{"exists": True}]}, False),
        ({"kind": [{"exists": True}]}, True),
        ({"$or": [{"kind": ["refund"]}, {"price": [12.5]}]}, True),
        ({"$or": [{"kind": ["refund"]}, {"price": [1]}]}, False),
    ],
)
def test_pattern_over_fields(data: Any, *, passes: bool) -> None:
    assert Filters([json.dumps({"data": data})]).passes(BODY.encode()) is passes


def test_any_of_several_patterns() -> None:
    filters = Filters(['{"data":{"a":[1]}}', '{"data":{"b":[2]}}'])
    assert filters.passes(b'{"b":2}')
    assert not filters.passes(b'{"b":3}')


def test_plain_text() -> None:
    filters = Filters(['{"data":["hello",{"prefix":"bye"}]}'])
    assert filters.passes(b"hello")
    assert filters.passes(b"bye bye")
    assert not filters.passes(b"other")


def test_fields_of_a_body_that_has_none() -> None:
    assert not Filters(['{"data":{"a":[1]}}']).passes(b"no json")


def test_no_filters_pass_everything() -> None:
    assert Filters([]).passes(b"\xff")


@pytest.mark.parametrize(
    "data", [{"a": [{"sounds-like": "b"}]}, {"a": "b"}, {"$or": [{"a": [{"prefix": "x", "y": 1}]}]}]
)
def test_rule_that_is_none(data: Any) -> None:
    with pytest.raises(InvalidFilterError):
        Filters([json.dumps({"data": data})])
