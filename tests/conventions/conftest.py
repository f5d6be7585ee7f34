"""A provider to sign in with, under the name that samples use."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from datapunk.nexus.federation import oidc
from datapunk.settings import settings

from tests.support.identity_provider import CLIENT_ID, CLIENT_SECRET
from tests.support.signing_in import RunningProvider, running_provider


@pytest.fixture(scope="session")
def provider_process() -> Iterator[RunningProvider]:
    """Return a provider's process that all tests share; who comes is `sample@example.com`."""
    with running_provider() as running:
        running.person(sub="1", email="sample@example.com", email_verified=True, name="Sample")
        yield running


@pytest.fixture
def google(
    database: str, provider_process: RunningProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configure the provider as `google`."""
    oidc.forget()
    client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    entry = {"issuer": provider_process.url, **client}
    monkeypatch.setenv("SIGN_IN_PROVIDERS", json.dumps({"google": entry}))
    settings.cache_clear()
