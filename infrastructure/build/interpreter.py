"""A Python of the runtime's version, to compile with: found, or brought into the project.

Bytecode belongs to one Python version. Without it a function compiles everything at each cold start, since a
layer is read-only: that is three times the work.

`python -m infrastructure.build.interpreter` brings `interpreter.lock` up to date with Debian's archive.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from infrastructure.build.target import PYTHON, WORK, BuildError

LOCK = Path(__file__).with_name("interpreter.lock")
VARIABLE = "DATAPUNK_BUILD_PYTHON"
"""Names an interpreter to use, whatever else is there."""

_PREFIXES = WORK / "python"
_PROGRAM = f"python{PYTHON}-minimal"
_LIBRARIES = (f"libpython{PYTHON}-minimal", f"libpython{PYTHON}-stdlib")
_FAILED = _PREFIXES / "failed"
_PATIENCE_SECONDS = 300
"""A build asks for the interpreter once per function: after a failure the others do not wait again."""

_TELL_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def find_interpreter() -> Path | None:
    """Return an interpreter of the runtime's version, None when there is none and none can be had.

    Looked at in this order: the one `DATAPUNK_BUILD_PYTHON` names (an error when it is of another version),
    the one that runs this, PATH, the private prefix; last, Debian's packages are unpacked into that prefix.
    """
    given = os.environ.get(VARIABLE)
    if given:
        if not _is_right(given):
            raise BuildError(f"{VARIABLE} names {given}, which is no Python {PYTHON}")
        return Path(given)
    name = f"python{PYTHON}"
    for candidate in (sys.executable, shutil.which(name)):
        # Asked, not believed: a pyenv shim is there even when no such version is selected.
        if candidate and _is_right(candidate):
            return Path(candidate)
    return _private()


def _is_right(program: str) -> bool:
    try:
        answer = subprocess.run(
            [program, "-I", "-S", "-c", _TELL_VERSION],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except OSError:
        return False
    return answer.stdout.strip() == PYTHON


def _private() -> Path | None:
    """Return the interpreter of the private prefix, built from Debian's packages when need be."""
    from infrastructure.local.services.download import DownloadError
    from infrastructure.local.services.packages import UnsupportedMachineError
    from infrastructure.local.services.prefix import PrefixError
    from infrastructure.local.state import file_lock

    if sys.platform != "linux":
        return None
    with file_lock(_PREFIXES / "interpreter.lock", timeout=600):
        if _FAILED.exists() and time.time() - _FAILED.stat().st_mtime < _PATIENCE_SECONDS:
            return None
        try:
            program = _bring()
        except (UnsupportedMachineError, PrefixError, DownloadError, OSError) as error:
            sys.stdout.write(f"no Python {PYTHON} could be brought: {error}\n")
            _FAILED.touch()
            return None
        return program if _is_right(str(program)) else None


def _bring() -> Path:
    from infrastructure.local.progress import Progress
    from infrastructure.local.services import packages, prefix

    selection = packages.wanted_selection({})
    locked = packages.read_lock(LOCK, selection)
    folder = _PREFIXES.resolve() / packages.prefix_name(locked)
    if folder.is_dir() and prefix.location(folder) != str(folder):
        prefix.relocate(folder, folder, selection.architecture)
    elif not folder.is_dir():
        with Progress() as progress, progress.step(f"Python {PYTHON}, to compile with"):
            prefix.build(
                locked,
                folder,
                architecture=selection.architecture,
                mirror=packages.mirror_of(os.environ),
            )
    return folder / "usr" / "bin" / f"python{PYTHON}"


def main() -> None:
    """Write the lock of the packages that make the interpreter."""
    from infrastructure.local.services import packages
    from infrastructure.local.services.debian import available_packages, closure

    mirror = packages.mirror_of(os.environ)
    resolved = {}
    for architecture in packages.ARCHITECTURES.values():
        available = available_packages(architecture, mirror=mirror)
        # `closure` leaves Python's libraries out, which the services do not need; here they are the point.
        needs = [name for library in _LIBRARIES for name in available[library].depends]
        libraries = [available[library].package for library in _LIBRARIES]
        resolved[architecture] = {
            packages.BASE: [*closure((_PROGRAM, *needs), available), *libraries]
        }
    packages.write_lock(LOCK, resolved)


if __name__ == "__main__":
    main()
