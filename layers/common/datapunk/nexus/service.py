"""The calls that nexus answers (`events/protos/nexus.proto`): the operations of its HTTP doors."""

from __future__ import annotations

from uuid import UUID

from datapunk.database import Transaction
from datapunk.errors import FieldError, InvalidInputError
from datapunk.mesh.contract import message_of
from datapunk.mesh.generated import nexus_pb2
from datapunk.mesh.service import Service
from datapunk.nexus import users
from datapunk.paging import page_size
from datapunk.policy import Resource, require


def get_user(tx: Transaction, request: nexus_pb2.GetUserRequest) -> nexus_pb2.User:
    """Return a user of the caller's tenant; who is no administrator sees himself only."""
    found = users.find_user(tx, _id(request.user))
    require("nexus.get_user", Resource(tenant=found.tenant, owner=found.principal))
    return _message(found)


def list_users(tx: Transaction, request: nexus_pb2.ListUsersRequest) -> nexus_pb2.ListUsersResponse:
    """Return a page of users; who is no administrator sees himself only."""
    page = users.list_users(tx, limit=page_size(request.limit), cursor=request.cursor or None)
    return nexus_pb2.ListUsersResponse(
        items=[_message(item) for item in page.items], next_cursor=page.next_cursor or ""
    )


SERVICE = Service(name="nexus", operations={"get_user": get_user, "list_users": list_users})


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        errors = [FieldError("user", "is not the id of a user", "uuid")]
        raise InvalidInputError("Not valid: user.", errors=errors) from None


def _message(user: users.UserAccount) -> nexus_pb2.User:
    return message_of(nexus_pb2.User, user.model_dump(mode="json"))
