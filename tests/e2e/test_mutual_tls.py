"""Mutual TLS over the wire: who gets in by a certificate, and that changing certificates refuses nobody."""

from __future__ import annotations

import http.client
import shutil
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from datapunk.nexus.authority import sign_certificate
from datapunk.nexus.remembered import FRESH
from datapunk.settings import settings
from datapunk.workload import WorkloadCertificate, renew_at, secret_proof

from infrastructure.local.platform import Platform
from tests.e2e.clone import Clone, eventually
from tests.e2e.web import TIMEOUT, Answer, Web, assert_problem

SLOW = 10.0
"""Seconds that requests may take on a busy machine."""

ROUTE = "/v1/lake/datasets"
REQUEST = f"GET {ROUTE} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
WEEK = 7 * 86_400


@dataclass
class Wire:
    """The port of mutual TLS, and services that have been registered."""

    clone: Clone
    folder: Path

    @property
    def authority(self) -> Path:
        return self.clone.paths.authority

    @property
    def port(self) -> int:
        return urlsplit(self.clone.endpoints["mutual_tls"]).port or 0

    def as_admin(self, method: str, path: str, body: Any = None) -> Answer:
        """Send a request in the administrator's name, whoever signed in at this place before."""
        token = self.clone.token("admin", "read write admin")
        web = Web(self.clone.endpoints["api"])
        return web.call(method, path, body, Authorization=f"Bearer {token}")

    def service(self, name: str, *scopes: str) -> WorkloadCertificate:
        """Register a service and return the certificate it keeps, in a file of its own."""
        admin = {"Authorization": f"Bearer {self.clone.token('admin', 'read write admin')}"}
        answer = Web(self.clone.endpoints["api"]).call(
            "PUT", f"/v1/nexus/workloads/{name}", {"scopes": scopes or ("read",)}, **admin
        )
        assert answer.status == 200, answer.body
        return WorkloadCertificate(
            self.clone.endpoints["api"],
            "public",
            name,
            self.folder / f"{name}.pem",
            secret_proof(answer.json()["registration_secret"]),
            authority=self.authority,
        )

    def context(self, file: Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.authority)
        if file is not None:
            context.load_cert_chain(file)
        return context

    def connect(self, context: ssl.SSLContext) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("localhost", self.port, context=context, timeout=TIMEOUT)

    def call(self, context: ssl.SSLContext, method: str = "GET", **more: Any) -> Answer:
        with closing(self.connect(context)) as connection:
            return ask(connection, method, **more)

    def openssl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Send a request through OpenSSL's own client."""
        place = ("-connect", f"localhost:{self.port}", "-servername", "localhost")
        verified = ("-CAfile", str(self.authority), "-verify_return_error", "-quiet")
        return openssl("s_client", *place, *verified, *arguments, text=REQUEST)


def openssl(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    program = shutil.which("openssl") or "openssl"
    return subprocess.run(
        [program, *arguments], input=text, capture_output=True, text=True, timeout=30, check=False
    )


def ask(
    connection: http.client.HTTPSConnection,
    method: str = "GET",
    path: str = ROUTE,
    body: str | None = None,
    **headers: str,
) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, sent)
    response = connection.getresponse()
    found = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, found, response.read())


def serial_of(file: Path) -> str:
    return f"{certificate_in(file).serial_number:x}"


def certificate_in(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


@pytest.fixture(scope="module")
def wire(platform: Clone, tmp_path_factory: pytest.TempPathFactory) -> Wire:
    return Wire(platform, tmp_path_factory.mktemp("wire"))


@pytest.fixture(scope="module")
def billing(wire: Wire) -> WorkloadCertificate:
    """Return a service that may read, with a certificate."""
    certificate = wire.service("billing", "read")
    assert certificate.ensure()
    return certificate


def test_openssl_accepts_the_chain_for_seven_days_and_finds_the_name(
    wire: Wire, billing: WorkloadCertificate
) -> None:
    # Given
    bundle = wire.folder / "bundle.pem"
    bundle.write_bytes(Web(wire.clone.endpoints["api"]).get("/v1/nexus/trust-bundle").body)
    # When
    verified = openssl("verify", "-purpose", "sslclient", "-CAfile", str(bundle), str(billing.file))
    shown = openssl("x509", "-in", str(billing.file), "-noout", "-dates", "-ext", "subjectAltName")
    # Then
    assert (verified.returncode, verified.stdout) == (0, f"{billing.file}: OK\n"), verified.stderr
    assert "URI:spiffe://datapunk/public/billing" in shown.stdout
    dates = dict(line.split("=") for line in shown.stdout.splitlines() if "=" in line)
    start, end = (ssl.cert_time_to_seconds(dates[name]) for name in ("notBefore", "notAfter"))
    assert end - start == WEEK


def test_openssl_gets_in_with_a_certificate_and_not_without(
    wire: Wire, billing: WorkloadCertificate
) -> None:
    # Given
    own = ("-cert", str(billing.file), "-key", str(billing.file))
    # When
    without, with_it = wire.openssl(), wire.openssl(*own)
    older = wire.openssl("-tls1_2", *own)
    # Then
    assert with_it.stdout.startswith("HTTP/1.1 200 OK"), with_it.stderr
    # openssl ends with 1, or with the number of the system's error when the connection is cut off.
    assert without.returncode != 0
    assert older.returncode != 0
    assert (without.stdout, older.stdout) == ("", "")


@contextmanager
def _signing_as(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the key ring of the platform, as whoever has broken into it."""
    monkeypatch.setenv("KEY_RING", f"file:{clone.paths.key_ring}")
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


def _builder(
    key: ec.EllipticCurvePrivateKey, *, start: float, end: float, usage: x509.ObjectIdentifier
) -> x509.CertificateBuilder:
    """Return a certificate of the service's name; times are in seconds from now."""
    now = datetime.now(UTC)
    uri = x509.UniformResourceIdentifier("spiffe://datapunk/public/billing")
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "billing")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(seconds=start))
        .not_valid_after(now + timedelta(seconds=end))
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
    )


CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@pytest.mark.parametrize(
    "kind", ["none", "foreign", "self-signed of the same name", "expired", "not yet", "a server's"]
)
def test_a_certificate_that_is_not_good_ends_in_the_handshake(
    wire: Wire, billing: WorkloadCertificate, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    # Given
    key = ec.generate_private_key(ec.SECP256R1())
    start, end = {"expired": (-900.0, -300.0), "not yet": (300.0, 900.0)}.get(kind, (-60.0, 600.0))
    usage = SERVER if kind == "a server's" else CLIENT
    builder = _builder(key, start=start, end=end, usage=usage)
    if kind == "foreign":
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Another authority")])
        signed = builder.issuer_name(name).sign(
            ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()
        )
    elif kind == "self-signed of the same name":
        issuer = certificate_in(billing.file).issuer
        signed = builder.issuer_name(issuer).sign(key, hashes.SHA256())
    else:
        with _signing_as(wire.clone, monkeypatch):
            signed, _ = sign_certificate(builder)
    file = wire.folder / "bad.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    # When / Then
    context = wire.context(None if kind == "none" else file)
    with pytest.raises((OSError, http.client.HTTPException)):
        wire.call(context)
    # And the port goes on serving
    assert wire.call(billing.context()).status == 200


def test_a_revoked_certificate_opens_nothing_after_five_seconds(wire: Wire) -> None:
    # Given a connection that lives
    service = wire.service("shipping", "read")
    with closing(wire.connect(service.context())) as connection:
        assert ask(connection).status == 200
        # When
        path = f"/v1/nexus/certificates/{serial_of(service.file)}"
        assert wire.as_admin("DELETE", path).status == 204
        # Then, as long as the authorizer may remember it and a little more
        eventually(lambda: ask(connection).status == 401, seconds=FRESH + SLOW)
        assert_problem(ask(connection), 401)
    assert_problem(wire.call(service.context()), 401)


HEADERS = (
    *("X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Leaf", "X-Client-Cert", "Client-Cert"),
    *("X-SSL-Client-Cert", "X-SSL-Cert", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert"),
)


def test_a_certificate_in_a_header_is_nothing(wire: Wire, billing: WorkloadCertificate) -> None:
    # Given the certificate of a service that may write, which is no secret
    writer = wire.service("writer", "read", "write")
    writer.ensure()
    written = writer.file.read_text().partition("-----END PRIVATE KEY-----\n")[2]
    pem = "".join(written.splitlines())
    headers = dict.fromkeys(HEADERS, pem)
    body = '{"name": "forged", "columns": [{"name": "a", "type": "text"}]}'
    sent = {**headers, "Content-Type": "application/json"}
    # When it is shown to the plain port, and over the connection of a service that may not
    plain = Web(wire.clone.endpoints["api"]).get(ROUTE, **headers)
    other = wire.call(billing.context(), "POST", body=body, **sent)
    # Then
    assert_problem(plain, 401)
    assert "scope write" in assert_problem(other, 403)["detail"]


def test_what_steers_the_data_plane_is_not_on_this_port(
    wire: Wire, billing: WorkloadCertificate
) -> None:
    # Given / When / Then
    for path in ("/_datapunk/functions", "/_datapunk/ready"):
        assert wire.call(billing.context(), path=path).status == 404


@dataclass
class Load:
    """Services that send one request after the other, each over a connection of its own."""

    wire: Wire
    certificate: WorkloadCertificate
    outcomes: Counter[str] = field(default_factory=Counter)
    served: Counter[int] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stop.is_set():
            serial = certificate_in(self.certificate.file).serial_number
            try:
                status = str(self.wire.call(self.certificate.context()).status)
            except (OSError, http.client.HTTPException) as error:
                status = repr(error)
            self.outcomes[status] += 1
            self.served[serial] += 1

    @contextmanager
    def running(self, threads: int = 3) -> Iterator[None]:
        workers = [threading.Thread(target=self.run) for _ in range(threads)]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            self.stop.set()
            for worker in workers:
                worker.join(TIMEOUT)

    def goes_on(self, requests: int = 20) -> None:
        """Wait until so many requests have been served from now on."""
        wanted = self.outcomes.total() + requests
        eventually(lambda: self.outcomes.total() >= wanted, pause=0.05)


@pytest.mark.timeout(120)
def test_changing_certificate_and_root_under_load_fails_no_request(wire: Wire) -> None:
    # Given
    service = wire.service("orders", "read")
    service.ensure()
    load = Load(wire, service)
    plane = Platform(wire.clone.paths, {}).data_plane
    rotate = "datapunk-local-nexus-rotate_authority"
    known = plane.control("GET", "functions")["trusted_roots"]
    first = certificate_in(service.file)
    old = wire.folder / "old.pem"
    shutil.copy(service.file, old)
    with load.running():
        load.goes_on()
        # When the certificate has had two thirds of its life
        assert not service.ensure(renew_at(first) - timedelta(seconds=1))
        assert service.ensure(renew_at(first))
        second = certificate_in(service.file)
        load.goes_on()
        # And a root follows
        outcome = plane.invoke(rotate, {"force": True, "lead_seconds": 4})
        signs = time.monotonic() + 4
        eventually(lambda: plane.control("GET", "functions")["trusted_roots"] == known + 1)
        assert time.monotonic() < signs, "the gateway is to trust a root before it signs"
        eventually(lambda: time.monotonic() > signs + 1)
        assert service.ensure(renew_at(second))
        third = certificate_in(service.file)
        load.goes_on()
        # Then the certificate of before, of the old root, is as good
        assert wire.call(wire.context(old)).status == 200
    assert len(outcome["added"]) == 1
    assert first.issuer == second.issuer != third.issuer
    assert {item.serial_number for item in (first, second, third)} == set(load.served)
    assert set(load.outcomes) == {"200"}, load.outcomes
