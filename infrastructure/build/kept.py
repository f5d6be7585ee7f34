"""Built folders that are kept between builds, one per content, only the newest of each kind."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from infrastructure.build.target import WORK


def digest_of(files: Iterable[Path], *facts: object) -> str:
    """Return a digest of the files' names and contents, and of whatever else decides the result."""
    digest = hashlib.sha256(repr(facts).encode())
    for path in sorted(files):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def kept(kind: str, digest: str, make: Callable[[Path], None]) -> Path:
    """Return the kept folder of this kind and content, made by `make(folder)` when it is not there.

    It appears whole or not at all, also when several builds make it at once. Older ones of the kind go.
    """
    folder = WORK / f"{kind}-{digest}"
    if folder.is_dir():
        return folder
    beside = WORK / f".{folder.name}.{os.getpid()}"
    try:
        make(beside)
        beside.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another build was first, with the same content
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    for older in WORK.glob(f"{kind}-*"):
        if older != folder:
            shutil.rmtree(older, ignore_errors=True)
    return folder
