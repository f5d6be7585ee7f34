"""A launcher of its own process: `python launcher.py up|down STATE`, for tests that end it."""

from __future__ import annotations

import sys
from pathlib import Path

from infrastructure.local.paths import Paths, default_paths
from infrastructure.local.progress import Progress
from infrastructure.local.services import local_services, start_services, stop_services
from infrastructure.local.state import launcher_lock


def main(command: str, state: str) -> None:
    """Bring the three services of an instance up or down."""
    paths = Paths(state=Path(state), programs=default_paths().programs)
    with Progress() as progress, launcher_lock(paths):
        services = local_services(paths, {})
        if command == "up":
            start_services(services, progress)
        else:
            stop_services(services, progress)


if __name__ == "__main__":
    main(*sys.argv[1:])
