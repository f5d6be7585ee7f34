"""Proof Key for Code Exchange (RFC 7636), in its one method that keeps the verifier secret: S256."""

from __future__ import annotations

import base64
import hashlib


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
