"""Authorizers as the control plane tells of them."""

from __future__ import annotations

from typing import Any

import pytest

from infrastructure.local.control_plane.reading_api import _authorizer

ITEM: dict[str, Any] = {
    "name": "Platform",
    "type": "REQUEST",
    "authorizerUri": "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
    "arn:aws:lambda:us-east-1:000000000000:function:datapunk-local-nexus-authorize/invocations",
    "authorizerResultTtlInSeconds": 0,
}


@pytest.mark.parametrize("source", [None, "", "method.request.header.Unused"])
def test_an_authorizer_without_identity_sources_is_always_asked(source: str | None) -> None:
    # Given what the control plane says of an authorizer that names no source
    item = ITEM if source is None else {**ITEM, "identitySource": source}
    # When
    authorizer = _authorizer(item)
    # Then
    assert authorizer.identity_sources == ()
    assert (authorizer.function, authorizer.ttl) == ("datapunk-local-nexus-authorize", 0)


def test_identity_sources_are_read_one_by_one() -> None:
    # Given
    sources = "method.request.header.Authorization, context.identity.sourceIp"
    # When
    authorizer = _authorizer({**ITEM, "identitySource": sources})
    # Then
    assert authorizer.identity_sources == (
        "method.request.header.Authorization",
        "context.identity.sourceIp",
    )
