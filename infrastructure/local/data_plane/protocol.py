"""Frames between the data plane, the fork server and the environments.

All sockets are local stream sockets. An invocation goes out as `header length, body length, header,
body`; an answer comes back as `kind, length, body`. Descriptors travel with the first byte of a
message to the fork server (SCM_RIGHTS).
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

REQUEST = struct.Struct(">II")
ANSWER = struct.Struct(">cI")
LENGTH = struct.Struct(">I")

READY = b"I"
INIT_FAILED = b"F"
RESULT = b"R"
FAILURE = b"E"


class ClosedError(ConnectionError):
    """The other end is gone; there is nothing left to do for this one."""


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    """Return `size` bytes of a blocking socket. Raises `ClosedError` at its end."""
    chunk = connection.recv(size)
    if len(chunk) == size:
        return chunk
    parts = bytearray(chunk)
    while len(parts) < size:
        if not chunk:
            raise ClosedError
        chunk = connection.recv(size - len(parts))
        parts += chunk
    return bytes(parts)


def send_message(
    connection: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()
) -> None:
    """Send one JSON message, and with it the descriptors."""
    body = json.dumps(message).encode()
    frame = LENGTH.pack(len(body)) + body
    sent = socket.send_fds(connection, [frame], list(descriptors)) if descriptors else 0
    connection.sendall(frame[sent:])


def receive_message(connection: socket.socket, most: int = 2) -> tuple[dict[str, Any], list[int]]:
    """Return one JSON message of a blocking socket and the descriptors sent with it.

    Raises `ClosedError` when the sender has closed its end.
    """
    head, descriptors, _, _ = socket.recv_fds(connection, LENGTH.size, most)
    if not head:
        raise ClosedError
    if len(head) < LENGTH.size:
        head += receive_exactly(connection, LENGTH.size - len(head))
    return decode(receive_exactly(connection, LENGTH.unpack(head)[0])), list(descriptors)


def decode(body: bytes) -> dict[str, Any]:
    """Return the JSON message of a frame."""
    message: dict[str, Any] = json.loads(body)
    return message
