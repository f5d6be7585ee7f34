"""What a provider says about someone who signed in there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProvidedIdentity:
    """Someone at a provider. Of the addresses only a verified one is worth anything."""

    provider: str
    issuer: str
    subject: str
    email: str
    email_verified: bool
    name: str
