"""Which answers are kept, for how long, and for whom."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk.identity import Caller
from datapunk.nexus.routing.messages import Answer, Request
from datapunk.nexus.routing.response_cache import Place, find, keep, lifetime, place_of
from datapunk.nexus.routing.rules import CacheRule

ANN = Caller("user:ann", "acme", ("viewer",), ("read",))
RULE = CacheRule(ttl_seconds=60, vary=["accept-language"])


def _place(rule: CacheRule = RULE, caller: Caller = ANN, **request: object) -> Place | None:
    asked = Request(**{"method": "GET", "path": "/x", **request})  # type: ignore[arg-type]
    return place_of("rule", 1, rule, asked, caller)


def _key(rule: CacheRule = RULE, caller: Caller = ANN, **request: object) -> str:
    place = _place(rule, caller, **request)
    assert place is not None
    return place.key


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "POST"},
        {"method": "HEAD"},
        {"body": b"x"},
        {"headers": [("range", "bytes=0-1")]},
        {"headers": [("cache-control", "no-store")]},
    ],
    ids=str,
)
def test_what_is_never_kept(request_: dict[str, Any]) -> None:
    # Given / When / Then
    assert _place(**request_) is None


@pytest.mark.parametrize(
    ("headers", "status", "scope", "seconds"),
    [
        ({}, 200, "tenant", 60),
        ({"cache-control": "max-age=10"}, 200, "tenant", 10),
        ({"cache-control": "max-age=10, s-maxage=20"}, 200, "tenant", 20),
        ({"cache-control": "max-age=600"}, 200, "tenant", 60),
        ({"cache-control": "max-age=10", "age": "4"}, 200, "tenant", 6),
        ({"cache-control": "max-age=soon"}, 200, "tenant", 0),
        ({"cache-control": "No-Store"}, 200, "tenant", 0),
        ({"cache-control": "no-cache"}, 200, "tenant", 0),
        ({"cache-control": "private, max-age=9"}, 200, "tenant", 0),
        ({"cache-control": "private, max-age=9"}, 200, "caller", 9),
        ({"set-cookie": "a=b"}, 200, "tenant", 0),
        ({"vary": "Accept-Language"}, 200, "tenant", 60),
        ({"vary": "Accept-Language, Cookie"}, 200, "tenant", 0),
        ({"vary": "*"}, 200, "tenant", 0),
        ({}, 404, "tenant", 60),
        ({}, 206, "tenant", 0),
        ({}, 302, "tenant", 0),
        ({}, 500, "tenant", 0),
    ],
)
def test_how_long_an_answer_is_kept(
    headers: dict[str, str], status: int, scope: str, seconds: int
) -> None:
    # Given
    rule = RULE.model_copy(update={"scope": scope})
    # When / Then
    assert lifetime(rule, Answer(status, list(headers.items()))) == seconds


def test_who_shares_an_answer() -> None:
    # Given colleagues with the same rights, one with more, and somebody of another tenant
    bob = Caller("user:bob", "acme", ("viewer",), ("read",))
    chief = Caller("user:eve", "acme", ("admin",), ("read", "write", "admin"))
    other = Caller("user:bob", "umbrella", ("viewer",), ("read",))
    callers = (ANN, bob, chief, other)
    # When
    keys = {
        scope: [_key(RULE.model_copy(update={"scope": scope}), caller) for caller in callers]
        for scope in ("public", "tenant", "caller")
    }
    # Then
    assert len(set(keys["public"])) == 1
    assert keys["tenant"][0] == keys["tenant"][1]
    assert len(set(keys["tenant"])) == 3
    assert len(set(keys["caller"])) == 4


def test_what_an_answer_depends_on() -> None:
    # Given
    english = [("accept-language", "en")]
    # When
    keys = [
        _key(headers=english),
        _key(headers=[("accept-language", "de")]),
        _key(headers=english, path="/y"),
        _key(headers=english, query=[("a", "1")]),
        _key(headers=[*english, ("accept", "text/csv")]),
    ]
    # Then
    assert len(set(keys)) == 5
    assert _key(headers=[*english, ("x-other", "1")]) == keys[0]
    assert _key(query=[("a", "1"), ("b", "2")]) == _key(query=[("b", "2"), ("a", "1")])


def test_an_answer_is_found_with_its_age(environment: None) -> None:
    # Given
    place = _place(path=f"/{id(object())}")
    assert place is not None
    asked = Request("GET", "/x")
    answer = Answer(200, [("content-type", "image/png")], bytes(range(256)))
    assert find(place, asked) is None
    # When
    keep(place, answer, answer)
    found = find(place, asked)
    # Then
    assert found is not None
    assert (found.status, found.body, list(found.headers)) == (200, answer.body, answer.headers)
    assert found.notes == {"X-Cache": "HIT", "Age": "0"}
    fresh = Request("GET", "/x", headers=[("cache-control", "no-cache")])
    assert find(place, fresh) is None


def test_without_redis_nothing_is_kept_and_nothing_fails(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    place = _place()
    assert place is not None
    # When
    keep(place, Answer(200), Answer(200))
    # Then
    assert find(place, Request("GET", "/x")) is None
