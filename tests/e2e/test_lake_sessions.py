"""The sessions of the lake's how-tos, each typed in one shell as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from infrastructure.local.paths import PROJECT
from tests.e2e.clone import Clone

CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
HOW_TOS = (
    "archive-old-months",
    "change-a-dataset",
    "find-places",
    "load-a-large-file",
    "load-and-export-parquet",
    "load-files-with-bad-rows",
    "protect-personal-data",
    "register-a-function",
    "search-a-dataset",
    "watch-data-quality",
)
STRICT = 'curl() { command curl --silent --show-error --fail-with-body "$@" && echo; }\n'
"""Has a refused request end the session, and puts each answer on a line of its own."""


def _is_whole(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return False
    return not command.endswith("\\")


def _session(how_to: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command with the lines that it prints, as far as the text shows them."""
    text = (PROJECT / "docs" / "how-to" / f"{how_to}.md").read_text()
    command, printed = "", list[str]()
    for line in "".join(CONSOLE.findall(text)).splitlines():
        if line.startswith("$ "):
            if command:
                yield command, printed
            command, printed = line[2:], []
        elif _is_whole(command):
            printed.append(line)
        else:
            command += f"\n{line}"
    yield command, printed


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how_to", HOW_TOS)
def test_the_session_of_a_how_to(platform: Clone, how_to: str) -> None:
    # Given
    session = list(_session(how_to))
    api = platform.endpoints["api"].removeprefix("http://")
    script = "\n".join(command for command, _ in session).replace("localhost:8080", api)
    script = script.replace("$(make -s token)", platform.token())
    # When
    done = subprocess.run(
        [shutil.which("bash") or "/bin/bash", "-euo", "pipefail", "-c", STRICT + script],
        cwd=platform.folder,
        env={**os.environ, "TOKEN": platform.token("admin", "read write admin")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # Then
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = iter(done.stdout.splitlines())
    for printed in (line for _, shown in session for line in shown):
        pattern = re.escape(printed).replace(re.escape("..."), ".*")
        assert any(re.fullmatch(pattern, line) for line in lines), (printed, done.stdout)
