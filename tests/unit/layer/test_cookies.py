"""Cookies of one host, and what comes back in the Cookie header."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from datapunk.cookies import cookie_name, read_cookie, set_cookie
from datapunk.settings import settings


@pytest.fixture(params=["http://localhost:8080", "https://api.example.com"])
def prefix(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return how names begin where the API speaks HTTP, and where it speaks HTTPS."""
    monkeypatch.setenv("ISSUER", request.param)
    settings.cache_clear()
    yield "__Host-" if request.param.startswith("https") else ""
    settings.cache_clear()


def test_a_cookie_is_for_this_host_and_no_script(prefix: str) -> None:
    # Given / When
    header = set_cookie("value", seconds=60, purpose="csrf")
    # Then
    parts = header.split("; ")
    assert parts[0] == f"{prefix}datapunk-csrf=value"
    assert {"Max-Age=60", "Path=/", "HttpOnly", "SameSite=Lax"} <= set(parts)
    assert ("Secure" in parts) == bool(prefix)
    assert "Domain" not in header


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("{name}=a", "a"),
        ("x=1; {name}=a; y=2", "a"),
        ("x=1;{name}=a.b_c-d", "a.b_c-d"),
        ("{name}=a; {name}=b", None),
        ("x{name}=a", None),
        ("{name}x=a", None),
        ("", None),
    ],
)
def test_a_cookie_is_read_unless_there_are_two(prefix: str, header: str, value: str | None) -> None:
    # Given
    sent = header.format(name=cookie_name())
    # When / Then
    assert read_cookie(sent) == value


def test_no_header_has_no_cookie(prefix: str) -> None:
    # Given / When / Then
    assert read_cookie(None) is None
