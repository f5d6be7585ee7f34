"""Taking out of installed packages what no function needs at run time.

Each rule was tried with an import of everything. Traps that shaped them: `botocore/docs` and the like
are code, so no folder goes by a bare name such as `docs`, `test` or `examples`; wheels' `*.libs` folders
hold libraries whose headers auditwheel rewrote, and `strip` breaks those; METADATA and entry points stay,
since versions are looked up in them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath

_SUFFIXES = frozenset(
    {".pyi", ".pyx", ".pxd", ".pxi", ".h", ".hpp", ".c", ".cpp", ".pyc", ".pyo", ".a", ".la"}
)
_METADATA_KEPT = frozenset({"METADATA", "entry_points.txt", "top_level.txt", "RECORD", "WHEEL"})
_STRIP_BATCH = 50
_PYARROW = re.compile(
    r"(include|src)/"
    r"|libarrow_(flight|s3|python_flight|python_parquet_encryption)\."
    r"|_(flight|s3fs|gcsfs|azurefs|hdfs|orc|cuda|acero|substrait|dataset|parquet_encryption|pyarrow_cpp_tests)"
    r"[a-z_]*\.cpython"
    r"|libarrow_python\.so(\.\d+\.\d+\.\d+)?$"
)
"""Of pyarrow: sources, stores and services that Datapunk reaches otherwise, and copies of one library that
were links to it before they were in a wheel; what loads it asks for the name with one number."""


def is_needless(path: PurePosixPath) -> bool:
    """Tell whether a file, by its path in the installation folder, can go."""
    folders = path.parts[:-1]
    if path.suffix in _SUFFIXES or "__pycache__" in folders:
        return True
    if not folders:
        return path.name == ".lock"
    if folders[0] == "bin" or folders[0].endswith("-stubs"):
        return True
    if folders[0].endswith(".dist-info"):
        return len(folders) > 1 or path.name not in _METADATA_KEPT
    if folders[0] == "pyarrow" and _PYARROW.match("/".join(path.parts[1:])):
        return True
    # Only `tests`, only as a whole package below a distribution's own; the singular is often code.
    return "tests" in folders[1:]


def prune(folder: Path) -> int:
    """Delete needless files and the folders they leave empty; return the bytes saved."""
    saved = 0
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif is_needless(PurePosixPath(path.relative_to(folder).as_posix())):
            saved += path.lstat().st_size
            path.unlink()
    return saved


def is_strippable(path: PurePosixPath) -> bool:
    """Tell whether a file is an extension module whose symbols can go."""
    patched = any(part.endswith(".libs") for part in path.parts[:-1])
    return not patched and (path.suffix == ".so" or ".so." in path.name)


def strip(folder: Path) -> int | None:
    """Strip extension modules; return the bytes saved, None when the machine has no `strip`."""
    program = shutil.which("strip")
    if program is None:
        return None
    libraries = [
        path
        for path in folder.rglob("*")
        if path.is_file() and is_strippable(PurePosixPath(path.relative_to(folder).as_posix()))
    ]
    before = sum(path.stat().st_size for path in libraries)
    for start in range(0, len(libraries), _STRIP_BATCH):
        batch = [str(path) for path in libraries[start : start + _STRIP_BATCH]]
        subprocess.run([program, "--strip-unneeded", *batch], check=True, timeout=120)
    return before - sum(path.stat().st_size for path in libraries)
