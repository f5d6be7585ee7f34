"""A service keeps its certificate: it asks once, asks again in time, and outlives a platform that is away."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from datapunk.errors import UnauthenticatedError, UnavailableError
from datapunk.iam_request import BODY, csr_digest
from datapunk.nexus.authority import trust_bundle
from datapunk.nexus.certificates import caller_of_certificate
from datapunk.workload import WorkloadCertificate, iam_proof, main, renew_at, secret_proof

from tests.support.http_server import serving
from tests.support.samples import PROJECT
from tests.support.workloads import administrator, new_csr, presented, register

NOWHERE = "http://127.0.0.1:9"
SECOND = timedelta(seconds=1)


@pytest.fixture
def api(authority: None) -> Iterator[str]:
    with serving(["nexus.issue_certificate"]) as url:
        yield url


@pytest.fixture
def secret(api: str) -> str:
    return str(register(administrator()).json["registration_secret"])


@pytest.fixture
def kept(api: str, secret: str, tmp_path: Path) -> WorkloadCertificate:
    """Return the certificate of a service that has none yet."""
    file = tmp_path / "billing.pem"
    return WorkloadCertificate(api, "public", "billing", file, secret_proof(secret))


def _held(kept: WorkloadCertificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(kept.file.read_bytes())


def _away(kept: WorkloadCertificate) -> WorkloadCertificate:
    """Return the same file, kept by a service that cannot reach the platform."""
    return WorkloadCertificate(NOWHERE, "public", "billing", kept.file, secret_proof("x"))


def test_the_first_certificate_is_good_and_only_its_owner_reads_its_key(
    kept: WorkloadCertificate,
) -> None:
    # Given / When
    assert kept.ensure()
    # Then
    pem = kept.file.read_text().partition("-----END PRIVATE KEY-----\n")[2]
    caller = caller_of_certificate(presented(pem))
    assert caller is not None
    assert caller.principal == "service:billing"
    assert stat.S_IMODE(kept.file.stat().st_mode) == 0o600
    assert list(kept.file.parent.glob(".*.new")) == []


def test_it_is_renewed_at_two_thirds_of_its_life_with_another_key(
    kept: WorkloadCertificate,
) -> None:
    # Given
    kept.ensure()
    first = _held(kept)
    life = first.not_valid_after_utc - first.not_valid_before_utc
    assert renew_at(first) - first.not_valid_before_utc == life * 2 / 3
    # When / Then
    assert not kept.ensure(renew_at(first) - SECOND)
    assert _held(kept) == first
    assert kept.ensure(renew_at(first))
    assert _held(kept).serial_number != first.serial_number
    assert _held(kept).public_key() != first.public_key()


def test_connections_made_from_then_on_show_the_new_one(kept: WorkloadCertificate) -> None:
    # Given
    before = kept.context()
    assert kept.context() is before
    # When
    kept.ensure(renew_at(_held(kept)))
    # Then
    assert kept.context() is not before
    assert kept.context().verify_mode is ssl.CERT_REQUIRED


def test_a_platform_that_is_away_is_borne_while_the_old_one_is_good(
    kept: WorkloadCertificate, caplog: pytest.LogCaptureFixture
) -> None:
    # Given
    kept.ensure()
    first = _held(kept)
    away = _away(kept)
    # When it is asked twice in a minute
    outcomes = [away.ensure(renew_at(first)) for _ in range(2)]
    # Then it has tried once, and said so
    assert outcomes == [False, False]
    assert _held(kept) == first
    (told,) = (item.message for item in caplog.records if item.name == "datapunk.workload")
    assert f"{NOWHERE} does not answer" in told
    # When the old one has expired
    with pytest.raises(UnavailableError, match="does not answer"):
        away.ensure(first.not_valid_after_utc)


def test_a_wrong_secret_is_told(api: str, secret: str, tmp_path: Path) -> None:
    # Given
    file = tmp_path / "billing.pem"
    wrong = WorkloadCertificate(api, "public", "billing", file, secret_proof("wrong"))
    # When / Then
    with pytest.raises(UnauthenticatedError, match="did not prove itself"):
        wrong.context()
    assert not file.exists()


@pytest.mark.parametrize("content", ["", "-----BEGIN", "another key"])
def test_a_file_that_holds_no_certificate_is_made_anew(
    kept: WorkloadCertificate, content: str
) -> None:
    # Given
    kept.ensure()
    key, _, certificate = kept.file.read_text().partition("-----BEGIN CERTIFICATE")
    if content == "another key":
        kept.ensure(renew_at(_held(kept)))
        newer = kept.file.read_text().partition("-----BEGIN CERTIFICATE")[2]
        content = f"{key}-----BEGIN CERTIFICATE{newer}"
        assert newer != certificate
    kept.file.write_text(content)
    # When / Then
    assert kept.ensure()
    kept.context()


def test_threads_that_ask_at_once_get_one_certificate(kept: WorkloadCertificate) -> None:
    # Given
    made: list[bool] = []
    threads = [threading.Thread(target=lambda: made.append(kept.ensure())) for _ in range(4)]
    # When
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    # Then
    assert sorted(made) == [False, False, False, True]


def test_it_is_kept_until_it_is_told_to_stop(kept: WorkloadCertificate) -> None:
    # Given
    stop = threading.Event()
    stop.set()
    # When
    kept.keep(stop)
    # Then
    assert kept.file.exists()


def test_the_command_keeps_a_file_for_programs_in_any_language(
    api: str, secret: str, tmp_path: Path
) -> None:
    # Given
    file, roots = tmp_path / "billing.pem", tmp_path / "roots.pem"
    roots.write_text(trust_bundle())
    command = [sys.executable, "-m", "datapunk.workload", "--api", api]
    # When
    environment = {
        "PYTHONPATH": str(PROJECT / "layers" / "common"),
        "PATH": os.environ["PATH"],
        "REGISTRATION_SECRET": secret,
    }
    done = subprocess.run(
        [*command, "--service", "billing", "--file", str(file), "--once"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # Then
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    verified = subprocess.run(
        ["openssl", "verify", "-CAfile", str(roots), str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr


def test_the_command_says_why_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given
    monkeypatch.setenv("REGISTRATION_SECRET", "x")
    file = str(tmp_path / "billing.pem")
    # When
    status = main(["--api", NOWHERE, "--service", "billing", "--file", file, "--once"])
    # Then
    assert status == 1
    assert capsys.readouterr().err.startswith(f"{NOWHERE} does not answer")


def test_a_role_is_proved_by_a_request_that_sts_would_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
        ("AWS_SESSION_TOKEN", "session"),
    ):
        monkeypatch.setenv(name, value)
    csr = new_csr()
    # When
    proof = iam_proof("https://api.example.com", "eu-central-1")(csr)["iam"]
    # Then its signature is right over what the platform will send
    sent = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "X-Datapunk-Issuer": "https://api.example.com",
        "X-Datapunk-Csr": csr_digest(csr),
        "X-Amz-Date": proof["date"],
        "X-Amz-Security-Token": proof["security_token"],
    }
    url = "https://sts.eu-central-1.amazonaws.com/"
    request = AWSRequest("POST", url, data=BODY, headers=sent)
    request.context["timestamp"] = proof["date"]
    auth = SigV4Auth(Credentials("AKIDEXAMPLE", "key", "session"), "sts", "eu-central-1")
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    assert proof["authorization"].endswith(f"Signature={signature}")
