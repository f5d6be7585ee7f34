"""nexus.get_trust_bundle: roots before they sign, and as long as anything they signed is good."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from cryptography import x509
from datapunk.keyring import authority_key_ring
from datapunk.nexus import authority
from datapunk.nexus.authority import LEAD, OVERLAP, PERIOD, rotate_roots
from datapunk.nexus.certificates import caller_of_certificate
from datapunk.settings import settings

from tests.support.invoking import Invoker
from tests.support.workloads import administrator, certificate_of, presented


def _roots(invoke: Invoker) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(invoke("nexus.get_trust_bundle").body.encode())


@pytest.mark.usefixtures("authority")
def test_the_bundle_is_the_same_whoever_makes_it(invoke: Invoker) -> None:
    # Given
    first = invoke("nexus.get_trust_bundle")
    # When another environment computes the roots anew
    authority._root.cache_clear()
    second = invoke("nexus.get_trust_bundle")
    # Then
    assert first.body == second.body
    assert first.headers["content-type"] == "application/x-pem-file"
    (root,) = _roots(invoke)
    root.verify_directly_issued_by(root)


@pytest.mark.usefixtures("database")
def test_changing_the_root_refuses_no_certificate(
    invoke: Invoker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a root whose successor is due, and a certificate of it
    monkeypatch.setenv("KEY_RING", f"file:{tmp_path / 'keyring'}")
    settings.cache_clear()
    now = int(time.time())
    rotate_roots(now=now - PERIOD + LEAD)
    admin = administrator()
    old = certificate_of(admin)
    # When the next one is made
    assert rotate_roots()["added"]
    # Then it is trusted, and signs nothing yet
    first, second = _roots(invoke)
    issuer = x509.load_pem_x509_certificate(old["certificate"].encode()).issuer
    assert issuer == first.subject != second.subject
    # When it signs
    ring = authority_key_ring()
    for key in ring.list_keys()[1:]:
        ring.remove(key.kid)
    ring.add(now - 1)
    new = certificate_of(admin)
    # Then certificates of both are good, until those of the old one have expired
    assert all(caller_of_certificate(presented(one["certificate"])) for one in (old, new))
    assert rotate_roots(now=now - 2 + OVERLAP)["removed"] == []
    assert rotate_roots(now=now - 1 + OVERLAP)["removed"]
    assert caller_of_certificate(presented(old["certificate"])) is None
    assert caller_of_certificate(presented(new["certificate"]))
