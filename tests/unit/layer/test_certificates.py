"""Whom a client certificate belongs to, and which ones open nothing; the authorizer takes them first."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from datapunk.database import transaction
from datapunk.identity import SYSTEM, Caller, caller_from_authorizer
from datapunk.nexus.api_keys import find_api_key
from datapunk.nexus.authority import sign_certificate
from datapunk.nexus.certificates import caller_of_certificate, purge_certificates

from tests.support.invoking import Invoker, run
from tests.support.oauth import cookie_of
from tests.support.people import rows
from tests.support.samples import load_sample
from tests.support.workloads import administrator, certificate_of, presented

pytestmark = pytest.mark.usefixtures("authority")
BILLING = Caller("service:billing", "public", ("viewer",), ("read",))
Builder = x509.CertificateBuilder
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)


def _builder(
    *uris: str, days: float = 1, age: float = 0, usages: tuple[Any, ...] = CLIENT
) -> Builder:
    now = datetime.now(UTC)
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "billing")]))
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(0x1234)
        .not_valid_before(now - timedelta(days=age))
        .not_valid_after(now + timedelta(days=days))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder


def _signed(builder: Builder) -> dict[str, Any]:
    """Return a certificate that the authority has signed and that stands in the table."""
    certificate, _ = sign_certificate(builder)
    with transaction(SYSTEM) as tx:
        tx.execute(
            "INSERT INTO nexus.certificates VALUES ('1234', 'public', 'billing', now(), now())"
        )
    return presented(certificate.public_bytes(serialization.Encoding.PEM).decode())


def test_a_certificate_names_its_service_at_the_gateway() -> None:
    # Given
    issued = certificate_of(administrator())
    event = copy.deepcopy(load_sample("nexus.authorize"))
    event["headers"] = event["multiValueHeaders"] = {}
    event["requestContext"]["identity"]["clientCert"] = presented(issued["certificate"])
    # When
    answer = run("nexus.authorize", event)
    # Then
    context = {"principalId": answer["principalId"], **answer["context"]}
    assert caller_from_authorizer(context) == BILLING


def test_a_bad_certificate_is_not_made_good_by_a_session() -> None:
    # Given
    admin = administrator()
    event = copy.deepcopy(load_sample("nexus.authorize"))
    cookie = cookie_of(admin)
    event["headers"], event["multiValueHeaders"] = {"Cookie": cookie}, {"Cookie": [cookie]}
    assert run("nexus.authorize", event)["principalId"] == admin.caller.principal
    # When
    event["requestContext"]["identity"]["clientCert"] = {"clientCertPem": "x"}
    # Then
    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        run("nexus.authorize", event)


def test_the_certificates_below_fail_for_what_is_wrong_with_them_alone() -> None:
    # Given
    certificate_of(administrator())
    # When / Then
    good = _signed(_builder("spiffe://datapunk/public/billing"))
    assert caller_of_certificate(good) == BILLING


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(_builder, id="no name"),
        pytest.param(lambda: _builder("spiffe://datapunk/public/shipping"), id="another service"),
        pytest.param(lambda: _builder("spiffe://datapunk/acme/billing"), id="another tenant"),
        pytest.param(lambda: _builder("spiffe://other/public/billing"), id="another domain"),
        pytest.param(lambda: _builder("https://datapunk/public/billing"), id="no SPIFFE ID"),
        pytest.param(lambda: _builder("public/billing"), id="no scheme"),
        pytest.param(lambda: _builder("spiffe://datapunk/public/billing/"), id="longer"),
        pytest.param(
            lambda: _builder(
                "spiffe://datapunk/public/billing", "spiffe://datapunk/public/shipping"
            ),
            id="two names",
        ),
        pytest.param(
            lambda: _builder("spiffe://datapunk/public/billing", age=8, days=-1), id="expired"
        ),
        pytest.param(
            lambda: _builder("spiffe://datapunk/public/billing", age=-1, days=2), id="not yet"
        ),
        pytest.param(
            lambda: _builder("spiffe://datapunk/public/billing", usages=()), id="no usage"
        ),
        pytest.param(
            lambda: _builder(
                "spiffe://datapunk/public/billing", usages=(ExtendedKeyUsageOID.SERVER_AUTH,)
            ),
            id="a server's",
        ),
    ],
)
def test_what_the_authority_signed_for_something_else_opens_nothing(
    build: Callable[[], Builder],
) -> None:
    # Given
    certificate_of(administrator())
    # When / Then
    assert caller_of_certificate(_signed(build())) is None


def test_another_authority_of_the_same_name_opens_nothing() -> None:
    # Given a certificate with all that ours has, and another signature
    issued = certificate_of(administrator())
    ours = x509.load_pem_x509_certificate(issued["certificate"].encode())
    forged = (
        _builder("spiffe://datapunk/public/billing")
        .issuer_name(ours.issuer)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    pem = forged.public_bytes(serialization.Encoding.PEM).decode()
    with transaction(SYSTEM) as tx:
        tx.execute("UPDATE nexus.certificates SET serial = '1234'")
    # When / Then
    assert caller_of_certificate(presented(pem)) is None


def test_a_certificate_nobody_remembers_opens_nothing() -> None:
    # Given
    issued = certificate_of(administrator())
    # When
    with transaction(SYSTEM) as tx:
        tx.execute("DELETE FROM nexus.certificates")
    # Then
    assert caller_of_certificate(presented(issued["certificate"])) is None


@pytest.mark.parametrize("pem", [None, 1, "", "x", "-----BEGIN CERTIFICATE-----", "x" * 20_000])
def test_what_is_no_certificate_opens_nothing(pem: Any) -> None:
    # Given / When / Then
    assert caller_of_certificate({"clientCertPem": pem}) is None


def test_scopes_are_those_of_now() -> None:
    # Given
    admin = administrator()
    old = certificate_of(admin, scopes=["read", "write"])
    # When the service is registered anew with less
    certificate_of(admin, scopes=["read"])
    # Then
    assert caller_of_certificate(presented(old["certificate"])) == BILLING


def test_a_service_issues_itself_an_api_key_as_its_backup_and_the_trail_says_so(
    invoke: Invoker, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given
    certificate_of(administrator())
    itself: dict[str, Any] = {"tenant": "public", "principal": BILLING.principal, "scopes": "read"}
    # When
    issued = invoke(
        "nexus.issue_api_key", body={"name": "Backup", "scopes": ["read"]}, **itself
    ).json
    # Then
    capsys.readouterr()
    found = [find_api_key(issued["key"]) for _ in range(3)]
    assert found == [replace(BILLING, actors=(f"key:{issued['id']}",))] * 3
    trail = rows("SELECT principal FROM nexus.audit WHERE action = 'nexus.issue_api_key'")
    assert trail == [{"principal": BILLING.principal}]
    # And each use is counted, the first of a minute recorded
    assert capsys.readouterr().out.count('"backup_credentials_total":1') == 3
    used = "SELECT principal, actors, detail FROM nexus.audit WHERE action = 'nexus.use_backup'"
    record = {"principal": BILLING.principal, "actors": [f"key:{issued['id']}"]}
    assert rows(used) == [{**record, "detail": {"method": "api_key"}}]
    # When the service is gone
    with transaction(SYSTEM) as tx:
        tx.execute("DELETE FROM nexus.workloads")
    # Then
    assert find_api_key(issued["key"]) is None


def test_expired_certificates_are_forgotten() -> None:
    # Given
    admin = administrator()
    certificate_of(admin)
    with transaction(SYSTEM) as tx:
        tx.execute("UPDATE nexus.certificates SET not_after = now() - interval '2 days'")
    kept = certificate_of(admin)["serial"]
    # When
    with transaction(SYSTEM) as tx:
        count = purge_certificates(tx)
    # Then
    assert count == 1
    assert rows("SELECT serial FROM nexus.certificates") == [{"serial": kept}]
