"""nexus.describe_issuer: clients configure themselves from it."""

from __future__ import annotations

import pytest

from tests.support.invoking import Invoker
from tests.support.invoking import answer as run
from tests.support.samples import FUNCTIONS, http_event

pytestmark = pytest.mark.usefixtures("environment")


def test_both_addresses_describe_one_server(invoke: Invoker) -> None:
    # Given
    event = http_event("nexus.describe_issuer")
    event["path"] = event["resource"] = "/.well-known/oauth-authorization-server"
    # When
    openid, oauth = invoke("nexus.describe_issuer"), run("nexus.describe_issuer", event)
    # Then
    assert (openid.status, oauth.status) == (200, 200)
    assert openid.json == oauth.json
    assert openid.headers["cache-control"] == "public, max-age=300"


def test_every_endpoint_named_is_under_the_issuer(
    invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    monkeypatch.setenv("ISSUER", "https://api.example.com/v")
    # When
    document = invoke("nexus.describe_issuer").json
    # Then
    assert document["issuer"] == "https://api.example.com/v"
    addresses = [
        value
        for name, value in document.items()
        if name.endswith("_endpoint") or name == "jwks_uri"
    ]
    assert len(addresses) == 7
    assert all(address.startswith("https://api.example.com/v/") for address in addresses)
    # Then each is a route of a function
    sources = "".join(file.read_text() for file in FUNCTIONS.glob("nexus/*.py"))
    for address in addresses:
        assert address.removeprefix("https://api.example.com/v") in sources, address


def test_only_what_oauth_2_1_kept_is_offered(invoke: Invoker) -> None:
    # Given / When
    document = invoke("nexus.describe_issuer").json
    # Then
    assert document["response_types_supported"] == ["code"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert "password" not in document["grant_types_supported"]
    assert "implicit" not in document["grant_types_supported"]
