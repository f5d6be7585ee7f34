"""The emulator as a service: starts, stops, remembers, stays inside its folder and on loopback."""

from __future__ import annotations

import contextlib
import http.server
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.local.control_plane.aws import Clients
from infrastructure.local.control_plane.ministack import (
    PREFERRED_PORT,
    GivenControlPlane,
    MiniStack,
    control_plane,
)
from infrastructure.local.paths import Paths
from infrastructure.local.ports import is_free
from infrastructure.local.services.service import ServiceError, ServiceState
from infrastructure.local.state import State

from .conftest import Plane


def test_a_started_emulator_answers_aws_clients(plane: Plane) -> None:
    # Given a started emulator
    clients = Clients(plane.endpoint)
    # When a stock client asks who it is
    identity = clients("sts").get_caller_identity()
    # Then it is in the local account
    assert identity["Account"] == "000000000000"
    assert plane.service.status().state is ServiceState.READY


def test_starting_twice_keeps_the_process(plane: Plane) -> None:
    # Given
    before = plane.service.status().pid
    # When
    plane.restart()
    # Then
    assert plane.service.status().pid == before


def test_a_taken_port_is_left_to_its_owner(tmp_path: Path) -> None:
    # Given the preferred port is taken, by us when nobody else has it
    with contextlib.ExitStack() as stack:
        if is_free(PREFERRED_PORT):
            taken = stack.enter_context(socket.socket())
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", PREFERRED_PORT))
            taken.listen()
        paths = Paths(state=tmp_path / "state", programs=Path.cwd() / ".datapunk")
        service = MiniStack(paths, State(paths))
        # When
        paths.create()
        service.start()
        stack.callback(service.stop)
        service.wait_ready(30)
        # Then another port was taken, and the endpoint says which
        assert service.endpoints()["aws"] != f"http://127.0.0.1:{PREFERRED_PORT}"


def test_a_clean_stop_keeps_what_was_stored(plane: Plane) -> None:
    # Given an object and a key
    clients = Clients(plane.endpoint)
    clients("s3").create_bucket(Bucket="kept")
    clients("s3").put_object(Bucket="kept", Key="a/b", Body=b"content")
    key = clients("kms").create_key()["KeyMetadata"]["KeyId"]
    secret = clients("kms").encrypt(KeyId=key, Plaintext=b"plain")["CiphertextBlob"]
    # When
    plane.service.stop()
    assert plane.service.status().state is ServiceState.DOWN
    plane.restart()
    # Then both are there
    clients = Clients(plane.endpoint)
    assert clients("s3").get_object(Bucket="kept", Key="a/b")["Body"].read() == b"content"
    assert clients("kms").decrypt(CiphertextBlob=secret)["Plaintext"] == b"plain"


def test_what_was_saved_outlives_a_crash(plane: Plane) -> None:
    # Given a key, and the emulator told to remember
    key = Clients(plane.endpoint)("kms").create_key()["KeyMetadata"]["KeyId"]
    plane.service.save(30)
    # When it crashes
    plane.kill()
    # Then the key is there
    assert Clients(plane.endpoint)("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyId"] == key


def test_it_listens_on_loopback_only(plane: Plane) -> None:
    # Given
    pid = plane.service.status().pid
    assert pid is not None
    # When
    addresses = set(_listeners(pid))
    # Then
    port = int(plane.endpoint.rpartition(":")[2])
    assert addresses == {("127.0.0.1", port)}


def test_it_writes_nothing_outside_its_folder(plane: Plane) -> None:
    # Given
    port = plane.endpoint.rpartition(":")[2]
    # When
    strays = list(Path(tempfile.gettempdir()).glob(f"ministack-{port}*"))
    # Then its pid file is in its own temporary folder, not in the shared one
    assert strays == []
    assert list((plane.paths.run / "ministack").glob("ministack-*.pid"))


def test_its_state_is_the_owners_alone(plane: Plane) -> None:
    # Given functions' variables, which hold credentials
    # When
    folders = list((plane.paths.data / "ministack").iterdir())
    # Then
    assert {folder.name for folder in folders} == {"state", "objects"}
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}


def test_a_given_control_plane_is_used_and_left_alone(plane: Plane, tmp_path: Path) -> None:
    # Given another instance, told to use this one
    paths = Paths(state=tmp_path / "other", programs=plane.paths.programs)
    given = control_plane(paths, State(paths), {"AWS_ENDPOINT_URL": plane.endpoint + "/"})
    # When
    given.start()
    given.wait_ready(5)
    given.save(5)
    given.stop()
    # Then
    assert isinstance(given, GivenControlPlane)
    assert given.endpoints() == {"aws": plane.endpoint}
    assert plane.service.ready()


class _Stranger(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


def test_another_program_on_the_port_is_not_a_control_plane() -> None:
    # Given a server of some other kind
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        given = GivenControlPlane(f"http://127.0.0.1:{server.server_port}")
        # When
        ready = given.ready()
        server.shutdown()
        thread.join(5)
    # Then
    assert not ready
    with pytest.raises(ServiceError):
        given.wait_ready(0)


def test_a_missing_installation_says_what_to_run(tmp_path: Path) -> None:
    # Given a project whose tools are not installed
    paths = Paths(state=tmp_path / "state", programs=tmp_path / "programs")
    # When / Then
    with pytest.raises(ServiceError, match="run `make` once"):
        MiniStack(paths, State(paths)).start()


def _listeners(pid: int) -> Iterator[tuple[str, int]]:
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                sockets.add(target[8:-1])
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                host, _, port = fields[1].partition(":")
                words = [
                    bytes.fromhex(host[start : start + 8])[::-1] for start in range(0, len(host), 8)
                ]
                yield socket.inet_ntop(family, b"".join(words)), int(port, 16)
