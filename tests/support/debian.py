"""A Debian archive on this machine: packages made on the spot, indexes, and a network that fails."""

from __future__ import annotations

import contextlib
import hashlib
import io
import lzma
import tarfile
import threading
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from infrastructure.local.services.debian import SUITES, Package

HOLD_SECONDS = 60.0
POLL_SECONDS = 0.01


def deb(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return a package with these members, as dpkg-deb writes it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    parts = [("debian-binary", b"2.0\n"), ("data.tar.xz", data.getvalue())]
    raw = b"!<arch>\n"
    for name, content in parts:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
        raw += header.encode() + content + b"\n" * (len(content) % 2)
    return raw


def member(
    name: str,
    content: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    mode: int = 0o644,
) -> tuple[tarfile.TarInfo, bytes]:
    """Return a file or link of a package."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info, content


@dataclass(frozen=True)
class Deb:
    """A package to publish."""

    name: str
    version: str
    content: bytes = field(default_factory=deb)
    depends: str = ""

    def package(self, archive: str) -> Package:
        """Return it as an index of `archive` names it."""
        version = self.version.rpartition(":")[2]
        return Package(
            name=self.name,
            version=self.version,
            size=len(self.content),
            sha256=hashlib.sha256(self.content).hexdigest(),
            path=f"{archive}/pool/main/{self.name}/{self.name}_{version}_test.deb",
        )

    def stanza(self, archive: str) -> str:
        """Return its part of the index."""
        package = self.package(archive)
        lines = {
            "Package": self.name,
            "Version": self.version,
            "Depends": self.depends,
            "Filename": package.path.removeprefix(f"{archive}/"),
            "Size": str(package.size),
            "SHA256": package.sha256,
        }
        return "".join(f"{name}: {value}\n" for name, value in lines.items() if value)


@dataclass
class Archive:
    """What is served, and how badly."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    requested: list[str] = field(default_factory=list)
    broken_off: Counter[str] = field(default_factory=Counter)
    """How many more times a file breaks off in its middle."""
    holding: bool = False
    """Every answer, to whatever is asked for, stops in its middle and stays open."""
    asked: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)

    def publish(self, architecture: str, suites: dict[str, list[Deb]]) -> None:
        """Offer packages in each suite; a suite that is not named has an empty index."""
        for archive, suite in SUITES:
            offered = suites.get(suite, [])
            self.files |= {one.package(archive).path: one.content for one in offered}
            index = lzma.compress("\n".join(one.stanza(archive) for one in offered).encode())
            path = f"main/binary-{architecture}/Packages.xz"
            digest = hashlib.sha256(index).hexdigest()
            self.files[f"{archive}/dists/{suite}/{path}"] = index
            self.files[f"{archive}/dists/{suite}/InRelease"] = (
                f"Origin: Nobody\nSHA256:\n {digest} {len(index)} {path}\n".encode()
            )


@contextlib.contextmanager
def serving() -> Iterator[Archive]:
    """Serve an empty archive on loopback; also as a proxy, in the place of any host."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).lstrip("/")
            archive.requested.append(path)
            content = b"0" * 1000 if archive.holding else archive.files.get(path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if content is None:
                return
            breaks_off = archive.broken_off[path] > 0
            archive.broken_off[path] -= breaks_off
            stops = breaks_off or archive.holding
            self.wfile.write(content[: len(content) // 2] if stops else content)
            archive.asked.set()
            if archive.holding:
                archive.closing.wait(HOLD_SECONDS)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        archive = Archive(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,))
        thread.start()
        try:
            yield archive
        finally:
            archive.closing.set()
            server.shutdown()
            thread.join()
