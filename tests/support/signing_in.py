"""A browser that signs in: at our own page, and through a provider in a process of its own."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from datapunk.forms import FORM

from tests.support.identity_provider import CLIENT_ID, CLIENT_SECRET
from tests.support.invoking import Answer, answer
from tests.support.samples import PROJECT, http_event

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Leave every redirect to the test."""


_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


@dataclass
class Browser:
    """Keeps cookies and runs our real handlers."""

    cookies: dict[str, str] = field(default_factory=dict)

    def form(self, **query: str) -> str:
        """Open the sign-in page and return its token."""
        page = self._run("nexus.sign_in", query=query)
        found = _TOKEN.search(page.body)
        assert found, page
        return found[1]

    def sign_in(self, email: str, password: str, **changes: Any) -> Answer:
        """Fill in the form and send it; `headers` and fields may be changed."""
        headers = changes.pop("headers", {})
        fields = {"csrf_token": self.form(), "email": email, "password": password} | changes
        return self.send(fields, headers)

    def send(self, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        return self._run(
            "nexus.sign_in",
            method="POST",
            query={},
            body=urlencode(fields),
            content_type=FORM,
            headers=dict(headers or {}),
        )

    def begin(self, provider: str, **query: str) -> Answer:
        """Choose a provider on the page."""
        path = {"provider": provider}
        return self._run("nexus.begin_federated_sign_in", path=path, query=query)

    def come_back(self, location: str, provider: str | None = None) -> Answer:
        """Follow a provider's redirect to our callback, or to that of another provider."""
        parts = urlsplit(location)
        named = provider or parts.path.split("/")[-2]
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        path = {"provider": named}
        return self._run("nexus.complete_federated_sign_in", path=path, query=query)

    def through(self, provider: str, **query: str) -> Answer:
        """Sign in at a provider and come back."""
        return self.come_back(visit(self.begin(provider, **query).headers["location"]))

    def _run(self, operation: str, *, method: str | None = None, **changes: Any) -> Answer:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookie, **changes.pop("headers", {})}
        event = http_event(operation, headers=headers, **changes)
        event["httpMethod"] = method or event["httpMethod"]
        given = answer(operation, event)
        for item in re.split(r", (?=\w+[-\w]*=)", given.headers.get("set-cookie", "")):
            name, _, value = item.partition(";")[0].partition("=")
            if "Max-Age=0" in item:
                self.cookies.pop(name, None)
            elif name:
                self.cookies[name] = value
        return given


def visit(url: str) -> str:
    """Go to a provider and return where it sends the browser."""
    try:
        with _OPENER.open(url, timeout=10):
            raise AssertionError(f"{url} leads nowhere")
    except urllib.error.HTTPError as redirect:
        with redirect:
            assert redirect.code == 302, redirect.read()
            return str(redirect.headers["Location"])


@dataclass(frozen=True)
class RunningProvider:
    """The provider's process, and what tests tell it."""

    url: str

    def person(self, **person: Any) -> None:
        self._put("person", person)

    def faults(self, **faults: Any) -> None:
        self._put("faults", faults)

    def seen(self) -> list[dict[str, Any]]:
        with _OPENER.open(f"{self.url}/seen", timeout=10) as answered:
            found: list[dict[str, Any]] = json.load(answered)
        return found

    def settings(self, **more: Any) -> str:
        """Return the setting `SIGN_IN_PROVIDERS`: the process in both dialects."""
        client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **more}
        return json.dumps(
            {
                "acme": {"label": "Acme", "issuer": self.url, **client},
                "github": {"issuer": self.url, "api": f"{self.url}/api", **client},
            }
        )

    def _put(self, path: str, document: Any) -> None:
        data = json.dumps(document).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data=data, method="PUT")
        with _OPENER.open(request, timeout=10):
            return


@contextlib.contextmanager
def running_provider() -> Iterator[RunningProvider]:
    """Run a provider for the body."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.identity_provider"],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield RunningProvider(process.stdout.readline().strip())
    finally:
        # Its input ends, and with it the process.
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
