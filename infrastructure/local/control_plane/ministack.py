"""MiniStack, the emulator that answers for AWS on one machine."""

from __future__ import annotations

import http.client
import os
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from infrastructure.local.control_plane import aws
from infrastructure.local.control_plane.packages import ENDPOINTS_VARIABLE
from infrastructure.local.paths import Paths
from infrastructure.local.ports import LOOPBACK
from infrastructure.local.processes import listens
from infrastructure.local.services.service import (
    READY_SECONDS,
    Process,
    Service,
    ServiceError,
    ServiceState,
    ServiceStatus,
    process_status,
    wait_until_ready,
)
from infrastructure.local.state import State

NAME = "aws"
PREFERRED_PORT = 4566
"""LocalStack's port, which tools try by default."""
STOP_SECONDS = 20.0
"""It saves its state when it ends."""


class ControlPlane(Service, Protocol):
    """A control plane as the launcher sees it: a service that can be told to remember."""

    def save(self, timeout: float) -> None:
        """Make what it holds outlive even a hard stop. Raises ServiceError after `timeout` seconds."""
        ...


class MiniStack:
    """The emulator as a service of this instance.

    It writes its state at a clean stop only. After a hard one it knows what it knew then, and the deployment
    at every start brings the stack up to date again: nothing that must last lives in it alone.
    """

    name = NAME

    def __init__(self, paths: Paths, state: State) -> None:
        self._paths = paths
        self._state = state

    def start(self) -> None:
        """Start it unless it runs, on LocalStack's port or the next free one."""
        if self._process().alive() is not None:
            return
        python = python_of(self._paths.environments)
        if not python.exists():
            raise ServiceError(f"{python} is missing: run `make` once, it installs MiniStack")
        for folder in _folders(self._paths):
            folder.mkdir(parents=True, exist_ok=True)
            # Functions' variables, credentials among them, are in its state.
            folder.chmod(0o700)
        self._state.claim_port(NAME, preferred=PREFERRED_PORT)
        self._process().start()

    def ready(self) -> bool:
        """Tell whether its API answers a real call."""
        port = self._state.port(NAME)
        pid = self._process().alive()
        # Another instance may have taken the port in the instant between the choice and the start.
        return (
            port is not None and pid is not None and listens(pid, port) and answers(endpoint(port))
        )

    def wait_ready(self, timeout: float) -> None:
        """Wait until the API answers. Raises ServiceError after `timeout` seconds."""
        wait_until_ready(self.name, self.ready, self._process(), timeout, self.start)

    def stop(self) -> None:
        """Stop it, with time to save its state."""
        self._process().stop(STOP_SECONDS)

    def save(self, timeout: float) -> None:
        """Write its state by the one means it has, a clean stop, and start it again (0.5 s).

        Called after a deployment that changed something, so that the stack, with the names of its bucket and
        key, is the same one after a crash. Raises ServiceError after `timeout` seconds.
        """
        self.stop()
        self.start()
        self.wait_ready(timeout)

    def status(self) -> ServiceStatus:
        """Return how it is now."""
        return process_status(self, self._process(), self.endpoints()[NAME])

    def endpoints(self) -> dict[str, str]:
        """Return the URL of its API, empty before the first start."""
        port = self._state.port(NAME)
        return {NAME: endpoint(port) if port else ""}

    def _process(self) -> Process:
        # An -X option means nothing to Python, but it names program and instance in the command line.
        mark = f"ministack={self._paths.state.resolve()}"
        python = python_of(self._paths.environments)
        return Process(
            name=NAME,
            argv=(str(python), "-X", mark, "-m", "ministack"),
            log=self._paths.logs / "aws.log",
            pid_file=self._paths.run / "aws.pid",
            mark=mark,
            program=python.name,
            cwd=self._paths.run,
            env=environment(self._paths, self._state.port(NAME) or PREFERRED_PORT),
        )


class GivenControlPlane:
    """A control plane that runs already, LocalStack for instance: used, never started or stopped."""

    name = NAME

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def start(self) -> None:
        """Do nothing: it is not ours."""

    def ready(self) -> bool:
        """Tell whether its API answers a real call."""
        return answers(self._url)

    def wait_ready(self, timeout: float) -> None:
        """Wait until the API answers. Raises ServiceError after `timeout` seconds."""
        wait_until_ready(self.name, self.ready, None, timeout)

    def stop(self) -> None:
        """Do nothing: it is not ours."""

    def save(self, timeout: float) -> None:
        """Do nothing: how it keeps its state is its own affair."""

    def status(self) -> ServiceStatus:
        """Return how it is now."""
        state = ServiceState.READY if self.ready() else ServiceState.DOWN
        return ServiceStatus(NAME, state, "given by AWS_ENDPOINT_URL", self._url)

    def endpoints(self) -> dict[str, str]:
        """Return the given URL."""
        return {NAME: self._url}


def control_plane(
    paths: Paths, state: State, given: Mapping[str, str] | None = None
) -> ControlPlane:
    """Return the control plane of this instance: the one `AWS_ENDPOINT_URL` names, else MiniStack."""
    given = os.environ if given is None else given
    url = given.get("AWS_ENDPOINT_URL", "")
    return GivenControlPlane(url) if url else MiniStack(paths, state)


def python_of(environments: Path) -> Path:
    """Return the interpreter of MiniStack's own environment: it pins versions that the project does not."""
    return environments / "ministack" / "bin" / "python"


def environment(paths: Paths, port: int) -> dict[str, str]:
    """Return the server's whole environment.

    It listens on loopback only, keeps all files in the instance's own folders, saves its state at a clean
    stop, and touches no Docker daemon. `AWS_*` of the user are left out.
    """
    state, objects, temporary = _folders(paths)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
    return kept | {
        "BIND_HOST": LOOPBACK,
        "MINISTACK_HOST": "localhost",
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": aws.REGION,
        "MINISTACK_ACCOUNT_ID": aws.ACCOUNT,
        "AWS_ACCESS_KEY_ID": aws.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": aws.SECRET_KEY,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(state),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(objects),
        # Its pid file and its workers' folders go to the temporary folder, which other clones share.
        "TMPDIR": str(temporary),
        # Listeners beside the API, on all interfaces.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        # It removes containers that it takes for its own; there is no reason to let it look.
        "DOCKER_HOST": "unix:///nonexistent",
        "LAMBDA_EXECUTOR": "local",
        # At INFO it writes a line per service at every stop.
        "LOG_LEVEL": "WARNING",
        "PYTHONUNBUFFERED": "1",
        ENDPOINTS_VARIABLE: str(paths.endpoints),
    }


def endpoint(port: int) -> str:
    """Return the URL of an emulator on this port."""
    return f"http://{LOOPBACK}:{port}"


def answers(url: str) -> bool:
    """Tell whether AWS' API answers there: a real call, which another program would not understand."""
    request = urllib.request.Request(
        url,
        data=b"Action=GetCallerIdentity&Version=2011-06-15",
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": (
                f"AWS4-HMAC-SHA256 Credential={aws.ACCESS_KEY}/20260101/{aws.REGION}/sts/aws4_request, "
                "SignedHeaders=host, Signature=none"
            ),
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=READY_SECONDS) as response:
            return b"GetCallerIdentityResult" in response.read()
    except (OSError, http.client.HTTPException):
        return False


def _folders(paths: Paths) -> tuple[Path, Path, Path]:
    data = paths.data / "ministack"
    return data / "state", data / "objects", paths.run / "ministack"
