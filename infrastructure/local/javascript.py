"""Bring the npm packages of stock clients that tests run: `python -m infrastructure.local.javascript`.

Each is fetched from the registry (NPM_CONFIG_REGISTRY, else npm's own) in the version and with the digest of
`javascript.lock`, dependencies and all: no npm, no resolving, no script of a package is run. Node itself is a
wheel of the environment `dev`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

from infrastructure.local.paths import default_paths
from infrastructure.local.services.download import fetch

LOCK = Path(__file__).with_suffix(".lock")
REGISTRY = "https://registry.npmjs.org"


class PackageError(RuntimeError):
    """A package is not the one that is locked."""


def modules() -> Path:
    """Return the folder that Node is to look for packages in (NODE_PATH)."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    return default_paths().programs / "javascript" / digest / "node_modules"


def install() -> Path:
    """Bring what is missing, whole or not at all, and return `modules()`.

    Raises PackageError for a file with another digest, DownloadError when the registry does not answer.
    """
    target = modules().parent
    if target.exists():
        return modules()
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".coming-", dir=target.parent))
    try:
        for name, wanted in json.loads(LOCK.read_text(encoding="utf-8")).items():
            _unpack(_fetch(name, **wanted), beside / "node_modules" / name)
        beside.rename(target)
    except OSError:
        if not target.exists():  # else another process was faster
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return modules()


def _fetch(name: str, version: str, integrity: str) -> bytes:
    registry = os.environ.get("NPM_CONFIG_REGISTRY", REGISTRY).rstrip("/")
    content = fetch(f"{registry}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz")
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if integrity != f"sha512-{digest}":
        raise PackageError(f"{name} {version} from {registry} is not the file that is locked")
    return content


def _unpack(content: bytes, folder: Path) -> None:
    """Unpack a package, whose files lie in one folder, whatever that is called."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for member in archive.getmembers():
            path = member.name.partition("/")[2]
            if not member.isfile() or not path or ".." in Path(path).parts:
                continue
            file = archive.extractfile(member)
            if file is not None:
                place = folder / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(file.read())


if __name__ == "__main__":
    install()
