"""The session of `docs/how-to/use-workload-certificates.md`, and its program, as they stand there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from infrastructure.local.paths import PROJECT
from tests.e2e.clone import Clone

TEXT = (PROJECT / "docs" / "how-to" / "use-workload-certificates.md").read_text()
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
PROGRAM = "program.py"
RUN = f".venv/bin/python {PROGRAM}"


def _session() -> tuple[list[str], list[str]]:
    """Return the lines that are typed, and those that are printed; the program comes with its certificate."""
    typed, printed = [], []
    for block in CONSOLE.findall(TEXT):
        for line in block.splitlines():
            if line.startswith("$ "):
                typed.append(line[2:])
            elif typed[-1].endswith("\\"):
                typed.append(line)
            else:
                printed.append(line)
        if "datapunk.workload" in block:
            typed.append(RUN)
            printed.append("200")
    return typed, printed


@pytest.mark.timeout(300)
def test_the_session_and_the_program_of_the_how_to(platform: Clone) -> None:
    # Given
    typed, printed = _session()
    assert RUN in typed
    endpoints = platform.endpoints
    ours = {
        "localhost:8080": endpoints["api"].removeprefix("http://"),
        "localhost:8443": endpoints["mutual_tls"].removeprefix("https://"),
        '"localhost", 8443': f'"localhost", {endpoints["mutual_tls"].rpartition(":")[2]}',
        ".venv/bin/python": sys.executable,
    }
    (program,) = PYTHON.findall(TEXT)
    script = "\n".join(typed)
    for written, meant in ours.items():
        script, program = script.replace(written, meant), program.replace(written, meant)
    (platform.folder / PROGRAM).write_text(program)
    # When
    done = subprocess.run(
        [shutil.which("bash") or "/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=platform.folder,
        env={**platform.environment, "MAKEFLAGS": f"BOOTSTRAP=true RUN={sys.executable}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # Then
    assert done.stderr == ""
    assert [line.rstrip() for line in done.stdout.splitlines()] == printed
