"""nexus.issue_certificate: to whom, for which keys, and that OpenSSL accepts what comes out."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support.invoking import Invoker
from tests.support.workloads import administrator, ask, certificate_of, new_csr, register

pytestmark = pytest.mark.usefixtures("authority")


def _openssl(*arguments: str) -> str:
    done = subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_openssl_accepts_the_chain_and_shows_the_name(invoke: Invoker, tmp_path: Path) -> None:
    # Given
    issued = certificate_of(administrator())
    leaf, bundle = tmp_path / "leaf.pem", tmp_path / "bundle.pem"
    leaf.write_text(issued["certificate"])
    bundle.write_text(invoke("nexus.get_trust_bundle").body)
    # When
    verified = _openssl(
        "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", str(bundle), str(leaf)
    )
    shown = _openssl("x509", "-in", str(leaf), "-noout", "-text")
    # Then
    assert verified.strip().endswith("OK")
    assert "URI:spiffe://datapunk/public/billing" in shown
    assert "TLS Web Client Authentication" in shown
    assert "CA:FALSE" in shown
    _openssl("x509", "-in", str(leaf), "-noout", "-checkend", "0")
    week = str(7 * 86_400)
    ended = subprocess.run(
        ["openssl", "x509", "-in", str(leaf), "-noout", "-checkend", week],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1


def test_it_lives_seven_days_and_is_renewed_after_two_thirds() -> None:
    # Given / When
    issued = certificate_of(administrator())
    # Then
    start, end, renewal = (
        datetime.fromisoformat(issued[name]) for name in ("not_before", "not_after", "renew_at")
    )
    assert end - start == timedelta(days=7)
    assert renewal - start == timedelta(days=7) * 2 / 3
    read = x509.load_pem_x509_certificate(issued["certificate"].encode())
    assert (read.not_valid_before_utc, read.not_valid_after_utc) == (start, end)
    assert f"{read.serial_number:x}" == issued["serial"]


def test_what_the_request_calls_itself_does_not_matter() -> None:
    # Given
    secret = register(administrator()).json["registration_secret"]
    # When
    issued = ask(secret, new_csr(subject="admin")).json
    # Then
    read = x509.load_pem_x509_certificate(issued["certificate"].encode())
    names = [attribute.value for attribute in read.subject]
    assert names == ["public", "billing"]


@pytest.mark.parametrize("bits", [2048, 3072])
def test_rsa_keys_are_taken(bits: int) -> None:
    # Given
    secret = register(administrator()).json["registration_secret"]
    # When / Then
    assert ask(secret, new_csr(rsa.generate_private_key(65537, bits))).status == 201


@pytest.mark.parametrize(
    "private",
    [
        pytest.param(lambda: rsa.generate_private_key(65537, 1024), id="short"),  # noqa: S505 -- the point
        pytest.param(lambda: ec.generate_private_key(ec.SECP521R1()), id="curve"),
    ],
)
def test_keys_the_gateway_does_not_take_are_refused(private: Any) -> None:
    # Given
    secret = register(administrator()).json["registration_secret"]
    # When
    answer = ask(secret, new_csr(private()))
    # Then
    assert (answer.status, answer.fields) == (422, {"csr": "csr"})


@pytest.mark.parametrize("csr", ["x", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END"])
def test_what_is_no_request_is_refused(csr: str) -> None:
    # Given
    secret = register(administrator()).json["registration_secret"]
    # When / Then
    assert ask(secret, csr).status == 422


def test_a_request_for_somebody_elses_key_is_refused() -> None:
    # Given a request whose signature is not its key's
    secret = register(administrator()).json["registration_secret"]
    lines = new_csr().splitlines()
    other = new_csr().splitlines()
    forged = "\n".join([*lines[:-2], other[-2], lines[-1]]) + "\n"
    # When / Then
    assert ask(secret, forged).status == 422


def test_strangers_get_nothing() -> None:
    # Given
    secret = register(administrator()).json["registration_secret"]
    # When
    answers = [
        ask("wrong"),
        ask(""),
        ask(secret, service="unknown"),
        ask(secret, tenant="acme"),
    ]
    # Then none is told which part was wrong
    assert [answer.status for answer in answers] == [401] * 4
    assert len({answer.json["detail"] for answer in answers}) == 1


def test_one_proof_is_needed_and_one_only() -> None:
    # Given
    iam = {"authorization": "AWS4-HMAC-SHA256 x", "date": "20261121T080000Z"}
    # When / Then
    assert ask(None).status == 422
    assert ask("secret", iam=iam).status == 422


def test_locally_no_role_is_proof() -> None:
    # Given
    register(administrator())
    iam = {"authorization": "AWS4-HMAC-SHA256 x", "date": "20261121T080000Z"}
    # When / Then
    assert ask(None, iam=iam).status == 401


def test_the_secret_is_never_logged(capfd: pytest.CaptureFixture[str]) -> None:
    # Given
    secret = register(administrator()).json["registration_secret"]
    # When
    ask(secret)
    ask("planted-secret")
    # Then
    said = "".join(capfd.readouterr())
    assert '"service":"nexus"' in said
    assert secret not in said
    assert "planted" not in said
