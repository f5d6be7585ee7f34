"""Which route a path belongs to."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.local.catalog import Route
from infrastructure.local.data_plane.routing import Router

PATHS = (
    "/",
    "/a",
    "/a/b",
    "/a/{x}",
    "/a/{x}/c",
    "/{y}/b/d",
    "/files/{proxy+}",
    "/files/{id}",
)
ROUTER = Router(
    [
        *(Route(method="GET", path=path, function=path) for path in PATHS),
        Route(method="ANY", path="/any/{proxy+}", function="any"),
        Route(method="POST", path="/any/one", function="one"),
    ]
)


def find(path: str, method: str = "GET") -> tuple[str, dict[str, str] | None] | None:
    match = ROUTER.find(method, path)
    return (match.route.path, match.parameters) if match else None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ("/", None)),
        ("/a", ("/a", None)),
        ("/a/", ("/a", None)),
        ("/a/b", ("/a/b", None)),
        ("/a/z", ("/a/{x}", {"x": "z"})),
        ("/a/b/c", ("/a/{x}/c", {"x": "b"})),
        ("/a/b/d", ("/{y}/b/d", {"y": "a"})),
        ("/files/1", ("/files/{id}", {"id": "1"})),
        ("/files/1/2%2F3", ("/files/{proxy+}", {"proxy": "1/2/3"})),
        ("/files", None),
        ("/nothing", None),
        ("/a/b/c/d", None),
        ("/a//c", None),
    ],
)
def test_best_route(path: str, expected: tuple[str, dict[str, str] | None] | None) -> None:
    assert find(path) == expected


def test_method_decides_between_branches() -> None:
    assert find("/any/one", "POST") == ("/any/one", None)
    assert find("/any/one", "GET") == ("/any/{proxy+}", {"proxy": "one"})
    assert find("/a", "PUT") is None


@given(st.text(min_size=1).filter(lambda text: text != "b"))
def test_parameter_keeps_any_text(text: str) -> None:
    """Whatever a client encodes properly arrives as it was."""
    assert find(f"/a/{quote(text, safe='', errors='replace')}") == (
        "/a/{x}",
        {"x": text.encode(errors="replace").decode()},
    )
