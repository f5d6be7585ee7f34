"""Where services answer in these tests: functions in a data plane, TLS in front of it, a container."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from datapunk.nexus.users import UserAccount

from infrastructure.local.catalog import Authorizer, Catalog, RestApi, Route
from tests.integration.local.data_plane.plane import Plane
from tests.support.samples import FUNCTIONS, PROJECT
from tests.support.workloads import ask, new_csr, register

HERE = Path(__file__).parent / "functions"
REAL = ("lake.serve_rpc", "nexus.authorize", "nexus.issue_token")
OWN = ("middle", "end", "json_only")


def start_plane(plane: Plane, environment: Mapping[str, str]) -> Plane:
    """Start a data plane with real functions, and those of `functions/`."""
    layers = (str(PROJECT / "layers" / "common"),)
    common = {**environment, "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{plane.invoke_port}"}
    found = [
        plane.function(name, code=str(FUNCTIONS), layers=layers, environment=common, timeout=29.0)
        for name in REAL
    ]
    # A folder each, as Lambda's code is: the operations have the same names.
    found += [
        plane.function(
            "serve_rpc",
            name=f"test-{name}",
            code=str(HERE / name),
            layers=layers,
            environment={**common, "SERVICES": "lake=lambda:test-end"},
            timeout=29.0,
        )
        for name in OWN
    ]
    authorizer = Authorizer(name="platform", function="test-nexus-authorize", kind="REQUEST", ttl=0)
    routes = (
        Route(
            method="POST",
            path="/v1/lake/rpc/{contract}/{method}",
            function="test-lake-serve_rpc",
            authorizer=authorizer,
        ),
        Route(method="POST", path="/v1/nexus/oauth/token", function="test-nexus-issue_token"),
    )
    api = RestApi(
        id="api", name="api", stage="local", routes=routes, binary_types=("application/proto",)
    )
    functions = {function.name: function for function in found}
    return plane.start(Catalog(functions=functions, rest_api=api))


@contextlib.contextmanager
def tls_before(port: int, certificate: Path, key: Path) -> Iterator[int]:
    """Take TLS connections for the body and hand what they carry to a port; yield the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, context, port), daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(plain, context, port), daemon=True).start()


def _relay(plain: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with (
        context.wrap_socket(plain, server_side=True) as outside,
        socket.create_connection(("127.0.0.1", port)) as inside,
    ):
        back = threading.Thread(target=_pump, args=(inside, outside), daemon=True)
        back.start()
        _pump(outside, inside)
        back.join(10)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(65_536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)


def write_identity(admin: UserAccount, service: str, folder: Path) -> Path:
    """Register a service and write its certificate, key and authority into a folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    secret = register(admin, service, scopes=["read", "write"]).json["registration_secret"]
    got = ask(secret, new_csr(key), service=service)
    assert got.status == 201, got.body
    folder.mkdir()
    (folder / "certificate.pem").write_text(got.json["certificate"])
    (folder / "authority.pem").write_text(got.json["authority"])
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "serial").write_text(got.json["serial"])
    return folder


@contextlib.contextmanager
def container(module: str, identity: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """Run a module's container as a process for the body; yield the port it serves."""
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "layers" / "common")])
    process = subprocess.Popen(
        [sys.executable, "-m", "infrastructure.containers", module, "--address", "127.0.0.1:0"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": path,
            **environment,
            "MESH_CERTIFICATES": str(identity),
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    # What it logs later must find a reader.
    reader = threading.Thread(target=process.stdout.read, daemon=True)
    try:
        said = re.fullmatch(r"serving on port (\d+)\n", process.stdout.readline())
        assert said is not None
        reader.start()
        yield int(said[1])
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            ended = process.wait(timeout=20)
        finally:
            process.kill()
            process.wait()
            if reader.is_alive():
                reader.join(10)
            process.stdout.close()
        assert ended == 0
