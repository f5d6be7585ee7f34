"""A server that somebody else runs: used as its URL says, never started or stopped."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Mapping

from infrastructure.local.services.service import (
    ServiceState,
    ServiceStatus,
    wait_until_ready,
)


class ExternalService:
    """A service that is given by URLs.

    `urls` has them as `endpoints.json` names them; `variable` is the environment variable that
    brought them; `checks` holds for each URL the question whether its server answers.
    """

    def __init__(
        self,
        name: str,
        variable: str,
        urls: Mapping[str, str],
        checks: Mapping[str, Callable[[str], bool]],
    ) -> None:
        self.name = name
        self._variable = variable
        self._urls = dict(urls)
        self._checks = checks

    def endpoints(self) -> dict[str, str]:
        """Return the URLs as given."""
        return dict(self._urls)

    def start(self) -> None:
        """Leave it alone."""

    def ready(self) -> bool:
        """Tell whether it answers at all its URLs."""
        return all(self._checks[name](url) for name, url in self._urls.items())

    def wait_ready(self, timeout: float) -> None:
        """Wait until it answers."""
        wait_until_ready(self.name, self.ready, None, timeout)

    def stop(self) -> None:
        """Leave it alone."""

    def status(self) -> ServiceStatus:
        """Return whether it answers; the endpoint is shown without credentials."""
        parts = urllib.parse.urlsplit(next(iter(self._urls.values())))
        endpoint = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
        state = ServiceState.READY if self.ready() else ServiceState.DOWN
        return ServiceStatus(self.name, state, f"external, given by {self._variable}", endpoint)
