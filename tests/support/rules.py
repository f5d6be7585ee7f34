"""Rules of feature flags, as an operator writes them, and a server like AppConfig's data API."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

ON, OFF = True, False


def rule(value: Any, *conditions: tuple[str, str, Any]) -> dict[str, Any]:
    """Return a rule: the value where all conditions (key, action, value) are met."""
    return {
        "when_match": value,
        "conditions": [
            {"key": key, "action": action, "value": wanted} for key, action, wanted in conditions
        ],
    }


def boolean(default: bool, **rules: dict[str, Any]) -> dict[str, Any]:  # noqa: FBT001
    """Return a boolean flag's rules."""
    return {"default": default, "rules": rules} if rules else {"default": default}


def other(default: Any, **rules: dict[str, Any]) -> dict[str, Any]:
    """Return the rules of a flag that is no boolean."""
    return {**boolean(default, **rules), "boolean_type": False}


def write(path: Path, rules: Any) -> None:
    """Replace the file whole, as an operator's editor does."""
    new = path.with_suffix(".new")
    new.write_text(rules if isinstance(rules, str) else json.dumps(rules), encoding="utf-8")
    new.replace(path)


@dataclass
class AppConfig:
    """What the server answers, and what it was asked."""

    url: str = ""
    rules: Any = field(default_factory=dict)
    fails: bool = False
    hangs: float = 0.0
    """Seconds before an answer."""
    sessions: int = 0
    readings: int = 0
    asked_for: dict[str, Any] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    """What each session was given last: it gets nothing while that has not changed."""
    token: str = ""


@contextlib.contextmanager
def appconfig() -> Iterator[AppConfig]:
    """Serve sessions and configurations as AppConfig's data API does."""
    state = AppConfig()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            state.asked_for = json.loads(self.rfile.read(length))
            state.sessions += 1
            token = f"session-{state.sessions}.0"
            self.answer(201, json.dumps({"InitialConfigurationToken": token}).encode(), {})

        def do_GET(self) -> None:
            state.readings += 1
            (token,) = parse_qs(urlsplit(self.path).query)["configuration_token"]
            session, _, number = token.partition(".")
            text = json.dumps(state.rules)
            # An unchanged configuration comes as an empty body.
            content = b"" if state.given.get(session) == text else text.encode()
            state.given[session] = text
            following = f"{session}.{int(number) + 1}"
            headers = {
                "Next-Poll-Configuration-Token": following,
                "Next-Poll-Interval-In-Seconds": "60",
                "Content-Type": "application/json",
            }
            self.answer(200, content, headers)

        def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            time.sleep(state.hangs)
            if state.fails:
                status, content, headers = 500, b"{}", {}
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
