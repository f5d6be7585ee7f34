"""nexus.serve_rpc: users looked up by calls, each as his own eyes allow."""

from __future__ import annotations

import pytest
from datapunk.errors import ForbiddenError, InvalidInputError, NotFoundError

from tests.support.calls import caller_of, invoked
from tests.support.people import add_user

pytestmark = pytest.mark.usefixtures("database")


def test_a_user_is_found_as_at_the_door() -> None:
    # Given
    ann, bob = add_user(roles=("admin",)), add_user("bob@example.com")
    administrator = caller_of(ann, "service:lake")
    # When
    found = invoked("nexus", "get_user", {"user": str(bob.id)}, administrator)
    page = invoked("nexus", "list_users", {}, administrator)
    # Then
    assert (found.id, found.email, list(found.roles)) == (str(bob.id), bob.email, ["editor"])
    assert found.created_at.ToDatetime().year == bob.created_at.year
    assert [item.email for item in page.items] == [ann.email, bob.email]


def test_others_are_nobody_s_business() -> None:
    # Given
    ann, bob = add_user(), add_user("bob@example.com")
    # When / Then
    own = invoked("nexus", "get_user", {"user": str(ann.id)}, caller_of(ann, "service:lake"))
    assert own.email == ann.email
    with pytest.raises((ForbiddenError, NotFoundError)):
        invoked("nexus", "get_user", {"user": str(bob.id)}, caller_of(ann, "service:lake"))


def test_an_id_is_a_uuid() -> None:
    # Given / When / Then
    with pytest.raises(InvalidInputError):
        invoked("nexus", "get_user", {"user": "ann"}, caller_of(add_user()))
