"""The server programs: found where they are, or installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from infrastructure.local.paths import Paths
from infrastructure.local.progress import Progress, Step
from infrastructure.local.services import packages as locked
from infrastructure.local.services import prefix as prefixes
from infrastructure.local.services.debian import Package
from infrastructure.local.services.download import FileGoneError
from infrastructure.local.services.homebrew import homebrew_programs
from infrastructure.local.services.packages import Selection
from infrastructure.local.services.service import ServiceError
from infrastructure.local.state import file_lock

INSTALL_SECONDS = 1800.0
HARMLESS = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "USER", "LOGNAME")


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the server programs are, and what their environment must hold."""

    postgres: Path
    """Folder with `initdb`, `postgres`, `psql`."""
    redis: Path
    """Folder with `redis-server`, `redis-cli`."""
    rabbitmq: Path
    """Folder with `rabbitmq-server` and its tools."""
    erlang: Path
    """Folder with `erl`, `escript`."""
    epmd: Path
    """Erlang's port mapper."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def clean_environment(self) -> dict[str, str]:
        """Return the environment for a server: nothing inherited that would steer it.

        A stray PGDATA, RABBITMQ_CONFIG_FILE or LD_LIBRARY_PATH of the user's shell must not reach
        a private server.
        """
        kept = {name: os.environ[name] for name in HARMLESS if name in os.environ}
        kept["PATH"] = f"{self.erlang}{os.pathsep}{kept.get('PATH', os.defpath)}"
        return {**kept, **self.environment}


def find_programs(paths: Paths, environment: Mapping[str, str]) -> Programs | None:
    """Return the installed programs, None when they still have to be installed.

    On macOS they come from Homebrew. A prefix whose folder was moved does not count as installed.
    """
    if sys.platform == "darwin":
        return Programs(**homebrew_programs())
    selection = locked.wanted_selection(environment)
    for packages in _serving(paths, selection):
        folder = _folder(paths, packages)
        if prefixes.location(folder) == str(folder):
            return _programs_of(folder)
    return None


def require_programs(paths: Paths, environment: Mapping[str, str]) -> Programs:
    """Return the installed programs. Raises ServiceError when there are none."""
    programs = find_programs(paths, environment)
    if programs is None:
        raise ServiceError(
            "the server programs are not installed yet: `make up` and `make test` install them, "
            "`.venv/bin/python -m infrastructure.local install` them alone"
        )
    return programs


def install_prefix(paths: Paths, progress: Progress, environment: Mapping[str, str]) -> None:
    """Install the programs into the shared prefix unless they are there. Linux only."""
    with file_lock(
        paths.prefix / "install.lock",
        timeout=INSTALL_SECONDS,
        waiting=lambda: progress.say("another launcher installs the server programs; waiting"),
    ):
        if find_programs(paths, environment) is not None:
            return
        prefixes.remove_leftovers(paths.prefix)
        selection = locked.wanted_selection(environment)
        with progress.step("server programs") as step:
            for packages in _serving(paths, selection):
                folder = _folder(paths, packages)
                if folder.exists():
                    step.update(detail="the project was moved; binding them to its new place")
                    prefixes.relocate(folder, folder, selection.architecture)
                    return
            _install(paths, selection, environment, step)


def _install(
    paths: Paths, selection: Selection, environment: Mapping[str, str], step: Step
) -> None:
    mirror = locked.mirror_of(environment)
    packages = locked.read_lock(locked.LOCK, selection)
    try:
        _build(paths, packages, selection, mirror, step)
    except FileGoneError:
        # A point release or a security update has replaced a locked file: take today's.
        step.update(detail="the archive has newer packages; reading its index")
        resolved = locked.resolve(selection.architecture, mirror=mirror)
        locked.write_lock(_own_lock(paths), {selection.architecture: resolved})
        packages = locked.read_lock(_own_lock(paths), selection)
        _build(paths, packages, selection, mirror, step)


def _build(
    paths: Paths, packages: list[Package], selection: Selection, mirror: str, step: Step
) -> None:
    total = sum(package.size for package in packages)
    got = 0

    def received(count: int) -> None:
        nonlocal got
        got += count
        step.update(fraction=got / total)

    step.update(detail=f"{len(packages)} packages, {total / 1e6:.0f} MB")
    prefixes.build(
        packages,
        _folder(paths, packages),
        architecture=selection.architecture,
        mirror=mirror,
        received=received,
    )


def _serving(paths: Paths, selection: Selection) -> Iterator[list[Package]]:
    """Yield the package lists that will do: one with PostGIS serves those who do not ask for it, too."""
    for wanted in dict.fromkeys((replace(selection, postgis=True), selection)):
        yield from _known_selections(paths, wanted)


def _known_selections(paths: Paths, selection: Selection) -> list[list[Package]]:
    """Return the package lists that may be installed, the project's lock first."""
    lists = (locked.read_lock(lock, selection) for lock in (locked.LOCK, _own_lock(paths)))
    return [packages for packages in lists if packages]


def _own_lock(paths: Paths) -> Path:
    """Where the packages stand that were taken because locked ones were gone."""
    return paths.prefix / "packages.lock"


def _folder(paths: Paths, packages: list[Package]) -> Path:
    return paths.prefix.resolve() / locked.prefix_name(packages)


def _programs_of(prefix: Path) -> Programs:
    lib = prefix / "usr/lib"
    modules = next(lib.glob("*/ossl-modules"))
    return Programs(
        postgres=next(lib.glob("postgresql/*/bin")),
        redis=prefix / "usr/bin",
        rabbitmq=next(lib.glob("rabbitmq/lib/rabbitmq_server-*/sbin")),
        erlang=lib / "erlang/bin",
        epmd=next(lib.glob("erlang/erts-*/bin/epmd")),
        environment={
            # OpenSSL has the machine's folders built in, where another version's modules lie.
            "OPENSSL_CONF": os.devnull,
            "OPENSSL_MODULES": str(modules),
            "OPENSSL_ENGINES": str(modules.with_name("engines-3")),
            "PROJ_DATA": str(prefix / "usr/share/proj"),
            "GDAL_DATA": str(prefix / "usr/share/gdal"),
        },
    )
