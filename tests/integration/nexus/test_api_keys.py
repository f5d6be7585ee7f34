"""API keys as the authorizer reads them, in a real database."""

from __future__ import annotations

import hmac
import io
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import psycopg
import pytest
from datapunk.database import load_queries, transaction
from datapunk.errors import UnavailableError
from datapunk.identity import SYSTEM, Caller
from datapunk.nexus import api_keys
from datapunk.nexus.users import disable_user
from datapunk.telemetry import logger
from psycopg import errors as pg

from tests.conftest import forget_connections
from tests.support.api_keys import assert_refused, authorized, issue, presenting
from tests.support.invoking import run
from tests.support.oauth import SERVICE, add_client
from tests.support.people import add_user, rows

pytestmark = pytest.mark.usefixtures("database")
SET = "SELECT set_config('datapunk.tenant', %s, true), set_config('datapunk.principal', %s, true)"


def _change(statement: Any, *parameters: Any) -> None:
    with transaction(SYSTEM) as tx:
        tx.execute(statement, parameters)


def _last_used(key: dict[str, Any]) -> datetime | None:
    found = rows("SELECT last_used_at FROM nexus.api_keys WHERE id = %s", (key["id"],))
    last: datetime | None = found[0]["last_used_at"]
    return last


def test_a_key_acts_for_its_owner_and_is_named_as_the_actor() -> None:
    # Given
    ann = add_user()
    key = issue(ann, "read")
    # When
    told = authorized(key["key"])
    # Then
    assert told == {
        "principal": ann.principal,
        "tenant": "public",
        "roles": "editor",
        "scopes": "read",
        "actors": f"key:{key['id']}",
    }


def test_a_key_is_worth_what_its_owner_may_now() -> None:
    # Given
    ann = add_user(roles=["editor"])
    key = issue(ann, "read", "write")
    # When he is no editor any more
    _change("DELETE FROM nexus.role_assignments WHERE principal = %s", ann.principal)
    _change(
        "INSERT INTO nexus.role_assignments (tenant, principal, role)"
        " VALUES ('public', %s, 'viewer')",
        ann.principal,
    )
    # Then
    assert authorized(key["key"])["scopes"] == "read"
    # When he is disabled
    with transaction(SYSTEM) as tx:
        disable_user(tx, ann.id)
    # Then
    assert_refused(key["key"])


def test_the_key_of_a_client_ends_with_the_client() -> None:
    # Given
    client = add_client(SERVICE)
    caller = Caller(client.principal, "public", scopes=("read", "write"))
    with transaction(caller) as tx:
        wanted = api_keys.NewApiKey(name="Loader", scopes=["read"])
        key = api_keys.issue_api_key(tx, wanted).key
    assert authorized(key)["principal"] == client.principal
    # When
    _change("DELETE FROM nexus.oauth_clients WHERE id = %s", client.id)
    # Then
    assert_refused(key)


def test_an_expired_key_is_refused() -> None:
    # Given
    key = issue(add_user())
    assert authorized(key["key"])
    # When
    _change("UPDATE nexus.api_keys SET expires_at = clock_timestamp() WHERE id = %s", key["id"])
    # Then
    assert_refused(key["key"])


def _checked(body: str) -> str:
    """Return a key of our form with the right checksum."""
    return body + api_keys._checksum(body)


def test_nearly_the_key_is_not_the_key() -> None:
    # Given
    key = str(issue(add_user())["key"])
    body = key[:-6]
    swapped = body[:-1] + ("0" if body[-1] != "0" else "1")
    other = issue(add_user("bob@example.com"))["key"]
    mixed = f"dpk_{key.split('_')[1]}_{other.split('_')[2][:-6]}"
    # When / Then
    for wrong in (
        *("", "dpk_", "x" * 10_000, key[:-1], key + "0", f" {key}", f"{key}\n", key.upper()),
        *(swapped + key[-6:], _checked(swapped), _checked(mixed), key.replace("dpk_", "dpx_")),
        *(_checked(f"dpk_00000000_{'A' * 43}"), f"{key},{key}", key.replace("_", "é")),
    ):
        assert_refused(wrong)
    assert authorized(key)


def test_what_has_no_right_checksum_costs_the_database_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a database that is away
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@127.0.0.1:1/d")
    forget_connections()
    # When / Then
    assert api_keys.find_api_key(f"dpk_00000000_{'A' * 49}") is None
    with pytest.raises(UnavailableError):
        api_keys.find_api_key(_checked(f"dpk_00000000_{'A' * 43}"))


def test_digests_are_compared_in_constant_time_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    key = str(issue(add_user())["key"])
    compared: list[tuple[int, int]] = []

    def compare(held: bytes, given: bytes) -> bool:
        compared.append((len(held), len(given)))
        return hmac.compare_digest(held, given)

    watched = type("Watched", (), {"compare_digest": staticmethod(compare)})
    monkeypatch.setattr(api_keys, "hmac", watched)
    # When
    found = [
        api_keys.find_api_key(candidate)
        for candidate in (
            key,
            _checked(f"{key[:13]}{'A' * 43}"),
            _checked(f"dpk_00000000_{'A' * 43}"),
        )
    ]
    # Then known or not, wrong or right
    assert [item is not None for item in found] == [True, False, False]
    assert compared == [(32, 32)] * 3


def test_the_last_use_is_written_once_a_minute() -> None:
    # Given
    key = issue(add_user())
    assert _last_used(key) is None
    # When / Then
    authorized(key["key"])
    first = _last_used(key)
    authorized(key["key"])
    assert first is not None
    assert _last_used(key) == first
    # When a minute has passed
    _change(
        "UPDATE nexus.api_keys SET last_used_at = last_used_at - interval '61 s' WHERE id = %s",
        key["id"],
    )
    authorized(key["key"])
    # Then
    last = _last_used(key)
    assert last is not None
    assert last > first


def test_a_locked_row_keeps_nobody_waiting(database: str) -> None:
    # Given a key that another transaction is changing
    key = issue(add_user())
    with psycopg.connect(database) as connection:
        connection.execute(SET, ("*", "system"))
        connection.execute("SELECT FROM nexus.api_keys WHERE id = %s FOR UPDATE", (key["id"],))
        # When
        told = authorized(key["key"])
        # Then
        assert told["actors"] == f"key:{key['id']}"
        assert _last_used(key) is None


def test_of_parallel_rotations_one_wins(database: str) -> None:
    # Given
    ann = add_user()
    key = issue(ann)
    statement = load_queries(api_keys._SQL)["find_to_rotate"]

    def rotate(_: int) -> bool:
        with psycopg.connect(database) as connection:
            connection.execute(SET, ("public", ann.principal))
            found = connection.execute(statement, {"id": key["id"], "owner": ann.principal})
            row = found.fetchone()
            if row is None or row[4] is not None:
                return False
            connection.execute(
                "UPDATE nexus.api_keys SET replaced_by = id WHERE id = %s", (key["id"],)
            )
            return True

    # When
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(rotate, range(8)))
    # Then
    assert won.count(True) == 1


def test_nobody_makes_a_key_in_anothers_name_or_removes_one(database: str) -> None:
    # Given
    ann = add_user()
    admin = add_user("admin@example.com", roles=["admin"])
    issue(ann)
    insert = (
        "INSERT INTO nexus.api_keys (id, owner, name, secret_hash, scopes, lifetime, expires_at)"
        " VALUES ('AAAAAAAA', %s, 'x', sha256('x'), '{admin}', '1 day', now() + interval '1 day')"
    )
    # When / Then
    for who in (ann, admin):
        other = admin if who is ann else ann
        with psycopg.connect(database) as connection:
            connection.execute(SET, ("public", who.principal))
            assert connection.execute("DELETE FROM nexus.api_keys").rowcount == 0
            with pytest.raises(pg.InsufficientPrivilege):
                connection.execute(insert, (other.principal,))
            connection.rollback()


def test_no_log_line_has_a_key(capfd: pytest.CaptureFixture[str]) -> None:
    # Given
    stream = io.StringIO()
    handler = logger().handlers[0]
    before = handler.setStream(stream)  # type: ignore[attr-defined]
    try:
        # When it is issued, used, misspelt, and the text of an exception
        key = str(issue(add_user())["key"])
        run("nexus.authorize", presenting(key))
        assert_refused(key[:-1])
        logger().info("it failed: %s", key)
    finally:
        handler.setStream(before)  # type: ignore[attr-defined]
    # Then
    output = capfd.readouterr()
    written = stream.getvalue() + output.out + output.err
    assert "it failed" in written
    assert key.split("_")[2][:20] not in written
