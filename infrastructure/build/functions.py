"""Build the functions' code: `python -m infrastructure.build.functions ARTIFACTS_DIR`, for `sam build`.

All functions share one folder, but SAM calls a makefile once per function. The first call copies and
compiles, the others take a copy of what it made.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

from infrastructure.build.compiling import compile_folder
from infrastructure.build.target import PROJECT, WORK, BuildError

_PLACE = "/var/task"
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", "Makefile")


def build_functions(artifacts: Path, source: Path = PROJECT / "functions") -> None:
    """Put the code of all functions, compiled, into `artifacts`."""
    folder = WORK / f"functions-{_key(source)}"
    if not folder.is_dir():
        beside = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            shutil.copytree(source, beside, ignore=_IGNORED)
            compile_folder(beside, _PLACE)
            beside.rename(folder)
        except OSError:
            # Functions are built in parallel: another one was first, with the same content.
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(folder, artifacts, dirs_exist_ok=True)


def _key(source: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted((*source.rglob("*"), *Path(__file__).parent.glob("*.py"))):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def main() -> int:
    """Build into the folder named on the command line."""
    try:
        build_functions(Path(sys.argv[1]))
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
