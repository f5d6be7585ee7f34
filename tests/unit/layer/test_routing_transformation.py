"""What rules change in requests and answers, and what no rule can."""

from __future__ import annotations

import json
from typing import Any

import pytest
from datapunk.nexus.routing.messages import Answer, Request
from datapunk.nexus.routing.rules import ResponseChanges, RouteRule
from datapunk.nexus.routing.transformation import change_answer, change_request, find_value
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

NAMES = st.sampled_from(
    ["accept", "cookie", "authorization", "x-a", "x-b", "connection", "te", "x-tenant", "host"]
)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=12)
OWN = st.sampled_from(["x-a", "x-b", "x-c", "accept"])
QUERY = st.lists(st.tuples(st.sampled_from("abc"), VALUES), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(
    headers=HEADERS,
    query=QUERY,
    set_headers=st.dictionaries(OWN, VALUES, max_size=3),
    remove_headers=st.lists(OWN, max_size=3),
    set_query=st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=3),
    remove_query=st.lists(st.sampled_from("abcd"), max_size=3),
)
def test_a_request_has_what_the_rule_sets_and_nothing_that_it_removes(
    headers: list[tuple[str, str]],
    query: list[tuple[str, str]],
    set_headers: dict[str, str],
    remove_headers: list[str],
    set_query: dict[str, str],
    remove_query: list[str],
) -> None:
    # Given
    changes = {
        "set_headers": set_headers,
        "remove_headers": remove_headers,
        "set_query": set_query,
        "remove_query": remove_query,
    }
    rule = RouteRule.model_validate({"service": "s", "request": changes})
    # When
    changed = change_request(Request("GET", "/x", query, headers), rule, {"path": "x"})
    # Then
    names = [name for name, _ in changed.headers]
    assert not {"cookie", "authorization", "connection", "te", "x-tenant", "host"} & set(names)
    for name, value in set_headers.items():
        assert [v for n, v in changed.headers if n == name] == [value]
    for name in set(remove_headers) - set(set_headers):
        assert name not in names
    for name, value in set_query.items():
        assert [v for n, v in changed.query if n == name] == [value]
    assert not {name for name, _ in changed.query} & (set(remove_query) - set(set_query))
    untouched = {*set_query, *remove_query}
    assert [p for p in changed.query if p[0] not in untouched] == [
        p for p in query if p[0] not in untouched
    ]
    assert (changed.path, changed.method) == ("/x", "GET")


@given(document=JSON)
def test_every_place_in_a_document_has_its_pointer(document: Any) -> None:
    # Given all the places
    def places(value: Any, pointer: str) -> Any:
        yield pointer, value
        if isinstance(value, dict):
            for name, inner in value.items():
                part = name.replace("~", "~0").replace("/", "~1")
                yield from places(inner, f"{pointer}/{part}")
        elif isinstance(value, list):
            for number, inner in enumerate(value):
                yield from places(inner, f"{pointer}/{number}")

    # When / Then
    for pointer, value in places(document, ""):
        assert find_value(document, pointer) == (True, value)
    assert find_value(document, "/not there/at all") == (False, None)


def _mapped(answer: Answer) -> Answer:
    fields = {"id": "/data/id", "first": "/list/0", "gone": "/nothing"}
    return change_answer(answer, ResponseChanges(fields=fields))


def test_a_json_answer_is_mapped() -> None:
    # Given
    body = json.dumps({"data": {"id": 7, "secret": 1}, "list": ["x"]}).encode()
    answer = Answer(200, [("content-type", "application/json"), ("etag", '"1"')], body)
    # When
    changed = _mapped(answer)
    # Then what describes the body that was there is gone with it
    assert json.loads(changed.body) == {"id": 7, "first": "x"}
    assert changed.header("etag") == ""


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, [("content-type", "text/html")], b"<p>"),
        Answer(404, [("content-type", "application/json")], b"{}"),
        Answer(200, [("content-type", "application/json")], b"{broken"),
        Answer(200, [("content-type", "application/json")], b"[" + b"1," * 600_000 + b"1]"),
    ],
    ids=["no json", "no success", "broken", "large"],
)
def test_what_cannot_be_mapped_passes_as_it_is(answer: Answer) -> None:
    # Given / When / Then
    assert _mapped(answer).body == answer.body


@pytest.mark.parametrize(
    "part",
    [
        {"request": {"set_headers": {"Authorization": "x"}}},
        {"request": {"set_headers": {"X-Tenant": "x"}}},
        {"request": {"set_headers": {"X-Forwarded-For": "x"}}},
        {"request": {"set_headers": {"Host": "x"}}},
        {"request": {"set_headers": {"x-a": "b\r\nx-c: d"}}},
        {"request": {"set_headers": {"x a": "b"}}},
        {"response": {"set_headers": {"Transfer-Encoding": "chunked"}}},
        {"response": {"fields": {"id": "no pointer"}}},
        {"rewrite": "/{other}"},
        {"rewrite": "/../x"},
        {"path": "no slash"},
        {"methods": ["GET", "GET"]},
        {"methods": ["TRACE"]},
        {"methods": ["POST"], "cache": {"ttl_seconds": 1}},
        {"canary": {"percent": 10}},
        {"canary": {"percent": 10, "tag": "a", "version": "b"}},
        {"shadow": {"target": "s"}},
        {"timeout": "forever"},
        {"timeout_seconds": 281},
        {"retries": 6},
        {"forward_credentials": True},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_rule_that_makes_no_sense_is_refused(part: dict[str, Any]) -> None:
    # Given / When / Then
    with pytest.raises(ValidationError):
        RouteRule.model_validate({"service": "s", **part})
