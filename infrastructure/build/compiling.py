"""Bytecode beside the sources, for the runtime's Python, that no clock can make stale."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from infrastructure.build.interpreter import find_interpreter
from infrastructure.build.target import PYTHON, BuildError

# Unchecked: a deployed package never changes, and timestamps do not survive packing.
_COMPILE = """
import pathlib, py_compile, sys
folder, place = pathlib.Path(sys.argv[1]), sys.argv[2]
for path in sorted(folder.rglob("*.py")):
    py_compile.compile(
        str(path), dfile=place + "/" + path.relative_to(folder).as_posix(), doraise=True, quiet=0,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
"""


def compile_folder(folder: Path, place: str) -> bool:
    """Compile every module below `folder`, which will be at `place` in a function; tell whether it was done.

    Without an interpreter of the runtime's version nothing is compiled, and that is said loudly: the code
    runs all the same, with slow cold starts. Raises `BuildError` for a module that does not compile.
    """
    interpreter = find_interpreter()
    if interpreter is None:
        _warn()
        return False
    answer = subprocess.run(
        [str(interpreter), "-I", "-S", "-c", _COMPILE, str(folder), place],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if answer.returncode:
        raise BuildError(
            f"{folder} does not compile with Python {PYTHON}:\n{answer.stderr.strip()}"
        )
    return True


def check_imports(modules: list[str], path: list[Path]) -> bool:
    """Import modules with the runtime's Python, an empty environment and only `path`.

    Tells whether it was done: it takes the right interpreter. Raises `BuildError` with the first failure.
    Packages that only Lambda's runtime has must not be imported at module level, and this shows it.
    """
    interpreter = find_interpreter()
    if interpreter is None:
        return False
    script = (
        "import importlib, sys; sys.dont_write_bytecode = True; "
        f"sys.path[:0] = {[str(folder) for folder in path]!r}; "
        f"[importlib.import_module(name) for name in {modules!r}]"
    )
    answer = subprocess.run(
        [str(interpreter), "-I", "-S", "-c", script],
        env={"PYDANTIC_DISABLE_PLUGINS": "__all__"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if answer.returncode:
        raise BuildError(f"the built layer cannot be imported:\n{answer.stderr.strip()}")
    return True


def _warn() -> None:
    sys.stdout.write(
        f"\n*** No Python {PYTHON} was found: built WITHOUT bytecode: cold starts take three times as long.\n"
        f"*** Install Python {PYTHON}, or name one with DATAPUNK_BUILD_PYTHON, and build again.\n\n"
    )
