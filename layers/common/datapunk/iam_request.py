"""What a service signs to prove its IAM role: both sides, the service and the platform, write it the same."""

from __future__ import annotations

import hashlib

BODY = b"Action=GetCallerIdentity&Version=2011-06-15"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
ISSUER_HEADER = "x-datapunk-issuer"
CSR_HEADER = "x-datapunk-csr"


def csr_digest(csr: str) -> str:
    """Return what the signed request says of the certificate request: SHA-256 of its PEM, in hex."""
    return hashlib.sha256(csr.encode()).hexdigest()
