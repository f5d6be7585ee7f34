"""A service in the middle: what it is asked, it asks of the lake, and tells how much time it had."""

from datapunk.context import remaining_seconds
from datapunk.database import Transaction
from datapunk.mesh import call_service
from datapunk.mesh.generated.nexus_pb2 import GetUserRequest, User
from datapunk.mesh.service import Service
from datapunk.rpc import rpc_function


def get_user(_: Transaction, request: GetUserRequest) -> User:
    """Create a dataset under a key, and return what the lake sees of the call, and the time left here."""
    left = remaining_seconds()
    columns = [{"name": "a", "type": "text"}]
    definition = {"name": request.user, "columns": columns}
    made = call_service("lake", "create_dataset", definition, key=request.user)
    seen = call_service("lake", "get_dataset", {"dataset": request.user})
    return User(
        id=made.name,
        name=str(int(left * 1000)),
        email=str(seen.version),
        tenant=seen.description,
        roles=[seen.owner, *seen.key],
    )


handler = rpc_function("nexus.serve_rpc", Service("nexus", {"get_user": get_user}))
