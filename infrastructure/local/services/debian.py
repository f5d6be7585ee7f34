"""Debian packages: which versions the archive has now, and what a set of them needs.

Only what running servers need: maintainer scripts are never run, so packages that only those (or
an init system, or a login) use are left out.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import lzma
import re
import shutil
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infrastructure.local.services.download import fetch

MIRROR = "https://deb.debian.org"
ARCHIVE = "debian"
SECURITY_ARCHIVE = "debian-security"
SUITES = (
    (ARCHIVE, "trixie"),
    (ARCHIVE, "trixie-updates"),
    (SECURITY_ARCHIVE, "trixie-security"),
)
COMPONENT = "main"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
GPGV_SECONDS = 20.0

NOT_NEEDED = frozenset(
    {
        "adduser",
        "debconf",
        "debconf-2.0",
        "dirmngr",
        "fontconfig-config",
        "init-system-helpers",
        "libsasl2-modules-db",
        "locales",
        "locales-all",
        "logrotate",
        "lsb-base",
        "openssl",
        "passwd",
        "perl",
        "perl-base",
        "postgresql-client-common",
        "postgresql-common",
        "procps",
        "python3",
        "sensible-utils",
        "socat",
        "ssl-cert",
        "systemd",
        "sysvinit-utils",
        "tzdata",
        "ucf",
        "util-linux",
    }
)
"""Needed by maintainer scripts, services of the system or commands that we do not run.

`tzdata` is not among what runs here because Debian's PostgreSQL reads the time zones of the
machine: their path is built in.
"""

NOT_NEEDED_PREFIXES = ("fonts-", "gnupg", "gpg", "libllvm", "libperl", "libpython", "mysql-common")
"""LLVM serves PostgreSQL's JIT, which is off; Perl and Python its untrusted languages."""


class ArchiveError(RuntimeError):
    """The archive is not what it claims to be, or lacks a package."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package file of the archive. `size` is in bytes, `path` is below the mirror."""

    name: str
    version: str
    size: int
    sha256: str
    path: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A package with its relations, as the index has it."""

    package: Package
    depends: tuple[str, ...]
    """Names needed: of alternatives (`a | b`) the first."""
    provides: tuple[str, ...]


def read_index(text: str, archive: str) -> Iterator[Candidate]:
    """Yield the packages of a `Packages` file (deb822 stanzas, see deb822(5))."""
    for stanza in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if _is_field(line))
        if "Filename" in fields:
            relations = [fields.get("Pre-Depends", ""), fields.get("Depends", "")]
            yield Candidate(
                Package(
                    name=fields["Package"],
                    version=fields["Version"],
                    size=int(fields["Size"]),
                    sha256=fields["SHA256"],
                    path=f"{archive}/{fields['Filename']}",
                ),
                depends=tuple(name for relation in relations for name in _names(relation)),
                provides=tuple(_names(fields.get("Provides", ""))),
            )


def _is_field(line: str) -> bool:
    return not line.startswith(" ") and ": " in line


def _names(relation: str) -> Iterator[str]:
    for part in relation.split(","):
        name = re.split(r"[\s|(:\[]", part.strip(), maxsplit=1)[0]
        if name:
            yield name


def newest(candidates: Iterable[Candidate]) -> dict[str, Candidate]:
    """Return the highest version of each package."""
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        name = candidate.package.name
        known = best.get(name)
        if known is None or compare_versions(candidate.package.version, known.package.version) > 0:
            best[name] = candidate
    return best


def closure(roots: Iterable[str], available: Mapping[str, Candidate]) -> list[Package]:
    """Return `roots` with all they need to run, by name.

    Raises ArchiveError when a package is nowhere.
    """
    providers = {
        provided: name
        for name, candidate in sorted(available.items(), reverse=True)
        for provided in candidate.provides
    }
    chosen: dict[str, Package] = {}
    wanted = list(roots)
    while wanted:
        name = wanted.pop()
        if name in NOT_NEEDED or name.startswith(NOT_NEEDED_PREFIXES):
            continue
        real = name if name in available else providers.get(name)
        if real is None:
            raise ArchiveError(f"the Debian archive has no package {name}")
        if real not in chosen:
            chosen[real] = available[real].package
            wanted.extend(available[real].depends)
    return [chosen[name] for name in sorted(chosen)]


def available_packages(architecture: str, *, mirror: str = MIRROR) -> dict[str, Candidate]:
    """Return what the archive offers today for `architecture` (`amd64`, `arm64`), by name."""
    candidates: list[Candidate] = []
    for archive, suite in SUITES:
        index = _index(f"{mirror}/{archive}", suite, architecture)
        candidates.extend(read_index(index, archive))
    return newest(candidates)


def _index(archive: str, suite: str, architecture: str) -> str:
    """Return the index of a suite, checked against the signed release file."""
    release = fetch(f"{archive}/dists/{suite}/InRelease")
    if not check_signature(release, suite) and not is_safe(archive):
        raise ArchiveError(
            f"the release file of {suite} came from {archive} without TLS, and its signature cannot be "
            "checked here: set DATAPUNK_DEBIAN_MIRROR to an https:// mirror, or install gpgv and "
            "debian-archive-keyring"
        )
    path = f"{COMPONENT}/binary-{architecture}/Packages.xz"
    digest = release_digest(release.decode(), path)
    content = fetch(f"{archive}/dists/{suite}/{path}")
    if hashlib.sha256(content).hexdigest() != digest:
        raise ArchiveError(f"{path} of {suite} does not match its release file: try again")
    return lzma.decompress(content).decode()


def release_digest(release: str, path: str) -> str:
    """Return the SHA256 that a release file gives for `path`."""
    found = re.search(rf"^ ([0-9a-f]{{64}}) +\d+ {re.escape(path)}$", release, re.MULTILINE)
    if found is None:
        raise ArchiveError(f"the release file of the Debian archive does not name {path}")
    return found[1]


def is_safe(url: str) -> bool:
    """Tell whether nobody on the way can change what comes from `url`: TLS, or this machine."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    try:
        return parts.scheme == "https" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_signature(release: bytes, suite: str) -> bool:
    """Refuse a release file whose signature is wrong; tell whether it is known to be right.

    Where gpgv, Debian's keyring or the suite's key in it is absent (not a Debian machine, or an
    older one), the archive is trusted as far as TLS goes.
    """
    gpgv = shutil.which("gpgv")
    if gpgv is None or not KEYRING.exists():
        return False
    with tempfile.NamedTemporaryFile(suffix=".InRelease") as file:
        file.write(release)
        file.flush()
        answer = subprocess.run(
            [gpgv, "--status-fd", "1", "--keyring", str(KEYRING), file.name],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=GPGV_SECONDS,
        )
    signed = "[GNUPG:] VALIDSIG" in answer.stdout
    unknown_keys = "[GNUPG:] NO_PUBKEY" in answer.stdout
    if "[GNUPG:] BADSIG" in answer.stdout or not (signed or unknown_keys):
        raise ArchiveError(f"the release file of {suite} is not signed by Debian: do not use it")
    return signed


def compare_versions(one: str, other: str) -> int:
    """Return -1, 0 or 1 as version `one` is lower, equal or higher (deb-version(7))."""
    for left, right in zip(_split_version(one), _split_version(other), strict=True):
        if left != right:
            ordered = _compare_parts(left, right)
            if ordered:
                return ordered
    return 0


def _split_version(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, hyphen, revision = rest.rpartition("-")
    return (epoch, upstream, revision) if hyphen else (epoch, rest, "0")


@functools.cache
def _rank(character: str) -> int:
    """Rank of a character outside numbers: `~` before the end, letters before the rest."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def _compare_parts(one: str, other: str) -> int:
    """Compare alternately runs of non-digits (by rank) and runs of digits (by value)."""
    while one or other:
        one_text, other_text = re.match(r"\D*", one), re.match(r"\D*", other)
        left, right = (one_text[0] if one_text else ""), (other_text[0] if other_text else "")
        one, other = one[len(left) :], other[len(right) :]
        for place in range(max(len(left), len(right))):
            ranks = [_rank(part[place]) if place < len(part) else 0 for part in (left, right)]
            if ranks[0] != ranks[1]:
                return -1 if ranks[0] < ranks[1] else 1
        one_number, other_number = re.match(r"\d*", one), re.match(r"\d*", other)
        left, right = (
            (one_number[0] if one_number else ""),
            (other_number[0] if other_number else ""),
        )
        one, other = one[len(left) :], other[len(right) :]
        if int(left or 0) != int(right or 0):
            return -1 if int(left or 0) < int(right or 0) else 1
    return 0
