"""The mutual TLS side of the API on one machine: what API Gateway's domain with a trust store does.

A client shows a certificate of one of the trust store's roots, or the handshake fails. Its certificate
reaches the application by ASGI's `tls` extension, so never by anything that a client writes.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from infrastructure.local.data_plane.server_certificate import ServerCertificate

LOGGER = logging.getLogger(__name__)
FOLLOW_SECONDS = 1.0
"""How often the trust store is looked at. AWS is told of a new version by UpdateDomainName."""

ReadTrustStore = Callable[[str], str | None]
"""Returns a trust store's content by its URI, None when it has not changed since it was asked last."""


class MutualTlsProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose scopes say by which certificate the client connected (ASGI TLS extension 0.2)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the certificate that the handshake has verified."""
        super().connection_made(transport)
        connection = transport.get_extra_info("ssl_object")
        shown = connection.getpeercert(binary_form=True)
        chain = [ssl.DER_cert_to_PEM_cert(shown)] if shown else []
        self._tls: dict[object, object] = {"client_cert_chain": chain, "client_cert_error": None}

    def on_message_begin(self) -> None:
        """Begin a request's scope."""
        super().on_message_begin()
        self.scope["extensions"] = {"tls": self._tls}


class MutualTls:
    """The TLS context of the listener, whose roots and certificate change while it listens."""

    def __init__(self, folder: Path, read: ReadTrustStore) -> None:
        self._certificate = ServerCertificate(folder)
        self._read = read
        self._store: str | None = None
        self._roots = ""
        self._certificate.ensure()
        # Whoever connects before the trust store is known is refused: this context trusts nobody.
        self._current = self._new_context("")
        self.context = self._new_context("")
        self.context.sni_callback = self._choose_context

    @property
    def roots(self) -> int:
        """How many roots are trusted now."""
        return len(self._current.get_ca_certs())

    def apply(self, store: str | None) -> None:
        """Follow the trust store with this URI from now on."""
        self._store = store

    async def follow(self) -> None:
        """Take over what changes, until cancelled."""
        said = ""
        while True:
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001 -- the control plane may be of any state
                # What was trusted stays trusted: a store that cannot be read says nothing.
                reason = f"{type(error).__name__}: {error}"
                if reason != said:
                    LOGGER.warning("The trust store %s cannot be read: %s", self._store, reason)
                    said = reason
            else:
                said = ""
            await asyncio.sleep(FOLLOW_SECONDS)

    async def refresh(self) -> None:
        """Look at the trust store and at the age of the certificate now. Raises what reading raises."""
        roots = None
        if self._store is not None:
            roots = await asyncio.to_thread(self._read, self._store)
        if self._certificate.ensure():
            self._current = self._new_context(self._roots)
        if roots is not None and roots != self._roots:
            # A bundle that is none raises here, before anything has changed.
            self._current = self._new_context(roots)
            self._roots = roots
            LOGGER.info("Clients need a certificate of one of %d roots.", self.roots)

    def _choose_context(
        self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        """Have a handshake that begins use what counts now; OpenSSL asks with and without a name."""
        connection.context = self._current

    def _new_context(self, roots: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        # A resumed session would not be verified again.
        context.num_tickets = 0
        context.load_cert_chain(self._certificate.file)
        if roots:
            context.load_verify_locations(cadata=roots)
        return context


def client_certificate(scope: Any) -> dict[str, Any] | None:
    """Return `requestContext.identity.clientCert` of a request, None where no certificate was shown."""
    chain = scope.get("extensions", {}).get("tls", {}).get("client_cert_chain")
    if not chain:
        return None
    pem = chain[0]
    certificate = x509.load_pem_x509_certificate(pem.encode())
    serial = f"{certificate.serial_number:x}"
    serial = serial.zfill(len(serial) + len(serial) % 2)
    return {
        "clientCertPem": pem,
        "subjectDN": certificate.subject.rfc4514_string(),
        "issuerDN": certificate.issuer.rfc4514_string(),
        "serialNumber": ":".join(serial[at : at + 2] for at in range(0, len(serial), 2)),
        "validity": {
            "notBefore": f"{certificate.not_valid_before_utc:%b %e %H:%M:%S %Y} GMT",
            "notAfter": f"{certificate.not_valid_after_utc:%b %e %H:%M:%S %Y} GMT",
        },
    }
