"""Proof of an IAM identity: a signed GetCallerIdentity request that we send to AWS in the sender's place.

Whoever holds a role's credentials signs the request (Signature Version 4) without sending it. Only STS can
tell whether the signature is right, and answers whose it is. Two signed headers bind the request to this
platform and to one certificate request, so that nobody can use it elsewhere or for another key.
"""

from __future__ import annotations

import http.client
import os
import re
import urllib.error
import urllib.request
from typing import Annotated, Any
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from datapunk.context import remaining_seconds
from datapunk.errors import UnauthenticatedError, UnavailableError
from datapunk.iam_request import BODY, CSR_HEADER, FORM, ISSUER_HEADER, csr_digest
from datapunk.settings import settings

_SIGNED = frozenset({"host", "x-amz-date", "content-type", ISSUER_HEADER, CSR_HEADER})
_HEADERS = re.compile(r"SignedHeaders=([a-z0-9;-]+)")
_ASSUMED = re.compile(r"^arn:([a-z-]+):sts::(\d{12}):assumed-role/([\w+=,.@-]+)/[^/]+$")
_TIMEOUT = 5.0
_LARGEST = 64 * 1024
_Header = Annotated[str, Field(max_length=2048, pattern=r"^[\x20-\x7e]+$")]


class IamProof(BaseModel):
    """The headers of a signed GetCallerIdentity request that tell who signed it."""

    model_config = ConfigDict(extra="forbid")

    authorization: _Header = Field(description="`AWS4-HMAC-SHA256 ...`.")
    date: Annotated[str, Field(pattern=r"^\d{8}T\d{6}Z$", description="`X-Amz-Date`.")]
    security_token: Annotated[SecretStr, Field(max_length=8192)] | None = Field(
        default=None, description="`X-Amz-Security-Token`."
    )


def verify_iam_proof(proof: IamProof, *, csr: str) -> str:
    """Return the ARN of whoever signed the request.

    Raises UnauthenticatedError unless AWS confirms the signature and all that matters is signed,
    UnavailableError when AWS does not answer.
    """
    signed = _HEADERS.search(proof.authorization)
    if signed is None or not set(signed[1].split(";")) >= _SIGNED:
        raise UnauthenticatedError("The proof does not sign: " + ", ".join(sorted(_SIGNED)) + ".")
    url = sts_url()
    headers = {
        "Accept": "application/json",
        "Content-Type": FORM,
        "Host": urlsplit(url).netloc,
        "X-Amz-Date": proof.date,
        "Authorization": proof.authorization,
        ISSUER_HEADER: settings().issuer,
        CSR_HEADER: csr_digest(csr),
    }
    if proof.security_token is not None:
        token = proof.security_token.get_secret_value()
        if not (token.isascii() and token.isprintable()):
            raise UnauthenticatedError("The proof's security token is none.")
        headers["X-Amz-Security-Token"] = token
    try:
        return str(
            _ask(url, headers)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]["Arn"]
        )
    except (KeyError, TypeError) as error:
        raise UnavailableError("sts") from error


def sts_url() -> str:
    """Return the address of AWS STS in this region."""
    region = os.environ.get("AWS_REGION", "us-east-1")
    return settings().sts_url or f"https://sts.{region}.amazonaws.com/"


def same_role(role_arn: str, arn: str) -> bool:
    """Tell whether an ARN that STS names is a session of the role.

    A session's ARN lacks the role's path; within an account a role's name is unique without it.
    """
    session = _ASSUMED.match(arn)
    _, partition, _, _, account, role = role_arn.split(":", 5)
    return session is not None and session.groups() == (
        partition,
        account,
        role.rpartition("/")[2],
    )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nothing: only STS says who signed."""


def _ask(url: str, headers: dict[str, str]) -> Any:
    request = urllib.request.Request(url, data=BODY, headers=headers)  # noqa: S310 -- of our settings
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if urlsplit(url).hostname in ("localhost", "127.0.0.1"):
        handlers.append(urllib.request.ProxyHandler({}))
    limit = min(_TIMEOUT, max(0.1, remaining_seconds() - 1))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=limit) as answer:
            return orjson.loads(answer.read(_LARGEST))
    except urllib.error.HTTPError as error:
        with error:
            if 400 <= error.code < 500:  # noqa: PLR2004 -- client errors
                raise UnauthenticatedError("AWS does not confirm the proof.") from None
            raise UnavailableError("sts") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnavailableError("sts") from error
