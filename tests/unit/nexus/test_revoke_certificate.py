"""nexus.revoke_certificate: by serial number, by the tenant's administrators."""

from __future__ import annotations

import pytest
from datapunk.nexus.certificates import caller_of_certificate
from datapunk.nexus.users import UserAccount

from tests.support.invoking import Answer, Invoker
from tests.support.people import acting, add_tenant, add_user
from tests.support.workloads import administrator, certificate_of, presented

pytestmark = pytest.mark.usefixtures("authority")


def _revoke(invoke: Invoker, user: UserAccount, serial: str) -> Answer:
    return invoke("nexus.revoke_certificate", path={"serial": serial}, **acting(user))


def test_a_revoked_certificate_opens_nothing_and_another_still_does(invoke: Invoker) -> None:
    # Given
    admin = administrator()
    first, second = certificate_of(admin), certificate_of(admin)
    assert caller_of_certificate(presented(first["certificate"]))
    # When
    answers = [_revoke(invoke, admin, first["serial"]) for _ in range(2)]
    # Then
    assert [answer.status for answer in answers] == [204, 204]
    assert caller_of_certificate(presented(first["certificate"])) is None
    assert caller_of_certificate(presented(second["certificate"]))


def test_the_serial_number_may_be_written_as_openssl_prints_it(invoke: Invoker) -> None:
    # Given
    admin = administrator()
    issued = certificate_of(admin)
    # When
    answer = _revoke(invoke, admin, f"0{issued['serial'].upper()}")
    # Then
    assert answer.status == 204
    assert caller_of_certificate(presented(issued["certificate"])) is None


def test_others_certificates_are_out_of_reach(invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    ours = certificate_of(administrator())
    # When
    theirs = _revoke(invoke, administrator("acme"), ours["serial"])
    editor = _revoke(invoke, add_user("eve@example.com"), ours["serial"])
    # Then
    assert (theirs.status, editor.status) == (404, 403)
    assert caller_of_certificate(presented(ours["certificate"]))


@pytest.mark.parametrize(("serial", "status"), [("abc", 404), ("0x1", 422), ("1" * 43, 422)])
def test_what_is_no_certificate_is_not_found(invoke: Invoker, serial: str, status: int) -> None:
    # Given / When / Then
    assert _revoke(invoke, administrator(), serial).status == status
