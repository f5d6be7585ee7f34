"""`audit verify`: the trail checked from outside of the platform."""

from __future__ import annotations

import psycopg
import pytest
from datapunk.audit import record_alone
from datapunk.identity import Caller

from infrastructure.local.audit import verify_chains
from infrastructure.local.services.service import ServiceError


def _write(tenant: str, number: int) -> None:
    for place in range(number):
        record_alone("lake.x", f"things/{place}", "done", caller=Caller("user:ada", tenant))


def test_every_chain_is_checked(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    # Given
    _write("acme", 3)
    _write("other", 2)
    # When
    status = verify_chains(database)
    # Then
    lines = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert (status, lines) == (0, [["acme", "whole", "3"], ["other", "whole", "2"]])


def test_a_changed_row_is_named_and_the_command_fails(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given
    _write("acme", 3)
    _write("other", 2)
    with psycopg.connect(database) as intruder:
        intruder.execute("SET ROLE audit_owner")
        intruder.execute(
            "UPDATE nexus.audit SET outcome = 'denied' WHERE tenant = 'other' AND sequence = 2"
        )
    # When
    status = verify_chains(database)
    # Then
    written = capsys.readouterr().out
    assert status == 1
    assert "acme" in written
    assert "BROKEN" in written
    assert "record 2: was changed" in written


def test_an_empty_trail_is_whole(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    # Given / When / Then
    assert verify_chains(database) == 0
    assert "no records" in capsys.readouterr().out


def test_without_a_database_the_user_hears_what_to_do() -> None:
    # Given / When / Then
    with pytest.raises(ServiceError, match="make up"):
        verify_chains("postgresql://nobody@127.0.0.1:1/none")
