"""The session of `docs/how-to/use-api-keys.md`, typed in one shell as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from infrastructure.local.paths import PROJECT
from tests.e2e.clone import Clone

CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)


def _session() -> tuple[list[str], list[str]]:
    """Return the lines that are typed, and those that are printed."""
    text = (PROJECT / "docs" / "how-to" / "use-api-keys.md").read_text()
    typed, printed = [], []
    for line in "".join(CONSOLE.findall(text)).splitlines():
        if line.startswith("$ "):
            typed.append(line[2:])
        elif typed[-1].endswith("\\"):
            typed.append(line)
        else:
            printed.append(line)
    return typed, printed


@pytest.mark.timeout(300)
def test_the_session_of_the_how_to(platform: Clone) -> None:
    # Given
    typed, printed = _session()
    api = platform.endpoints["api"].removeprefix("http://")
    script = "\n".join(typed).replace("localhost:8080", api)
    # When
    done = subprocess.run(
        [shutil.which("bash") or "/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=platform.folder,
        env={**os.environ, "TOKEN": platform.token()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # Then
    assert done.stderr == ""
    assert done.stdout.splitlines() == printed
    assert printed.count("200") == 4
