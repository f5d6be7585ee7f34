"""Which packages make the private prefix: `packages.lock`, one line per package.

`python -m infrastructure.local.services.packages` brings the lock up to date with the archive, for
instance after a security update.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infrastructure.local.services.debian import MIRROR, Package, available_packages, closure
from infrastructure.local.state import write_text

LOCK = Path(__file__).with_name("packages.lock")
HEADER = "# architecture\tset\tname\tversion\tsize\tsha256\tpath\n"
MIRROR_VARIABLE = "DATAPUNK_DEBIAN_MIRROR"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
BASE = "base"
POSTGIS = "postgis"
ROOTS = {
    BASE: (
        "postgresql-17",
        "postgresql-17-pgvector",
        "rabbitmq-server",
        "redis-server",
        "redis-tools",
    ),
    POSTGIS: ("postgresql-17-postgis-3",),
}
NAME_LENGTH = 12
RECIPE = 1
"""Raise it when `prefix.py` builds otherwise from the same packages, so that it is built anew."""


class UnsupportedMachineError(RuntimeError):
    """No programs are prepared for this kind of machine."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is wanted: the packages for an architecture, with or without PostGIS."""

    architecture: str
    postgis: bool = False

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the package sets."""
        return (BASE, POSTGIS) if self.postgis else (BASE,)


def wanted_selection(environment: Mapping[str, str]) -> Selection:
    """Return the selection for this machine; `DATAPUNK_POSTGIS=1` adds PostGIS.

    Raises UnsupportedMachineError on processors other than x86_64 and aarch64.
    """
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise UnsupportedMachineError(
            f"no programs are prepared for {machine}: give DATABASE_URL, REDIS_URL and AMQP_URL of "
            "servers you run, or use DOCKER=1"
        )
    return Selection(ARCHITECTURES[machine], postgis=environment.get("DATAPUNK_POSTGIS") == "1")


def mirror_of(environment: Mapping[str, str]) -> str:
    """Return the Debian mirror to use: `DATAPUNK_DEBIAN_MIRROR`, else Debian's own."""
    return environment.get(MIRROR_VARIABLE, MIRROR).rstrip("/")


def read_lock(path: Path, selection: Selection) -> list[Package]:
    """Return the locked packages of `selection`, none when the file is absent."""
    if not path.exists():
        return []
    packages = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            architecture, group, name, version, size, sha256, file = line.split("\t")
            if architecture == selection.architecture and group in selection.sets:
                packages.append(Package(name, version, int(size), sha256, file))
    return packages


def resolve(architecture: str, *, mirror: str = MIRROR) -> dict[str, list[Package]]:
    """Return today's packages of each set; a package of the base is not named again in others."""
    available = available_packages(architecture, mirror=mirror)
    base = closure(ROOTS[BASE], available)
    everything = closure((*ROOTS[BASE], *ROOTS[POSTGIS]), available)
    return {BASE: base, POSTGIS: [package for package in everything if package not in base]}


def write_lock(path: Path, resolved: Mapping[str, Mapping[str, Iterable[Package]]]) -> None:
    """Write the packages of each architecture and set to `path`."""
    lines = [
        f"{architecture}\t{group}\t{package.name}\t{package.version}\t{package.size}"
        f"\t{package.sha256}\t{package.path}\n"
        for architecture, sets in resolved.items()
        for group, packages in sets.items()
        for package in packages
    ]
    write_text(path, HEADER + "".join(lines), mode=0o644)


def prefix_name(packages: Iterable[Package]) -> str:
    """Return the folder name of the prefix that holds exactly these packages."""
    digests = sorted(package.sha256 for package in packages)
    return hashlib.sha256(f"{RECIPE} {digests}".encode()).hexdigest()[:NAME_LENGTH]


def main() -> None:
    """Resolve all architectures and write the lock file."""
    mirror = mirror_of(os.environ)
    names = ARCHITECTURES.values()
    write_lock(LOCK, {name: resolve(name, mirror=mirror) for name in names})


if __name__ == "__main__":
    main()
