"""Services with certificates, as tests need them."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from datapunk.nexus.users import UserAccount

from tests.support.invoking import Answer, answer
from tests.support.people import acting, add_user
from tests.support.samples import http_event


def new_csr(private: Any = None, subject: str = "whoever") -> str:
    """Return a certificate request as PEM, for a new P-256 key by default."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    signed = request.sign(private or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def administrator(tenant: str = "public") -> UserAccount:
    return add_user(f"admin@{tenant}.example", roles=("admin",), tenant=tenant)


def register(admin: UserAccount, service: str = "billing", **registration: Any) -> Answer:
    """Register a service in the administrator's tenant."""
    event = http_event(
        "nexus.register_workload",
        path={"service": service},
        body={"scopes": ["read"], **registration},
        **acting(admin),
    )
    return answer("nexus.register_workload", event)


def ask(secret: str | None, csr: str | None = None, **changed: Any) -> Answer:
    """Ask for a certificate; what is None is left out."""
    body = {
        "tenant": "public",
        "service": "billing",
        "csr": csr or new_csr(),
        "registration_secret": secret,
        **changed,
    }
    sent = {name: value for name, value in body.items() if value is not None}
    return answer("nexus.issue_certificate", http_event("nexus.issue_certificate", body=sent))


def certificate_of(admin: UserAccount, service: str = "billing", **registration: Any) -> Any:
    """Register a service and return the certificate issued to it."""
    secret = register(admin, service, **registration).json["registration_secret"]
    got = ask(secret, tenant=admin.tenant, service=service)
    assert got.status == 201, got.body
    return got.json


def presented(pem: str) -> dict[str, Any]:
    """Return what API Gateway's mutual TLS says of a client's certificate."""
    read = x509.load_pem_x509_certificate(pem.encode())
    return {
        "clientCertPem": pem,
        "subjectDN": read.subject.rfc4514_string(),
        "issuerDN": read.issuer.rfc4514_string(),
        "serialNumber": str(read.serial_number),
        "validity": {
            "notBefore": f"{read.not_valid_before_utc:%b %d %H:%M:%S %Y} GMT",
            "notAfter": f"{read.not_valid_after_utc:%b %d %H:%M:%S %Y} GMT",
        },
    }
