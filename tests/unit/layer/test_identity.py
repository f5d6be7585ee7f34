"""Who is asking, as an authorizer tells it."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk.identity import Caller, caller_from_authorizer


@pytest.mark.parametrize("context", [None, {}, {"principalId": ""}, {"tenant": "other"}])
def test_without_a_principal_the_caller_is_anonymous_and_public(
    context: dict[str, Any] | None,
) -> None:
    # Given / When
    caller = caller_from_authorizer(context)
    # Then a tenant alone gives nobody that tenant's rights
    assert caller == Caller("anonymous", "public")


def test_lists_arrive_space_separated() -> None:
    # Given
    context = {
        "principalId": "ada",
        "tenant": "acme",
        "roles": "editor  admin",
        "scopes": "lake:read lake:write",
        "actors": "nexus",
    }
    # When
    caller = caller_from_authorizer(context)
    # Then
    assert caller == Caller(
        "ada", "acme", ("editor", "admin"), ("lake:read", "lake:write"), ("nexus",)
    )
