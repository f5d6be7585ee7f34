"""The certificate of a service that calls the platform: asked for, kept in a file, renewed in time.

For services, not for the platform's own functions. In a Python service:

    certificate = WorkloadCertificate(api, "public", "billing", Path("billing.pem"), secret_proof(secret))
    threading.Thread(target=certificate.keep, daemon=True).start()
    http.client.HTTPSConnection(host, context=certificate.context())

For any other, `python -m datapunk.workload --help` keeps the file. It is replaced as a whole, and the
certificate of before stays good for a third of its life, so nothing has to happen at the same moment.
"""

from __future__ import annotations

import argparse
import http.client
import json
import logging
import os
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from datapunk.errors import DatapunkError, UnauthenticatedError, UnavailableError
from datapunk.iam_request import BODY, CSR_HEADER, FORM, ISSUER_HEADER, csr_digest

LOGGER = logging.getLogger(__name__)
CHECK_SECONDS = 3600.0
"""How often at least the age is looked at: a machine may have slept."""
RETRY_SECONDS = 60.0
"""How long after a failure it is tried again."""
_TIMEOUT = 30.0
_LARGEST = 64 * 1024
_OWNER_ONLY = 0o600
_REFUSALS = (400, 401, 403, 404, 413, 415, 422)
"""Answers that asking again does not change."""
_SECRET = "REGISTRATION_SECRET"  # noqa: S105 -- the variable's name

Proof = Callable[[str], dict[str, Any]]
"""Returns, for a certificate request, the members of the question that prove who asks."""


class WorkloadCertificate:
    """Key and certificate of a service, in one PEM file. `authority` verifies a platform on one machine."""

    def __init__(
        self,
        api: str,
        tenant: str,
        service: str,
        file: Path,
        prove: Proof,
        *,
        authority: Path | None = None,
    ) -> None:
        self.file = file
        self._api = api.rstrip("/")
        self._who = {"tenant": tenant, "service": service}
        self._prove = prove
        self._authority = authority
        self._asking = threading.Lock()
        self._choosing = threading.Lock()
        self._again_at = 0.0
        self._context: tuple[x509.Certificate, ssl.SSLContext] | None = None

    def ensure(self, now: datetime | None = None) -> bool:
        """Ask for a certificate when there is none or it has had two thirds of its life; tell whether so.

        A renewal that fails is told in the log and tried again after a minute, while the old one is good.
        Raises UnauthenticatedError when the platform does not take the proof, UnavailableError when it does
        not answer, once there is no good one.
        """
        moment = now or datetime.now(UTC)
        good = self._good(moment)
        if good and moment < renew_at(good):
            return False
        # While another thread asks, a certificate that is still good will do.
        if not self._asking.acquire(blocking=good is None):
            return False
        try:
            return self._renew(moment)
        finally:
            self._asking.release()

    def context(self) -> ssl.SSLContext:
        """Return what connections are made with now; ask again for the next one, for it may be another.

        Raises what `ensure` raises.
        """
        self.ensure()
        held = self._good(datetime.now(UTC))
        if held is None:
            raise UnavailableError("nexus", f"{self.file} is gone.")
        with self._choosing:
            if self._context is None or self._context[0] != held:
                # Another object each time: a handshake that goes on must not get half of each.
                context = ssl.create_default_context(cafile=self._authority)
                context.load_cert_chain(self.file)
                self._context = (held, context)
            return self._context[1]

    def keep(self, stop: threading.Event | None = None) -> None:
        """Renew in time until `stop` is set; raises what the first `ensure` raises, and nothing later."""
        self.ensure()
        stop = stop or threading.Event()
        while not stop.wait(self._pause()):
            try:
                self.ensure()
            except (DatapunkError, OSError) as error:
                LOGGER.warning("There is no good certificate: %s", error)

    def _pause(self) -> float:
        held = self._good(datetime.now(UTC))
        left = (renew_at(held) - datetime.now(UTC)).total_seconds() if held else 0.0
        return min(max(left, RETRY_SECONDS), CHECK_SECONDS)

    def _renew(self, moment: datetime) -> bool:
        good = self._good(moment)
        if good and (moment < renew_at(good) or time.monotonic() < self._again_at):
            return False
        try:
            self._write(*self._ask())
        except DatapunkError as error:
            self._again_at = time.monotonic() + RETRY_SECONDS
            if good is None:
                raise
            LOGGER.warning("The certificate in %s is not renewed: %s", self.file, error.detail)
            return False
        return True

    def _good(self, moment: datetime) -> x509.Certificate | None:
        """Return the certificate in the file unless it is missing, expired, or for another key."""
        try:
            content = self.file.read_bytes()
            certificate = x509.load_pem_x509_certificate(content)
            key = serialization.load_pem_private_key(content, password=None)
        except (OSError, ValueError):
            return None
        fits = key.public_key() == certificate.public_key()
        return certificate if fits and moment < certificate.not_valid_after_utc else None

    def _ask(self) -> tuple[ec.EllipticCurvePrivateKey, str]:
        private = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        signed = request.sign(private, hashes.SHA256())
        csr = signed.public_bytes(serialization.Encoding.PEM).decode()
        answer = self._post({**self._who, "csr": csr, **self._prove(csr)})
        return private, str(answer["certificate"])

    def _post(self, question: dict[str, Any]) -> Any:
        request = urllib.request.Request(  # noqa: S310 -- the service says where the platform is
            f"{self._api}/v1/nexus/certificates",
            data=json.dumps(question).encode(),
            headers={"Content-Type": "application/json"},
        )
        verified = ssl.create_default_context(cafile=self._authority)
        handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=verified)]
        if urlsplit(self._api).hostname in ("localhost", "127.0.0.1"):
            handlers.append(urllib.request.ProxyHandler({}))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=_TIMEOUT) as answer:
                return json.loads(answer.read(_LARGEST))
        except urllib.error.HTTPError as error:
            with error:
                detail = _detail(error.read(_LARGEST)) or f"The platform answers {error.code}."
            if error.code in _REFUSALS:
                raise UnauthenticatedError(detail) from None
            raise UnavailableError("nexus", detail) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise UnavailableError("nexus", f"{self._api} does not answer: {reason}.") from error

    def _write(self, private: ec.EllipticCurvePrivateKey, certificate: str) -> None:
        pem = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        beside = self.file.with_name(f".{self.file.name}.new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(pem + certificate.encode())
            opened.flush()
            os.fsync(opened.fileno())
        beside.replace(self.file)


def renew_at(certificate: x509.Certificate) -> datetime:
    """Return when the next certificate is asked for: at two thirds of this one's life."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return start + (end - start) * 2 / 3


def secret_proof(secret: str) -> Proof:
    """Return the proof by a registration secret, which a platform on one machine takes."""
    return lambda _: {"registration_secret": secret}


def iam_proof(issuer: str, region: str) -> Proof:
    """Return the proof by the IAM role that this process has, which the platform takes on AWS.

    `issuer` is the platform's, as in its discovery document. The request to STS is signed and not sent; the
    platform sends it on.
    """

    def prove(csr: str) -> dict[str, Any]:
        import boto3
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        headers = {"Content-Type": FORM, ISSUER_HEADER: issuer, CSR_HEADER: csr_digest(csr)}
        url = f"https://sts.{region}.amazonaws.com/"
        request = AWSRequest(method="POST", url=url, data=BODY, headers=headers)
        try:
            credentials = boto3.Session().get_credentials()
            if credentials is None:
                raise UnauthenticatedError("This process has no AWS credentials.")
            SigV4Auth(credentials.get_frozen_credentials(), "sts", region).add_auth(request)
        except BotoCoreError as error:
            raise UnavailableError("iam", f"There are no AWS credentials: {error}.") from error
        proof = {"authorization": request.headers["Authorization"]}
        proof["date"] = request.headers["X-Amz-Date"]
        if "X-Amz-Security-Token" in request.headers:
            proof["security_token"] = request.headers["X-Amz-Security-Token"]
        return {"iam": proof}

    return prove


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep a service's certificate in a file, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m datapunk.workload",
        description="Keep a service's certificate in a file.",
        epilog=f"{_SECRET} holds the registration secret; without it the service proves its IAM role.",
    )
    parser.add_argument("--api", required=True, help="address of the platform, also its issuer")
    parser.add_argument("--tenant", default="public")
    parser.add_argument("--service", required=True)
    parser.add_argument("--file", type=Path, required=True, help="PEM: key and certificate")
    parser.add_argument("--region", default=os.environ.get("AWS_REGION", "us-east-1"))
    parser.add_argument("--once", action="store_true", help="ask if it is time, then end")
    given = parser.parse_args(arguments)
    secret = os.environ.get(_SECRET)
    prove = secret_proof(secret) if secret else iam_proof(given.api, given.region)
    kept = WorkloadCertificate(given.api, given.tenant, given.service, given.file, prove)
    try:
        if given.once:
            kept.ensure()
        else:
            kept.keep()
    except DatapunkError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _detail(content: bytes) -> str:
    try:
        return str(json.loads(content)["detail"])
    except (ValueError, KeyError, TypeError):
        return ""


if __name__ == "__main__":
    sys.exit(main())
