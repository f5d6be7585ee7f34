"""The server programs of a macOS machine, as Homebrew installs them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from infrastructure.local.services.service import ServiceError

INSTALL = "brew install postgresql@17 pgvector redis rabbitmq"
BREW_SECONDS = 30.0


def homebrew_programs() -> dict[str, Path]:
    """Return the folders of the programs, by their names in `Programs`.

    Raises ServiceError with the command to run when brew or a formula is missing.
    """
    brew = shutil.which("brew")
    if brew is None:
        raise ServiceError(
            f"Homebrew is not installed: install it from https://brew.sh, then run `{INSTALL}`; "
            "or use DOCKER=1"
        )
    answer = subprocess.run(
        [brew, "--prefix"], capture_output=True, text=True, check=True, timeout=BREW_SECONDS
    )
    opt = Path(answer.stdout.strip()) / "opt"
    found = {
        "postgres": opt / "postgresql@17/bin",
        "redis": opt / "redis/bin",
        "rabbitmq": opt / "rabbitmq/sbin",
        "erlang": opt / "erlang/bin",
    }
    missing = [str(folder) for folder in found.values() if not folder.is_dir()]
    if missing:
        raise ServiceError(f"{', '.join(missing)} not found: run `{INSTALL}`, or use DOCKER=1")
    mappers = sorted((opt / "erlang/lib/erlang").glob("erts-*/bin/epmd"))
    if not mappers:
        raise ServiceError("Erlang has no epmd: run `brew reinstall erlang`, or use DOCKER=1")
    return {**found, "epmd": mappers[-1]}
