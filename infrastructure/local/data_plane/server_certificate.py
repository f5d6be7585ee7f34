"""The certificate that the API on one machine shows, from an authority that the instance makes for itself.

On AWS it comes from Certificate Manager. The authority can name this machine only, so that trusting it opens
nothing else; the certificate lives 30 days and is made anew after two thirds of them.
"""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME = timedelta(days=3650)
LIFETIME = timedelta(days=30)
_SKEW = timedelta(minutes=1)
_OWNER_ONLY = 0o600
_NAME = "localhost"
_ADDRESSES = ("127.0.0.1", "::1")


class ServerCertificate:
    """Two files in a folder: `ca.pem`, which clients trust, and `server.pem`, key and certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = folder / "ca.pem"
        self.file = folder / "server.pem"

    def ensure(self, now: datetime | None = None) -> bool:
        """Make what is missing or old, and tell whether the certificate is another one now."""
        moment = now or datetime.now(UTC)
        current = self._read()
        if current is not None and moment < _renew_at(current):
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        authority, key = self._ensure_authority(moment)
        self._write_server(authority, key, moment)
        return True

    def _read(self) -> x509.Certificate | None:
        """Return the server's certificate unless it is missing, torn or of another authority."""
        try:
            certificate = x509.load_pem_x509_certificate(self.file.read_bytes())
            authority = x509.load_pem_x509_certificate(self.authority.read_bytes())
            certificate.verify_directly_issued_by(authority)
        except (OSError, ValueError, TypeError, InvalidSignature):
            return None
        return certificate

    def _ensure_authority(
        self, moment: datetime
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        secret = self._folder / "ca.key"
        try:
            certificate = x509.load_pem_x509_certificate(self.authority.read_bytes())
            key = serialization.load_pem_private_key(secret.read_bytes(), password=None)
        except (OSError, ValueError):
            pass
        else:
            if (
                isinstance(key, ec.EllipticCurvePrivateKey)
                and key.public_key() == certificate.public_key()
                and moment + LIFETIME < certificate.not_valid_after_utc
            ):
                return certificate, key
        private = ec.generate_private_key(ec.SECP256R1())
        name = _subject("Datapunk on this machine")
        certificate = (
            _builder(name, private.public_key(), moment, AUTHORITY_LIFETIME)
            .issuer_name(name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.NameConstraints(_permitted(), None), critical=True)
            .sign(private, hashes.SHA256())
        )
        _write(secret, _private_pem(private))
        _write(self.authority, certificate.public_bytes(serialization.Encoding.PEM))
        return certificate, private

    def _write_server(
        self, authority: x509.Certificate, key: ec.EllipticCurvePrivateKey, moment: datetime
    ) -> None:
        private = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(_NAME), *_addresses()])
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        certificate = (
            _builder(_subject(_NAME), private.public_key(), moment, LIFETIME)
            .issuer_name(authority.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(server, critical=False)
            .add_extension(names, critical=False)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        _write(self.file, _private_pem(private) + pem)


def _renew_at(certificate: x509.Certificate) -> datetime:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return start + (end - start) * 2 / 3


def _builder(
    subject: x509.Name, public: ec.EllipticCurvePublicKey, moment: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    start = moment.replace(microsecond=0) - _SKEW
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lifetime)
        .add_extension(identifier, critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _addresses() -> list[x509.GeneralName]:
    return [x509.IPAddress(ipaddress.ip_address(address)) for address in _ADDRESSES]


def _permitted() -> list[x509.GeneralName]:
    networks = [x509.IPAddress(ipaddress.ip_network(address)) for address in _ADDRESSES]
    return [x509.DNSName(_NAME), *networks]


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(file: Path, content: bytes) -> None:
    """Replace a file as a whole, readable by its owner only."""
    beside = file.with_name(f".{file.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
    beside.replace(file)
