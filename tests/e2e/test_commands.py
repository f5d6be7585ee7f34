"""What `up` tells at its end, and what `audit verify` finds in the trail of a platform that runs."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from infrastructure.local.accounts import ACCOUNTS, password_of
from infrastructure.local.platform import AT_DEPLOYMENT
from infrastructure.local.state import State
from tests.e2e.clone import Clone
from tests.e2e.web import Web

TENANT = "public"
LAST = "SELECT sequence, outcome FROM nexus.audit WHERE tenant = %s ORDER BY sequence DESC LIMIT 1"
CHANGE = "UPDATE nexus.audit SET outcome = %s WHERE tenant = %s AND sequence = %s"


@pytest.fixture(scope="module")
def told(platform: Clone) -> str:
    """Return what `up` prints on a platform that runs already."""
    return platform.up()


def test_up_ends_with_a_table_of_all_addresses(platform: Clone, told: str) -> None:
    # Given
    urls = platform.endpoints
    shown = {url for name, url in urls.items() if name != "invoke"}  # only tools need that one
    # When
    table = told.partition("Ready. Everything listens on this machine only.")[2]
    rows = dict(line.strip().split(None, 1) for line in table.splitlines() if "  " in line.strip())
    # Then
    assert shown <= {word for line in table.splitlines() for word in line.split()}
    assert f"{urls['api']}/docs" in table
    assert f"{urls['api']}/v1/nexus/sign-in" in table
    for account in ACCOUNTS.values():
        password = password_of(State(platform.paths), account.name)
        assert rows[account.name].split() == [account.email, password]
    assert "make token" in table


@pytest.mark.parametrize("path", ["/docs", "/v1/nexus/sign-in"])
def test_the_pages_of_the_table_open_without_a_token(platform: Clone, path: str) -> None:
    # When
    answer = Web(platform.endpoints["api"]).get(path)
    # Then
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_up_runs_each_function_of_a_deployment_in_its_order(told: str) -> None:
    # Given
    steps = [*(name.replace("-", ".", 1) for name in AT_DEPLOYMENT), "users"]
    # When
    places = [told.find(f"✓ {step}") for step in steps]
    # Then
    assert -1 not in places, told
    assert places == sorted(places)


def test_the_trail_of_a_running_platform_is_whole(platform: Clone) -> None:
    # Given
    make_dataset(platform, "audited_first")
    before = platform.run("audit", "verify")
    make_dataset(platform, "audited_second")
    # When
    after = platform.run("audit", "verify")
    # Then
    assert (before.returncode, after.returncode) == (0, 0), after.stdout
    assert _records(after.stdout) > _records(before.stdout)


def make_dataset(platform: Clone, name: str) -> None:
    """Do something that leaves a record."""
    columns = [{"name": "id", "type": "text"}]
    made = platform.api.post("/v1/lake/datasets", {"name": name, "columns": columns})
    assert made.status == 201, made.body


def _records(output: str) -> int:
    """Return how many records the tenant's chain has, which must be whole."""
    lines = {line.split()[0]: line.split() for line in output.splitlines()}
    name, state, number, *_ = lines[TENANT]
    assert (name, state) == (TENANT, "whole")
    return int(number.replace(",", ""))


def test_a_record_that_was_changed_is_named(platform: Clone) -> None:
    # Given
    make_dataset(platform, "audited_third")
    with psycopg.connect(platform.endpoints["database"], autocommit=True) as intruder:
        intruder.execute("SELECT set_config('datapunk.tenant', %s, false)", (TENANT,))
        row = intruder.execute(LAST, (TENANT,)).fetchone()
        assert row is not None
        sequence, outcome = row
        # When
        intruder.execute("SET ROLE audit_owner")
        intruder.execute(CHANGE, ("denied" if outcome == "done" else "done", TENANT, sequence))
        try:
            found = platform.run("audit", "verify")
        finally:
            intruder.execute(CHANGE, (outcome, TENANT, sequence))
    mended = platform.run("audit", "verify")
    # Then
    assert found.returncode == 1, found.stdout
    assert f"record {sequence}: was changed" in found.stdout
    assert mended.returncode == 0, mended.stdout


def test_the_trail_of_no_platform_is_explained(new_clone: Callable[[], Clone]) -> None:
    # When
    done = new_clone().run("audit", "verify")
    # Then
    assert done.returncode == 1
    assert "the audit trail cannot be read" in done.stdout
    assert "make up" in done.stdout
    assert "Traceback" not in done.stdout
