"""The listener of mutual TLS by itself: whom it trusts while trust store and own certificate change."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infrastructure.local.data_plane.mutual_tls import (
    MutualTls,
    MutualTlsProtocol,
    client_certificate,
)
from infrastructure.local.data_plane.server_certificate import LIFETIME, ServerCertificate

PEM = serialization.Encoding.PEM
STORE = "s3://bucket/bundle.pem"


class Root:
    """An authority of clients."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.pem = self._sign(self._name, self._key, ca=True).public_bytes(PEM).decode()

    def _sign(self, subject: x509.Name, key: Any, *, ca: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        basic = x509.BasicConstraints(ca=ca, path_length=None)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(0xABC)
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(basic, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def client(self, file: Path) -> Path:
        """Write a client's key and certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "client")])
        private = key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + self._sign(subject, key, ca=False).public_bytes(PEM))
        return file


class Listener:
    """A server that answers with what it knows of its client, on an event loop of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: str | None = None
        self.tls = MutualTls(folder, lambda uri: self.store if uri == STORE else None)
        self.tls.apply(STORE)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._answer,
                port=0,
                http=MutualTlsProtocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                ssl_context_factory=lambda *_: self.tls.context,
            )
        )
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._serve)

    async def _answer(self, scope: Any, _: Any, send: Any) -> None:
        content = json.dumps(client_certificate(scope)).encode()
        length = [(b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": content})

    def _serve(self) -> None:
        self._loop.run_until_complete(self._server.serve())

    def start(self) -> None:
        self._thread.start()
        give_up = threading.Event()
        for _ in range(500):
            if self._server.started:
                return
            give_up.wait(0.02)
        raise AssertionError("the listener did not start")

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._loop.close()

    @property
    def port(self) -> int:
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    def trust(self, *roots: Root) -> None:
        self.store = "".join(root.pem for root in roots)
        self.refresh()

    def refresh(self) -> None:
        asyncio.run_coroutine_threadsafe(self.tls.refresh(), self._loop).result(10)

    def ask(self, file: Path, host: str = "localhost") -> Any:
        with closing(self.connect(file, host)) as connection:
            connection.request("GET", "/")
            return json.loads(connection.getresponse().read())

    def connect(self, file: Path, host: str = "localhost") -> HTTPSConnection:
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        context.load_cert_chain(file)
        return HTTPSConnection(host, self.port, context=context, timeout=10)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    own = Listener(tmp_path / "tls")
    own.start()
    try:
        yield own
    finally:
        own.stop()


REFUSED = (OSError, HTTPException)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_application_learns_the_certificate_as_api_gateway_tells_it(
    listener: Listener, tmp_path: Path, host: str
) -> None:
    # Given
    root = Root("first")
    file = root.client(tmp_path / "client.pem")
    listener.trust(root)
    # When
    told = listener.ask(file, host)
    # Then
    read = x509.load_pem_x509_certificate(file.read_bytes())
    assert told == {
        "clientCertPem": read.public_bytes(PEM).decode(),
        "subjectDN": "CN=client",
        "issuerDN": "CN=first",
        "serialNumber": "0a:bc",
        "validity": told["validity"],
    }
    end = ssl.cert_time_to_seconds(told["validity"]["notAfter"])
    assert end == read.not_valid_after_utc.timestamp()


def test_before_the_trust_store_is_known_nobody_gets_in(listener: Listener, tmp_path: Path) -> None:
    # Given
    file = Root("first").client(tmp_path / "client.pem")
    # When / Then
    with pytest.raises(REFUSED):
        listener.ask(file)


def test_roots_come_and_go_while_connections_live(listener: Listener, tmp_path: Path) -> None:
    # Given
    first, second = Root("first"), Root("second")
    old, new = first.client(tmp_path / "old.pem"), second.client(tmp_path / "new.pem")
    listener.trust(first)
    with closing(listener.connect(old)) as living:
        living.request("GET", "/")
        assert living.getresponse().read()
        # When the second follows
        listener.trust(first, second)
        # Then both are good
        assert [listener.ask(file)["issuerDN"] for file in (old, new)] == ["CN=first", "CN=second"]
        # When the first is gone
        listener.trust(second)
        # Then it opens no connection, and the one that lives has not noticed
        with pytest.raises(REFUSED):
            listener.ask(old)
        assert listener.ask(new)
        living.request("GET", "/")
        assert json.loads(living.getresponse().read())["issuerDN"] == "CN=first"


def test_a_trust_store_that_is_none_changes_nothing(listener: Listener, tmp_path: Path) -> None:
    # Given
    root = Root("first")
    file = root.client(tmp_path / "client.pem")
    listener.trust(root)
    # When
    listener.store = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    with pytest.raises(ssl.SSLError):
        listener.refresh()
    # Then
    assert listener.ask(file)


def test_a_session_is_not_resumed(listener: Listener, tmp_path: Path) -> None:
    # Given a client that keeps its session
    root, other = Root("first"), Root("second")
    file = root.client(tmp_path / "client.pem")
    listener.trust(root)
    with closing(listener.connect(file)) as connection:
        connection.request("GET", "/")
        connection.getresponse().read()
        # When / Then there is no ticket by which it could come again unverified
        assert isinstance(connection.sock, ssl.SSLSocket)
        assert connection.sock.version() == "TLSv1.3"
        session = connection.sock.session
        assert session is None or not session.has_ticket
    listener.trust(other)
    with pytest.raises(REFUSED):
        listener.ask(file)


def _shown(listener: Listener, file: Path) -> x509.Certificate:
    with closing(listener.connect(file)) as connection:
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        return x509.load_der_x509_certificate(connection.sock.getpeercert(binary_form=True) or b"")


def test_its_own_certificate_is_renewed_while_it_listens(
    listener: Listener, tmp_path: Path
) -> None:
    # Given one that has had more than two thirds of its thirty days
    root = Root("first")
    file = root.client(tmp_path / "client.pem")
    listener.trust(root)
    first = _shown(listener, file)
    assert first.not_valid_after_utc - first.not_valid_before_utc == LIFETIME == timedelta(days=30)
    own = ServerCertificate(listener.folder)
    own.file.unlink()
    assert own.ensure(datetime.now(UTC) - timedelta(days=25))
    # When
    listener.refresh()
    # Then
    assert _shown(listener, file).serial_number != first.serial_number
    assert not own.ensure()


def test_the_authority_of_this_machine_vouches_for_no_other_name(tmp_path: Path) -> None:
    # Given
    own = ServerCertificate(tmp_path)
    own.ensure()
    # When
    authority = x509.load_pem_x509_certificate(own.authority.read_bytes())
    # Then
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    names = [str(name.value) for name in constraints.value.permitted_subtrees or ()]
    assert constraints.critical
    assert names == ["localhost", "127.0.0.1/32", "::1/128"]
    assert (tmp_path / "ca.key").stat().st_mode & 0o077 == 0
    assert own.file.stat().st_mode & 0o077 == 0
