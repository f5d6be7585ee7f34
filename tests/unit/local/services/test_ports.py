"""Ports: preferred or next, the same ones again, never one that is taken."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from infrastructure.local.ports import FIRST_PORT, LAST_PORT, choose_port, is_free


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    server = socket.create_server(("127.0.0.1", 0))
    with server:
        yield server


def test_a_listening_port_is_not_free(listener: socket.socket) -> None:
    # Given
    port = listener.getsockname()[1]
    # When, Then
    assert not is_free(port)
    listener.close()
    assert is_free(port)


def test_a_port_that_listens_on_all_addresses_is_not_free() -> None:
    # Given
    with socket.create_server(("0.0.0.0", 0)) as everywhere:  # noqa: S104 (the case under test)
        # When, Then
        assert not is_free(everywhere.getsockname()[1])


def test_the_next_free_port_follows_a_taken_preferred_one(listener: socket.socket) -> None:
    # Given
    port = listener.getsockname()[1]
    # When
    chosen = choose_port(port, taken={port + 1}, seed="any")
    # Then
    assert port + 1 < chosen < port + 100


def test_without_preference_the_seed_decides_and_promised_ports_are_left_out() -> None:
    # Given
    first = choose_port(None, taken=set(), seed="one clone")
    # When
    again = choose_port(None, taken=set(), seed="one clone")
    other = choose_port(None, taken=set(), seed="another clone")
    besides = choose_port(None, taken={first}, seed="one clone")
    # Then
    assert first == again
    assert other != first
    assert besides != first
    assert all(FIRST_PORT <= port <= LAST_PORT for port in (first, other, besides))
