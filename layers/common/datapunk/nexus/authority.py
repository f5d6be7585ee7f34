"""The platform's certificate authority: its root certificates, and what it signs.

Each key of its ring has one root certificate, which follows from the key alone: RSASSA-PKCS1-v1_5 signs the
same content the same way each time, so roots need not be stored. A new root is in the trust bundle 30 days
before it signs, and an old one until the last certificate it signed has expired. Whatever changes the roots
gives the gateway the new bundle.
"""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509.oid import NameOID
from pydantic import BaseModel, ConfigDict, Field

from datapunk.keyring import RingKey, authority_key_ring
from datapunk.keyring.handle import SigningHandle
from datapunk.keyring.rotation import Succession, signing_key
from datapunk.trust_store import publish_roots

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, CertificateBuilder

DAY = 86_400
LEAF_LIFETIME = 7 * DAY
PERIOD = 180 * DAY
LEAD = 30 * DAY
"""Seconds a root is in the trust bundle before it signs: the gateway's copy is renewed by then."""
OVERLAP = LEAF_LIFETIME + DAY
_ROOT_LIFETIME = 2 * PERIOD
_SERIAL_BYTES = 19
_ROOTS = Succession(PERIOD, LEAD, OVERLAP)
_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class AuthorityRotation(BaseModel):
    """What is wanted of a rotation; nothing, on most days."""

    model_config = ConfigDict(extra="forbid")

    force: bool = Field(default=False, description="Make the next root though none is due.")
    lead_seconds: int = Field(
        default=LEAD,
        ge=0,
        le=LEAD,
        description="How long the next root is trusted before it signs. The gateway needs minutes on AWS.",
    )


class RotatedAuthority(BaseModel):
    """What a rotation has done."""

    added: list[str] = Field(description="Key ids of new roots.")
    removed: list[str] = Field(description="Key ids of roots that verify nothing any more.")
    version: str = Field(description="Version of the trust bundle in the bucket.")


def trust_bundle() -> str:
    """Return the root certificates to trust now, as PEM one after the other, the oldest first."""
    ring = authority_key_ring()
    return "".join(_pem(_root(key.kid)) for key in _ROOTS.published(ring.list_keys(), time.time()))


def rotate_authority(wanted: AuthorityRotation) -> RotatedAuthority:
    """Make the next root when it is due or wanted, drop old ones, and give the gateway the trust bundle.

    It may run at any time and at several places at once: the key ring takes each root once, and the bundle is
    the same wherever it is made. Raises UnavailableError when the key ring or AWS does not answer; what was
    made stays, and the next run goes on from there.
    """
    outcome = rotate_roots(force=wanted.force, lead=wanted.lead_seconds)
    return RotatedAuthority(**outcome, version=publish_roots(trust_bundle()))


def rotate_roots(
    *, now: float | None = None, force: bool = False, lead: int | None = None
) -> dict[str, Any]:
    """Make the next root's key when it is due (or `force`), remove those that verify nothing any more."""
    moment = int(time.time() if now is None else now)
    return _ROOTS.rotate(authority_key_ring(), moment, force=force, lead=lead)


def sign_certificate(builder: CertificateBuilder) -> tuple[Certificate, str]:
    """Return the certificate signed by the root of now, and that root as PEM.

    The builder lacks the issuer and the authority's key identifier. Raises UnavailableError when no root
    signs now, or the key ring cannot.
    """
    ring = authority_key_ring()
    key = signing_key(ring, time.time())
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public)
    builder = builder.issuer_name(_name(key)).add_extension(issuer, critical=False)
    return builder.sign(SigningHandle(ring, key), hashes.SHA256()), _pem(_root(key.kid))


def is_ours(certificate: Certificate) -> bool:
    """Tell whether one of the roots to trust now has signed the certificate."""
    for key in _ROOTS.published(authority_key_ring().list_keys(), time.time()):
        if certificate.issuer == _name(key) and isinstance(
            certificate.signature_hash_algorithm, hashes.SHA256
        ):
            try:
                key.public.verify(
                    certificate.signature,
                    certificate.tbs_certificate_bytes,
                    padding.PKCS1v15(),
                    hashes.SHA256(),
                )
            except InvalidSignature:
                return False
            return True
    return False


def key_usage(*allowed: str) -> x509.KeyUsage:
    """Return the key usage extension (RFC 5280, 4.2.1.3) that allows exactly these."""
    return x509.KeyUsage(**{name: name in allowed for name in _KEY_USAGES})


@cache
def _root(kid: str) -> Certificate:
    ring = authority_key_ring()
    key = next(key for key in ring.list_keys() if key.kid == kid)
    start = key.signs_from - LEAD - 60
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public)
    digest = hashlib.sha256(key.kid.encode()).digest()[:_SERIAL_BYTES]
    return (
        x509.CertificateBuilder()
        .subject_name(_name(key))
        .issuer_name(_name(key))
        .public_key(key.public)
        .serial_number(int.from_bytes(digest, "big") | 1)
        .not_valid_before(datetime.fromtimestamp(start, UTC))
        .not_valid_after(datetime.fromtimestamp(key.signs_from + _ROOT_LIFETIME, UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(identifier, critical=False)
        .sign(SigningHandle(ring, key), hashes.SHA256())
    )


def _name(key: RingKey) -> x509.Name:
    """Return the root's name, another one for each key, so that nobody mixes two up."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Datapunk"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Datapunk workloads {key.kid[:16]}"),
        ]
    )


def _pem(certificate: Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
