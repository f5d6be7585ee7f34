"""nexus.rotate_authority: roots, and the gateway that is given them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from datapunk.errors import InvalidInputError, UnavailableError
from datapunk.keyring import authority_key_ring
from datapunk.keyring.file import FileKeyRing
from datapunk.nexus.authority import LEAD, trust_bundle
from datapunk.settings import settings
from datapunk.trust_store import KEY

from tests.support.answers import Answers
from tests.support.invoking import Invoker

OPERATION = "nexus.rotate_authority"
DOMAIN = "internal.example.com"
WISH = {"force": True, "lead_seconds": 300}


@pytest.fixture(autouse=True)
def _ring(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have empty key rings, and a bucket."""
    monkeypatch.setenv("KEY_RING", f"file:{tmp_path / 'keyring'}")
    settings.cache_clear()


class _Gateway(BaseHTTPRequestHandler):
    """The part of API Gateway's API that the emulators do not have: a domain whose trust store changes."""

    domain: ClassVar[dict[str, Any] | None] = None
    patches: ClassVar[list[list[dict[str, str]]]] = []
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        self._answer(404 if self.domain is None else self.status)

    def do_PATCH(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.patches.append(content["patchOperations"])
        for item in content["patchOperations"]:
            name = item["path"].removeprefix("/mutualTlsAuthentication/")
            assert self.domain is not None
            self.domain["mutualTlsAuthentication"][name] = item["value"]
        self._answer(self.status)

    def _answer(self, status: int) -> None:
        assert unquote(self.path) == f"/domainnames/{DOMAIN}"
        content = json.dumps(self.domain if status == 200 else {"message": "no"}).encode()
        self.send_response(status)
        if status == 404:
            self.send_header("x-amzn-ErrorType", "NotFoundException")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Gateway]]:
    """Have a domain that uses the trust store as it was when the domain was made."""
    mutual_tls = {"truststoreUri": f"s3://datapunk/{KEY}"}
    members = {"domain": {"mutualTlsAuthentication": mutual_tls}, "patches": []}
    kind = type("Gateway", (_Gateway,), members)
    with HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_API_GATEWAY", url)
        monkeypatch.setenv("MUTUAL_TLS_DOMAIN", DOMAIN)
        settings.cache_clear()
        yield kind
        server.shutdown()
        thread.join(10)


def _stored(**version: str) -> tuple[str, dict[str, Any]]:
    answer = boto3.client("s3").get_object(Bucket="datapunk", Key=KEY, **version)
    return answer["Body"].read().decode(), dict(answer)


def test_the_first_root_signs_at_once_and_is_in_the_bucket(tmp_path: Path, invoke: Invoker) -> None:
    # Given
    FileKeyRing(tmp_path / "keyring").add(1)
    # When
    outcome = invoke.sample(OPERATION)
    # Then it has a key of its own
    assert outcome["added"] == [key.kid for key in authority_key_ring().list_keys()]
    assert outcome["added"] != [key.kid for key in FileKeyRing(tmp_path / "keyring").list_keys()]
    content, answer = _stored()
    assert content == trust_bundle()
    assert len(x509.load_pem_x509_certificates(content.encode())) == 1
    # And the gateway may read it without a key of ours
    assert (answer["VersionId"], answer["ServerSideEncryption"]) == (outcome["version"], "AES256")


def test_a_run_that_changes_nothing_writes_nothing(invoke: Invoker) -> None:
    # Given
    first = invoke.sample(OPERATION)
    # When
    second = invoke.sample(OPERATION)
    # Then
    assert second == {"added": [], "removed": [], "version": first["version"]}
    versions = boto3.client("s3").list_object_versions(Bucket="datapunk")["Versions"]
    assert [item["VersionId"] for item in versions] == [first["version"]]


def test_both_roots_are_in_a_version_of_its_own_and_the_domain_uses_it(
    gateway: type[_Gateway], invoke: Invoker
) -> None:
    # Given
    first = invoke.sample(OPERATION)["version"]
    # When
    second = invoke.event(OPERATION, WISH)["version"]
    again = invoke.sample(OPERATION)["version"]
    # Then
    old, _ = _stored(VersionId=first)
    new, _ = _stored(VersionId=second)
    assert new.startswith(old)
    assert new.count("BEGIN CERTIFICATE") == 2
    assert again == second != first
    uri = {
        "op": "replace",
        "path": "/mutualTlsAuthentication/truststoreUri",
        "value": f"s3://datapunk/{KEY}",
    }
    path = "/mutualTlsAuthentication/truststoreVersion"
    assert gateway.patches == [
        [uri, {"op": "replace", "path": path, "value": version}] for version in (first, second)
    ]


def test_the_lead_of_a_root_is_what_was_asked_for(invoke: Invoker) -> None:
    # Given
    invoke.sample(OPERATION)
    # When
    invoke.event(OPERATION, WISH)
    # Then
    first, second = (key.signs_from for key in authority_key_ring().list_keys())
    assert 300 <= second - first < 360


@pytest.mark.parametrize("wish", [{"lead_seconds": LEAD + 1}, {"lead_seconds": -1}, {"forced": 1}])
def test_a_wish_that_is_none_is_refused(wish: dict[str, Any], invoke: Invoker) -> None:
    # Given / When / Then
    with pytest.raises(InvalidInputError):
        invoke.event(OPERATION, wish)
    assert authority_key_ring().list_keys() == ()


def test_a_domain_that_is_not_made_yet_is_nothing(gateway: type[_Gateway], invoke: Invoker) -> None:
    # Given
    gateway.domain = None
    # When
    invoke.sample(OPERATION)
    # Then
    assert gateway.patches == []
    assert _stored()[0] == trust_bundle()


def test_what_the_gateway_did_not_take_is_given_to_it_by_the_next_run(
    gateway: type[_Gateway], invoke: Invoker
) -> None:
    # Given
    gateway.status = 400
    with pytest.raises(UnavailableError, match="apigateway"):
        invoke.sample(OPERATION)
    # When
    gateway.status = 200
    outcome = invoke.sample(OPERATION)
    # Then
    assert outcome["added"] == []
    assert gateway.domain is not None
    assert gateway.domain["mutualTlsAuthentication"]["truststoreVersion"] == outcome["version"]


def test_a_bucket_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, invoke: Invoker
) -> None:
    # Given
    monkeypatch.setenv("STORAGE_BUCKET", "another")
    settings.cache_clear()
    # When / Then
    with pytest.raises(UnavailableError, match="s3") as raised:
        invoke.sample(OPERATION)
    assert isinstance(raised.value.__cause__, ClientError)


def test_a_deployment_waits_for_the_first_root(invoke: Invoker, cloudformation: Answers) -> None:
    # Given
    event = {
        "RequestType": "Create",
        "ResponseURL": cloudformation.url,
        "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/datapunk/1",
        "RequestId": "f2a1",
        "LogicalResourceId": "NexusAuthority",
        "ResourceProperties": {},
    }
    # When
    invoke.event(OPERATION, event)
    # Then
    assert cloudformation.documents[0]["Status"] == "SUCCESS"
    assert _stored()[0] == trust_bundle()
