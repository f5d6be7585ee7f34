"""The lake where the binary form is broken."""

from typing import Any

from datapunk.errors import UnsupportedMediaTypeError
from datapunk.lake.service import SERVICE
from datapunk.mesh.answering import refusal
from datapunk.rpc import rpc_function

answer = rpc_function("lake.serve_rpc", SERVICE)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer JSON, and refuse anything else unread."""
    if event["headers"]["content-type"] != "application/json":
        return refusal(UnsupportedMediaTypeError())
    return answer(event, context)
