"""Connect over HTTPS: the way to services elsewhere, through the gateway or at an address of their own."""

from __future__ import annotations

from datapunk.mesh.faults import UNIMPLEMENTED, from_connect
from datapunk.mesh.tokens import bearer
from datapunk.mesh.wire import Call, NotServedError, post

_OK = 200
_UNSUPPORTED = 415


def send(call: Call) -> bytes:
    """Return the response's message; see `Transport`."""
    service = call.method.service
    headers = {
        **call.headers,
        "content-type": call.media_type,
        "accept": call.media_type,
        "connect-protocol-version": "1",
        "authorization": bearer(call.caller, call.timeout),
    }
    answer = post(f"{call.address}{call.method.path}", call.content, headers, call.timeout, service)
    kind = str(answer.headers.get("content-type", "")).partition(";")[0]
    if answer.status == _UNSUPPORTED or (answer.status == _OK and kind != call.media_type):
        raise NotServedError(service)
    if answer.status != _OK:
        error = from_connect(service, answer.status, answer.data)
        raise NotServedError(service) if error.code == UNIMPLEMENTED else error
    return bytes(answer.data)
