"""Paths and patterns of the router: what matches, what counts more, what is refused."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from datapunk.errors import InvalidInputError, NotFoundError
from datapunk.nexus.routing.paths import Path, fill, read_path, read_pattern
from datapunk.nexus.routing.rules import Route, RouteRule
from datapunk.nexus.routing.table import Table
from hypothesis import given
from hypothesis import strategies as st

SEGMENTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\;"), min_size=1
).filter(lambda text: text not in (".", ".."))


@pytest.mark.parametrize(
    ("pattern", "path", "parameters"),
    [
        ("/", "", {}),
        ("/", "/", {}),
        ("/a/b", "a/b", {}),
        ("/a/{id}", "a/7", {"id": "7"}),
        ("/a/{id}/c", "a/x%20y/c", {"id": "x%20y"}),
        ("/a/{rest+}", "a/b/c/", {"rest": "b/c/"}),
        ("/a/{rest+}", "a", None),
        ("/a", "a/b", None),
        ("/a/b", "a", None),
        ("/A", "a", None),
    ],
)
def test_patterns(pattern: str, path: str, parameters: dict[str, str] | None) -> None:
    # Given / When / Then
    assert read_pattern(pattern).match(read_path(path)) == parameters


@pytest.mark.parametrize(
    "pattern", ["a", "/a/..", "/{x+}/b", "/{x}/{x}", "/a b", "/{X}", "/a%20b", "/a;b", "//a"]
)
def test_what_is_no_pattern(pattern: str) -> None:
    # Given / When / Then
    with pytest.raises(ValueError):
        read_pattern(pattern)


def _table(**paths: str) -> Table:
    rules = {name: RouteRule(service="s", path=path) for name, path in paths.items()}
    return Table.of(
        1,
        [
            Route.model_validate(
                {
                    "name": name,
                    "version": 1,
                    "rule": rule,
                    "changed_at": "2026-11-28T00:00:00Z",
                    "changed_by": "user:1",
                }
            )
            for name, rule in rules.items()
        ],
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b", "literal"),
        ("a/c", "parameter"),
        ("a/c/d", "rest"),
        ("x", "all"),
        ("b/b", "second"),
        ("b/c", "all"),
    ],
)
def test_the_more_literal_rule_counts(path: str, name: str) -> None:
    # Given
    table = _table(
        all="/{all+}",
        rest="/a/{rest+}",
        parameter="/a/{id}",
        literal="/a/b",
        second="/{first}/b",
    )
    # When / Then
    assert table.find("s", "GET", read_path(path)).name == name


def test_what_no_rule_matches_is_not_found() -> None:
    # Given
    table = _table(one="/a")
    # When / Then
    for service, path in (("s", "b"), ("other", "a"), ("s", "")):
        with pytest.raises(NotFoundError):
            table.find(service, "GET", read_path(path))


@given(segments=st.lists(SEGMENTS, max_size=6), slash=st.booleans())
def test_a_path_is_written_as_it_was_understood(
    segments: list[str],
    slash: bool,  # noqa: FBT001
) -> None:
    # Given
    raw = "/".join(quote(segment, safe="") for segment in segments) + ("/" if slash else "")
    # When
    path = read_path(raw)
    # Then
    assert path.segments == tuple(segments)
    assert read_path(str(path)).segments == path.segments
    assert [unquote(part) for part in str(path).split("/") if part] == segments
    rest = read_pattern("/{path+}").match(path)
    assert rest is None if not segments else fill("/v2/{path+}", rest or {}) == f"/v2{path}"


@given(raw=st.text(max_size=40))
def test_no_path_climbs_or_hides_a_segment(raw: str) -> None:
    # Given whatever somebody sends
    try:
        path = read_path(raw)
    except InvalidInputError:
        return
    # When
    written = str(path)
    # Then no server can read another path in it
    assert written.startswith("/")
    assert written.isascii()
    assert "//" not in written
    assert not {".", ".."} & set(written.split("/"))
    decoded = [unquote(part) for part in written.strip("/").split("/") if part]
    assert tuple(decoded) == path.segments
    assert not any(set(segment) & set("/\\;\x00\r\n") for segment in decoded)


def test_a_path_without_segments_is_a_slash() -> None:
    # Given / When / Then
    assert str(Path(())) == "/"
