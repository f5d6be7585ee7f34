"""A service on AWS proves its role: by a request that a server like STS checks the signature of."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from datapunk.iam_request import BODY, CSR_HEADER, FORM, ISSUER_HEADER, csr_digest
from datapunk.nexus.iam_proof import same_role, sts_url
from datapunk.settings import settings

from tests.support.workloads import administrator, ask, new_csr, register

pytestmark = pytest.mark.usefixtures("authority")
ROLE = "arn:aws:iam::000000000000:role/services/billing"
SESSION = "arn:aws:sts::000000000000:assumed-role/billing/i-0123"
CREDENTIALS = Credentials("ASIAEXAMPLE", "a secret of the role", "a session token")


class _Sts(BaseHTTPRequestHandler):
    """Answers who signed, when the signature over what arrived is right."""

    arn: ClassVar[str] = SESSION
    status: ClassVar[int] = 200
    asked: ClassVar[int] = 0

    def do_POST(self) -> None:
        type(self).asked += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.status if self._is_signed(body) else 403
        answer = {"GetCallerIdentityResponse": {"GetCallerIdentityResult": {"Arn": self.arn}}}
        content = json.dumps(answer if status == 200 else {"Error": {}}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _is_signed(self, body: bytes) -> bool:
        given = self.headers["Authorization"]
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        arrived = {name: self.headers.get(name, "") for name in names}
        request = AWSRequest("POST", f"http://{self.headers['Host']}/", data=body, headers=arrived)
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        auth = SigV4Auth(CREDENTIALS, "sts", "us-east-1")
        canonical = auth.canonical_request(request)
        signature = auth.signature(auth.string_to_sign(request, canonical), request)
        return given.endswith(f"Signature={signature}") and body == BODY

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Sts]]:
    """Be on AWS, where STS is a server of the test's own."""
    kind = type("Sts", (_Sts,), {})
    with HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("DATAPUNK_STAGE", "prod")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{server.server_port}/")
        settings.cache_clear()
        yield kind
        server.shutdown()
        thread.join(10)


def proof(
    csr: str, *, issuer: str | None = None, without: str = "", secret: str | None = None
) -> dict[str, Any]:
    """Return what a service sends to prove its role."""
    headers = {
        "Content-Type": FORM,
        ISSUER_HEADER: issuer or settings().issuer,
        CSR_HEADER: csr_digest(csr),
    }
    headers = {name: value for name, value in headers.items() if name != without}
    request = AWSRequest("POST", sts_url(), data=BODY, headers=headers)
    credentials = Credentials(
        CREDENTIALS.access_key, secret or CREDENTIALS.secret_key, CREDENTIALS.token
    )
    SigV4Auth(credentials, "sts", "us-east-1").add_auth(request)
    return {
        "authorization": request.headers["Authorization"],
        "date": request.headers["X-Amz-Date"],
        "security_token": request.headers["X-Amz-Security-Token"],
    }


def test_a_service_that_has_the_role_gets_a_certificate(sts: type[_Sts]) -> None:
    # Given
    register(administrator(), role_arn=ROLE)
    csr = new_csr()
    # When
    answer = ask(None, csr, iam=proof(csr))
    # Then
    assert (answer.status, sts.asked) == (201, 1), answer.body
    assert answer.json["spiffe_id"] == "spiffe://datapunk/public/billing"


@pytest.mark.parametrize(
    "changed",
    [
        {"secret": "of somebody else"},
        {"issuer": "https://another.example"},
        {"without": ISSUER_HEADER},
        {"without": CSR_HEADER},
    ],
    ids=str,
)
def test_what_was_signed_otherwise_is_refused(sts: type[_Sts], changed: dict[str, str]) -> None:
    # Given
    register(administrator(), role_arn=ROLE)
    csr = new_csr()
    # When / Then
    assert ask(None, csr, iam=proof(csr, **changed)).status == 401


def test_a_proof_is_good_for_its_own_key_only(sts: type[_Sts]) -> None:
    # Given a proof that somebody has overheard
    register(administrator(), role_arn=ROLE)
    overheard = proof(new_csr())
    # When / Then
    assert ask(None, new_csr(), iam=overheard).status == 401


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:sts::000000000000:assumed-role/billing2/i-0123",
        "arn:aws:sts::111111111111:assumed-role/billing/i-0123",
        "arn:aws-cn:sts::000000000000:assumed-role/billing/i-0123",
        "arn:aws:iam::000000000000:user/billing",
        "arn:aws:iam::000000000000:root",
    ],
)
def test_another_identity_is_refused(sts: type[_Sts], arn: str) -> None:
    # Given
    register(administrator(), role_arn=ROLE)
    sts.arn = arn
    csr = new_csr()
    # When / Then
    assert ask(None, csr, iam=proof(csr)).status == 401
    assert not same_role(ROLE, arn)


def test_sts_that_fails_is_no_refusal(sts: type[_Sts]) -> None:
    # Given
    register(administrator(), role_arn=ROLE)
    sts.status = 503
    csr = new_csr()
    # When / Then
    assert ask(None, csr, iam=proof(csr)).status == 503


def test_for_a_stranger_nobody_is_asked(sts: type[_Sts]) -> None:
    # Given
    csr = new_csr()
    # When
    status = ask(None, csr, iam=proof(csr), service="unknown").status
    # Then
    assert (status, sts.asked) == (401, 0)


def test_no_secret_replaces_the_role(sts: type[_Sts]) -> None:
    # Given
    register(administrator(), role_arn=ROLE)
    # When / Then
    assert ask("").status == ask("-").status == 401


def test_without_a_setting_it_is_the_regions_own(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    monkeypatch.delenv("AWS_ENDPOINT_URL_STS", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    settings.cache_clear()
    # When / Then
    assert sts_url() == "https://sts.eu-west-1.amazonaws.com/"
