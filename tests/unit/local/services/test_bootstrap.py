"""The bootstrap's parts: finding uv on any index, checking it, and its few answers."""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import threading
import urllib.parse
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infrastructure.local import bootstrap
from infrastructure.local.bootstrap import BootstrapError, find_uv, install_uv

WHEEL = "uv-0.0.1-py3-none-any.whl"
PROGRAM = b"#!/bin/sh\necho uv 999.0.0\n"


def wheel() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("uv/__init__.py", "")
        archive.writestr("uv-0.0.1.data/scripts/uv", PROGRAM)
    return content.getvalue()


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Serve a package index that wants an account; its page has the given link to the wheel.

    Below `/deep/files/shaky/` the first download breaks off.
    """
    places = (f"/deep/files/{WHEEL}", f"/deep/files/shaky/{WHEEL}")
    pages: dict[str, bytes] = dict.fromkeys(places, wheel())
    broken_off: list[str] = []
    expected = f"Basic {base64.b64encode(b'me:secret').decode()}"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers.get("Authorization") == expected or "/files/" in self.path
            content = pages.get(urllib.parse.unquote(self.path)) if allowed else None
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if content and "/shaky/" in self.path and not broken_off:
                broken_off.append(self.path)
                content = content[:50]
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        host = f"127.0.0.1:{server.server_port}"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://me:secret@{host}/deep/simple/")

        def offer(link: str) -> str:
            page = f'<a href="other.whl">other</a><A class="x" href="{link}">{WHEEL}</A>'
            pages["/deep/simple/uv/"] = page.encode()
            return host

        yield offer
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "link",
    [
        f"../../files/{WHEEL}#sha256=00",
        f"/deep/files/{WHEEL}",
        f"../../files/{WHEEL.replace('.', '%2E')}#sha256=00",
    ],
)
def test_uv_is_fetched_whatever_way_the_index_links(
    index: Callable[[str], str], tmp_path: Path, link: str
) -> None:
    # Given
    index(link)
    target = tmp_path / "tools" / "uv"
    # When
    install_uv(target, WHEEL, hashlib.sha256(wheel()).hexdigest())
    # Then
    answer = subprocess.run([str(target)], capture_output=True, check=True, timeout=10)
    assert answer.stdout == b"uv 999.0.0\n"
    assert list(target.parent.iterdir()) == [target]


def test_a_machine_without_uv_gets_the_pinned_one(
    index: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Given
    index(f"../../files/shaky/{WHEEL}")
    digest = hashlib.sha256(wheel()).hexdigest()
    pins = dict.fromkeys(bootstrap.UV_WHEELS, (WHEEL, digest))
    monkeypatch.setattr(bootstrap, "UV_WHEELS", pins)
    monkeypatch.setenv("PATH", str(tmp_path))
    # When
    found = find_uv(tmp_path / "tools")
    # Then
    assert found.is_relative_to(tmp_path / "tools")
    assert found.read_bytes() == PROGRAM
    # When, Then: the second time it is there, and nobody is asked
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert find_uv(tmp_path / "tools") == found


def test_another_file_than_the_pinned_one_is_refused(
    index: Callable[[str], str], tmp_path: Path
) -> None:
    # Given
    host = index(f"/deep/files/{WHEEL}")
    # When, Then
    with pytest.raises(BootstrapError, match="not the file that is pinned") as caught:
        install_uv(tmp_path / "uv", WHEEL, "0" * 64)
    assert host in str(caught.value)
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_index_without_the_wheel_is_named(index: Callable[[str], str], tmp_path: Path) -> None:
    # Given
    host = index("/deep/files/uv-0.0.2-py3-none-any.whl")
    # When, Then
    with pytest.raises(BootstrapError, match=f"{host}.*does not offer {WHEEL}"):
        install_uv(tmp_path / "uv", WHEEL, "0" * 64)


@pytest.mark.parametrize(("version", "used"), [("999.0.0", True), ("0.1.0", False)])
def test_a_uv_on_path_is_used_when_it_is_new_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, *, used: bool
) -> None:
    # Given
    program = tmp_path / "uv"
    program.write_text(f"#!/bin/sh\necho uv {version}\n")
    program.chmod(0o755)
    own = tmp_path / "tools" / f"uv-{'.'.join(map(str, bootstrap.UV_VERSION))}"
    own.parent.mkdir()
    own.touch()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    # When, Then
    assert find_uv(own.parent) == (program if used else own)


def test_a_machine_without_certificates_is_told_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Given: neither certificates nor the right to install them
    for name in ("SSL_CERT_FILE", "PIP_CERT", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(bootstrap, "_machine_has_certificates", lambda: False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    # When, Then
    with pytest.raises(BootstrapError, match=r"sudo apt-get install .* ca-certificates"):
        bootstrap.ensure_certificates()
