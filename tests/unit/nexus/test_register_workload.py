"""nexus.register_workload: who may, and that the secret is shown once."""

from __future__ import annotations

from typing import Any

import pytest
from datapunk.settings import settings

from tests.support.people import add_tenant, add_user, rows
from tests.support.workloads import administrator, ask, register

pytestmark = pytest.mark.usefixtures("authority")
ROLE = "arn:aws:iam::000000000000:role/services/billing"


def test_what_is_kept_of_the_secret_is_its_digest() -> None:
    # Given
    answer = register(administrator())
    # When
    secret = answer.json["registration_secret"]
    # Then
    (row,) = rows("SELECT w::text AS kept FROM nexus.workloads AS w")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert len(secret) >= 43
    assert secret not in row["kept"]
    assert "secret_hash" not in answer.json


def test_registered_anew_it_has_another_secret_and_other_roles() -> None:
    # Given
    admin = administrator()
    old = register(admin, scopes=["read", "write"]).json["registration_secret"]
    # When
    new = register(admin, scopes=["read"]).json["registration_secret"]
    # Then
    roles = rows("SELECT role FROM nexus.role_assignments WHERE principal = 'service:billing'")
    assert roles == [{"role": "viewer"}]
    assert (ask(old).status, ask(new).status) == (401, 201)


def test_a_service_belongs_to_its_administrators_tenant() -> None:
    # Given two services of one name
    add_tenant("acme")
    ours = register(administrator()).json["registration_secret"]
    # When
    theirs = register(administrator("acme")).json
    # Then one's secret is none of the other's
    assert theirs["tenant"] == "acme"
    assert ask(ours, tenant="acme").status == 401
    assert ask(theirs["registration_secret"], tenant="acme").status == 201


def test_only_administrators_register() -> None:
    # Given
    editor = add_user("eve@example.com", roles=("editor",))
    # When / Then
    assert register(editor).status == 403


@pytest.mark.parametrize(
    "changed", [{"scopes": []}, {"scopes": ["root"]}, {"role_arn": "billing"}, {"role_arn": ROLE}]
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any]) -> None:
    # Given / When / Then a role as well, which nobody can prove on one machine
    assert register(administrator(), **changed).status == 422


@pytest.mark.parametrize("service", ["Billing", "1", "a.b", "x" * 64])
def test_a_name_that_fits_no_identity_is_refused(service: str) -> None:
    # Given / When / Then
    assert register(administrator(), service).status == 422


def test_on_aws_a_service_has_a_role_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    monkeypatch.setenv("DATAPUNK_STAGE", "prod")
    settings.cache_clear()
    admin = administrator()
    # When
    without, with_role = register(admin), register(admin, role_arn=ROLE)
    # Then
    assert without.status == 422
    assert (with_role.status, with_role.json["registration_secret"]) == (200, None)
