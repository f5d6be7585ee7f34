"""A provider to sign in with, a service to route to, and workers for what outlasts the gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from datapunk import functions
from datapunk.nexus.federation import oidc
from datapunk.settings import settings

from tests.support.routing import Upstream, add_route, enter, running
from tests.support.signing_in import RunningProvider, running_provider
from tests.support.workers import Workers


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


@pytest.fixture(scope="session")
def upstream_process() -> Iterator[Upstream]:
    """Return an instance's process that all tests share."""
    with running("billing-1") as only:
        yield only


@pytest.fixture
def upstream(database: str, upstream_process: Upstream) -> Upstream:
    """Return the one instance of the service, with a rule for all of it."""
    upstream_process.control()
    enter(upstream_process)
    add_route()
    return upstream_process


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """Have events run in processes, as Lambda does."""
    found = Workers()
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "datapunk-test-nexus-route")
    settings.cache_clear()
    monkeypatch.setattr(functions, "invoke_later", found.invoke_later)
    yield found
    found.close()
