"""The data plane as a service of the launcher: gateway, runner and event sources in one process."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infrastructure.local.control_plane import aws
from infrastructure.local.loopback import open_url
from infrastructure.local.paths import Paths
from infrastructure.local.ports import LOOPBACK
from infrastructure.local.processes import Process
from infrastructure.local.services.service import (
    READY_SECONDS,
    ServiceError,
    ServiceState,
    ServiceStatus,
    process_status,
    wait_until_ready,
)
from infrastructure.local.state import State, write_text

NAME = "api"
INVOKE = "invoke"
MUTUAL_TLS = "mutual_tls"
PREFERRED_PORT = 8080
PREFERRED_MUTUAL_TLS_PORT = 8443
STOP_SECONDS = 15.0
WORK_SECONDS = 30.0
"""For what takes it a second of work, and longer where the machine has other work."""
_FINGERPRINT = "data-plane"


class DataPlaneService:
    """The one process behind the API. It is replaced when its own code or configuration has changed."""

    name = NAME

    def __init__(self, paths: Paths, state: State, stack_name: str) -> None:
        self._paths = paths
        self._state = state
        self._stack_name = stack_name
        self._given: dict[str, str] = {}

    def configure(self, *, aws_endpoint: str, amqp_url: str, template: Path) -> None:
        """Say what it works with; to be called before `start`."""
        self._given = {
            "aws_endpoint": aws_endpoint,
            "amqp_url": amqp_url,
            "template": str(template),
        }

    def start(self) -> None:
        """Start it unless it runs as it would be started now."""
        process = self._process()
        if process.alive() is not None:
            if self._state.decision(_FINGERPRINT) == self._fingerprint():
                return
            process.stop(STOP_SECONDS)
        self.choose_ports()
        write_text(self._config_file, json.dumps(self._config(), indent=2))
        self._state.decide(_FINGERPRINT, self._fingerprint())
        process.start()

    def choose_ports(self) -> None:
        """Choose the ports, unless it runs: what is deployed names the API's address."""
        if self._process().alive() is None:
            self._state.claim_port(NAME, preferred=PREFERRED_PORT)
            self._state.claim_port(INVOKE)
            self._state.claim_port(MUTUAL_TLS, preferred=PREFERRED_MUTUAL_TLS_PORT)

    def ready(self) -> bool:
        """Tell whether the gateway has read what is deployed and answers."""
        if self._state.port(NAME) is None or self._process().alive() is None:
            return False
        try:
            answer = self.control("GET", "ready")
        except (OSError, ValueError):
            return False
        # Another instance may have taken the port in the instant between the choice and the start.
        return bool(answer["ready"]) and answer["instance"] == str(self._paths.state)

    def wait_ready(self, timeout: float) -> None:
        """Wait until it answers. Raises ServiceError after `timeout` seconds."""
        wait_until_ready(self.name, self.ready, self._process(), timeout, self.start)

    def stop(self) -> None:
        """Stop it; requests in flight are answered first."""
        self._process().stop(STOP_SECONDS)

    def status(self) -> ServiceStatus:
        """Return how it is now, with the number of warm environments."""
        status = process_status(self, self._process(), self.endpoints().get(NAME, ""))
        if status.state is not ServiceState.READY:
            return status
        try:
            functions = self.control("GET", "functions").get("functions", {})
        except (OSError, ValueError):  # it has ended since it was asked
            return process_status(self, self._process(), self.endpoints().get(NAME, ""))
        warm = sum(int(item.get("environments", 0)) for item in functions.values())
        detail = f"{len(functions)} functions, {warm} environments"
        if MUTUAL_TLS in self.endpoints():
            detail += f", mutual TLS at {self.endpoints()[MUTUAL_TLS]}"
        return ServiceStatus(status.name, status.state, detail, status.endpoint, status.pid)

    def endpoints(self) -> dict[str, str]:
        """Return the URLs of the API, of its WebSocket and mutual TLS sides and of the Invoke API."""
        api, invoke, tls = (self._state.port(name) for name in (NAME, INVOKE, MUTUAL_TLS))
        if api is None or invoke is None:
            return {}
        return {
            NAME: f"http://localhost:{api}",
            "websocket": f"ws://localhost:{api}/_datapunk/websocket",
            INVOKE: f"http://{LOOPBACK}:{invoke}",
            # An instance of before has none until it is started anew.
            **({MUTUAL_TLS: f"https://localhost:{tls}"} if tls else {}),
        }

    def control(self, method: str, name: str, timeout: float = READY_SECONDS) -> dict[str, Any]:
        """Call one of the data plane's own routes. Raises OSError without an answer in `timeout` seconds."""
        url = f"http://{LOOPBACK}:{self._state.port(NAME)}/_datapunk/{name}"
        request = urllib.request.Request(url, method=method)
        with open_url(request, timeout) as answer:
            return dict(json.load(answer))

    def reload(self) -> None:
        """Have it read again what is deployed. Raises ServiceError when it cannot."""
        try:
            self.control("POST", "reload", WORK_SECONDS)
        except urllib.error.HTTPError as error:
            reason = error.read().decode(errors="replace")
        except OSError as error:
            reason = str(error)
        else:
            return
        raise ServiceError(
            f"the data plane cannot read what is deployed: {reason}\n"
            f"`make logs NAME=data-plane` has more; `make down` and `make up` start it afresh"
        )

    def follow_trust(self) -> None:
        """Have it look at the trust store now instead of a moment later. Raises ServiceError."""
        try:
            self.control("POST", "trust", WORK_SECONDS)
        except OSError as error:
            raise ServiceError(
                f"the API's mutual TLS does not know whom to trust ({error}); run `make up` again. "
                f"`make logs NAME=data-plane` has more"
            ) from None

    def invoke(
        self, function: str, payload: Mapping[str, Any] | None = None, timeout: float = 330
    ) -> dict[str, Any]:
        """Run a function once, as a deployment or an operator does.

        Raises ServiceError with the function's reason.
        """
        url = f"{self.endpoints()[INVOKE]}/2015-03-31/functions/{function}/invocations"
        request = urllib.request.Request(
            url, data=json.dumps(payload or {}).encode(), method="POST"
        )
        try:
            with open_url(request, timeout) as answer:
                outcome = json.load(answer)
                failed = answer.headers.get("X-Amz-Function-Error")
        except urllib.error.HTTPError as error:
            raise ServiceError(f"{function} cannot be invoked: {error.read().decode()}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ServiceError(
                f"{function} did not answer ({error}); run `make up` again. "
                f"`make logs NAME={function}` has more"
            ) from None
        if failed:
            reason = outcome.get("errorMessage", outcome)
            raise ServiceError(f"{function} failed: {reason}. `make logs NAME={function}` has more")
        return dict(outcome)

    @property
    def _config_file(self) -> Path:
        return self._paths.run / "data-plane.json"

    def _config(self) -> dict[str, Any]:
        invoke = self._state.port(INVOKE)
        variables: Mapping[str, str] = {
            "AWS_ENDPOINT_URL": self._given["aws_endpoint"],
            "AWS_ENDPOINT_URL_LAMBDA": f"http://{LOOPBACK}:{invoke}",
            "AWS_ACCESS_KEY_ID": aws.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": aws.SECRET_KEY,
        }
        return {
            "project": str(self._paths.project),
            "state": str(self._paths.state),
            "gateway_host": LOOPBACK,
            "gateway_port": self._state.port(NAME),
            "invoke_port": invoke,
            "mutual_tls_port": self._state.port(MUTUAL_TLS),
            "stack_name": self._stack_name,
            "environment": dict(variables),
            **self._given,
        }

    def _fingerprint(self) -> str:
        """Digest of the configuration and of the launcher's own code."""
        digest = hashlib.sha256(json.dumps(self._config(), sort_keys=True).encode())
        for file in sorted(Path(__file__).parent.rglob("*.py")):
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def _process(self) -> Process:
        mark = f"instance={self._paths.state.resolve()}"
        kept = ("PATH", "HOME", "LANG", "TZ")
        return Process(
            name=NAME,
            argv=(
                sys.executable,
                "-X",
                mark,
                "-m",
                "infrastructure.local.data_plane",
                "--config",
                str(self._config_file),
            ),
            log=self._paths.logs / "data-plane.log",
            pid_file=self._paths.run / "data-plane.pid",
            mark=mark,
            program=Path(sys.executable).name,
            cwd=self._paths.project,
            env={name: os.environ[name] for name in kept if name in os.environ},
        )
