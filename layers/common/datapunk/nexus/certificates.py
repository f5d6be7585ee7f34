"""Certificates of workloads: seven days, a SPIFFE ID (X.509-SVID), revoked by serial number."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from datapunk.database import Transaction, load_queries, transaction
from datapunk.errors import FieldError, InvalidInputError, NotFoundError
from datapunk.identity import SYSTEM, Caller
from datapunk.nexus.authority import LEAF_LIFETIME, is_ours, key_usage, sign_certificate
from datapunk.nexus.iam_proof import IamProof
from datapunk.nexus.roles import require_administrator
from datapunk.nexus.tenants import TenantId
from datapunk.nexus.workloads import (
    ServiceName,
    Workload,
    check_proof,
    find_workload,
    spiffe_id,
    workload_caller,
)

_SQL = Path(__file__).with_suffix(".sql")
SERIAL = r"^[0-9A-Fa-f]{1,42}$"
"""A serial number as people write it: hexadecimal, in either case, with or without zeros before it."""
_SKEW = timedelta(minutes=1)
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_RSA_BITS = range(2048, 4097)
_MOST_CSR = 8192
_MOST_PEM = 16_384
_ID_PARTS = 2
_TRUST_DOMAIN = "spiffe://datapunk/"


class CertificateRequest(BaseModel):
    """Who asks for a certificate, for which key, and the proof that it is him."""

    model_config = ConfigDict(extra="forbid")

    tenant: TenantId
    service: ServiceName
    csr: Annotated[str, Field(min_length=1, max_length=_MOST_CSR)] = Field(
        description="PKCS #10 request as PEM: RSA of 2,048 to 4,096 bits, or P-256 or P-384. "
        "What it says about its subject is not looked at."
    )
    registration_secret: Annotated[SecretStr, Field(max_length=256)] | None = None
    iam: IamProof | None = Field(
        default=None, description="On AWS: a signed GetCallerIdentity request."
    )

    @model_validator(mode="after")
    def _has_one_proof(self) -> CertificateRequest:
        if (self.registration_secret is None) == (self.iam is None):
            raise ValueError("needs one of registration_secret and iam")
        return self


class IssuedCertificate(BaseModel):
    """A certificate, and what to do with it."""

    serial: str
    spiffe_id: str
    certificate: str = Field(description="PEM.")
    authority: str = Field(description="The root that signed it, as PEM.")
    not_before: datetime
    not_after: datetime
    renew_at: datetime = Field(description="Two thirds of its life: ask for the next one then.")


def issue_certificate(request: CertificateRequest) -> IssuedCertificate:
    """Return a certificate for a service that proves itself; those it has stay good.

    Raises UnauthenticatedError without proof, InvalidInputError for a request that is none or a weak key,
    UnavailableError when the key ring or AWS does not answer.
    """
    with transaction(SYSTEM) as tx:
        found = find_workload(tx, request.tenant, request.service)
    workload = check_proof(found, request.registration_secret, request.iam, csr=request.csr)
    public = _requested_key(request.csr)
    certificate, authority = _sign(workload, public)
    serial = _serial(certificate)
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    with transaction(SYSTEM) as tx:
        tx.execute(
            load_queries(_SQL)["insert_certificate"],
            {
                "serial": serial,
                "tenant": workload.tenant,
                "service": workload.service,
                "not_before": start,
                "not_after": end,
            },
        )
    return IssuedCertificate(
        serial=serial,
        spiffe_id=workload.spiffe_id,
        certificate=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        authority=authority,
        not_before=start,
        not_after=end,
        renew_at=start + (end - start) * 2 / 3,
    )


def revoke_certificate(tx: Transaction, serial: str) -> None:
    """Refuse a certificate of the caller's tenant from now on; it may be revoked already.

    Raises NotFoundError when the tenant has none with this serial number, ForbiddenError when the caller
    is no administrator.
    """
    require_administrator(tx)
    parameters = {"serial": serial.lower().lstrip("0"), "tenant": tx.caller.tenant}
    if not tx.execute(load_queries(_SQL)["revoke_certificate"], parameters):
        raise NotFoundError(
            f"There is no certificate {serial}.",
            errors=[FieldError("serial", "does not exist", "not_found")],
        )


def purge_certificates(tx: Transaction) -> int:
    """Forget certificates that have expired, and return how many."""
    return tx.execute(load_queries(_SQL)["purge_certificates"])


def caller_of_certificate(client_cert: Mapping[str, Any]) -> Caller | None:
    """Return the service that a certificate belongs to, None when it is not good.

    `client_cert` is `requestContext.identity.clientCert`, whose `clientCertPem` alone is looked at. The
    gateway has verified the chain and that the sender has the key, against a copy of the trust bundle and
    without revocation, so both are asked again here.
    """
    certificate = _read(client_cert.get("clientCertPem"))
    now = datetime.now(UTC)
    if certificate is None or not is_ours(certificate):
        return None
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        return None
    named = _named(certificate)
    if named is None:
        return None
    tenant, service = named
    parameters = {"serial": _serial(certificate), "tenant": tenant, "service": service}
    with transaction(SYSTEM) as tx:
        if not tx.value(load_queries(_SQL)["is_good"], parameters):
            return None
        caller = workload_caller(tx, tenant, service)
    return caller and replace(caller, valid_until=certificate.not_valid_after_utc.timestamp())


def _sign(workload: Workload, public: Any) -> tuple[x509.Certificate, str]:
    # Clocks differ a little; the minute is part of the seven days.
    start = datetime.now(UTC).replace(microsecond=0) - _SKEW
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, workload.tenant),
            x509.NameAttribute(NameOID.COMMON_NAME, workload.service),
        ]
    )
    # The SPIFFE ID says who calls; under the DNS name a service in a container is called.
    name = x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(workload.spiffe_id), x509.DNSName(workload.dns_name)]
    )
    usage = x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return sign_certificate(
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public)
        # 159 bits at most, and positive (RFC 5280, 4.1.2.2).
        .serial_number(secrets.randbits(152) | 1 << 152)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(seconds=LEAF_LIFETIME))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage("digital_signature"), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(name, critical=False)
        .add_extension(identifier, critical=False)
    )


def _requested_key(csr: str) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    """Return the key of a request that its holder has signed."""
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        signed = request.is_signature_valid
        public = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _bad_csr("is not a PKCS #10 request in PEM") from None
    if not signed:
        raise _bad_csr("is not signed with its own key")
    if isinstance(public, rsa.RSAPublicKey) and public.key_size in _RSA_BITS:
        return public
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, _CURVES):
        return public
    raise _bad_csr("needs a key of RSA (2,048 to 4,096 bits), P-256 or P-384")


def _bad_csr(message: str) -> InvalidInputError:
    return InvalidInputError(
        f"The certificate request {message}.", errors=[FieldError("csr", message, "csr")]
    )


def _read(pem: Any) -> x509.Certificate | None:
    if not isinstance(pem, str) or len(pem) > _MOST_PEM:
        return None
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return None


def _named(certificate: x509.Certificate) -> tuple[str, str] | None:
    """Return tenant and service of the one SPIFFE ID of a client's certificate."""
    try:
        extensions = certificate.extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1 or ExtendedKeyUsageOID.CLIENT_AUTH not in usages:
        return None
    parts = uris[0].removeprefix(_TRUST_DOMAIN).split("/")
    if len(parts) != _ID_PARTS or spiffe_id(*parts) != uris[0]:
        return None
    return parts[0], parts[1]


def _serial(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:x}"
