"""Roles and their scopes agree with the policy, which decides."""

from __future__ import annotations

import itertools

import pytest
from datapunk.identity import Caller
from datapunk.nexus.roles import Role, scopes_of
from datapunk.policy import decide

ACTIONS = {
    "read": "lake.list_datasets",
    "write": "lake.create_dataset",
    "admin": "nexus.list_users",
}
SETS = [
    pytest.param(roles, id="+".join(roles) or "none")
    for size in range(len(Role) + 1)
    for roles in itertools.combinations(sorted(role.value for role in Role), size)
]


@pytest.mark.parametrize("roles", SETS)
def test_a_user_can_do_with_his_scopes_what_his_roles_allow(roles: tuple[str, ...]) -> None:
    # Given
    own = Caller("user:1", "acme", roles, scopes_of(roles))
    everything = Caller("user:1", "acme", roles, ("read", "write", "admin"))
    # When / Then
    for action in ACTIONS.values():
        assert decide(own, action).allow == decide(everything, action).allow


def test_unknown_roles_give_nothing() -> None:
    # Given / When / Then
    assert scopes_of(["emperor"]) == ()
    assert scopes_of(["viewer", "admin"]) == ("read", "write", "admin")
