"""A provider to sign in with, for the tests of federated sign-in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from datapunk.nexus.federation import oidc
from datapunk.settings import settings

from tests.support.signing_in import RunningProvider, running_provider


@pytest.fixture(scope="session")
def provider_process() -> Iterator[RunningProvider]:
    """Return a provider's process that all tests share."""
    with running_provider() as running:
        yield running


@pytest.fixture
def provider(
    database: str, provider_process: RunningProvider, monkeypatch: pytest.MonkeyPatch
) -> RunningProvider:
    """Return a provider without faults, which is configured as `acme` and as `github`."""
    oidc.forget()
    provider_process.faults()
    provider_process.person(sub="acme-1", email="Ann@Example.com", email_verified=True, name="Ann")
    monkeypatch.setenv("SIGN_IN_PROVIDERS", provider_process.settings())
    settings.cache_clear()
    return provider_process
