"""`requirements.txt` of each layer, exported from the lock file.

`python -m infrastructure.build.requirements` writes them; with `--check` it only tells whether they are up to
date. A layer is the dependency group of its name.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from infrastructure.build.target import PROJECT, RUNTIME_PACKAGES, BuildError
from infrastructure.local.bootstrap import BootstrapError, find_uv

_HEADER = "# Exported from uv.lock by `python -m infrastructure.build.requirements`; not edited by hand.\n"


def uv() -> str:
    """Return the uv that the project's environments come from. Raises `BuildError` when there is none."""
    try:
        return str(find_uv(PROJECT / ".datapunk" / "tools"))
    except BootstrapError as error:
        raise BuildError(str(error)) from error


def layers() -> list[Path]:
    """Return the layers' folders."""
    return sorted(path.parent for path in (PROJECT / "layers").glob("*/Makefile"))


def exported(layer: str) -> str:
    """Return the requirements of a layer, with digests, without what Lambda's runtime has."""
    pruned = [argument for name in RUNTIME_PACKAGES for argument in ("--prune", name)]
    answer = subprocess.run(
        [
            uv(),
            "export",
            "--quiet",
            "--frozen",
            "--only-group",
            layer,
            "--no-emit-project",
            "--no-header",
            "--no-annotate",
            *pruned,
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if answer.returncode:
        raise BuildError(f"uv export failed: {answer.stderr.strip()}")
    return _HEADER + answer.stdout


def main() -> int:
    """Write or check the requirements of all layers; 1 when a checked file is out of date."""
    parser = argparse.ArgumentParser(description="Requirements of the layers, from the lock file.")
    parser.add_argument("--check", action="store_true", help="change nothing, only compare")
    check = parser.parse_args().check
    stale = []
    for layer in layers():
        file = layer / "requirements.txt"
        text = exported(layer.name)
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            continue
        stale.append(file)
        if not check:
            file.write_text(text, encoding="utf-8")
    for file in stale:
        state = "is out of date" if check else "written"
        sys.stdout.write(f"{file.relative_to(PROJECT)} {state}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
