"""Invoked by an operator: make sure that a user exists, has this password and has at least these roles."""

from datapunk.database import transaction
from datapunk.deployment import operator_function
from datapunk.nexus.users import NewUser, User
from datapunk.nexus.users import ensure_user as ensure
from pydantic import Field


class WantedUser(NewUser):
    """The user to be; the first administrator of a new installation comes into being like this."""

    tenant: str = Field(default="public", description="An existing tenant.")


@operator_function("nexus.ensure_user")
def handler(wanted: WantedUser) -> User:
    """Create the user, or bring him to what is wanted, and return him."""
    with transaction() as tx:
        account = ensure(tx, wanted, tenant=wanted.tenant)
    return User(**account.model_dump(include=set(User.model_fields)))
