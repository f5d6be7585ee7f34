"""The commands of the README and of the tutorial, typed as they stand there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infrastructure.local.paths import PROJECT
from tests.e2e.clone import Clone, eventually

CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
SHOWN = re.compile(r"^(\d{4},\d+\.\d{2})[\d.]*$", re.MULTILINE)
"""Rows of the query's answer as the README has them, cut short."""
RECEIPT: dict[str, Any] = {
    "dataset": "mauna_loa",
    "inserted": 2284,
    "updated": 0,
    "skipped": 0,
    "quarantined": 0,
    "reasons": {},
    "batch": None,
    "event_id": "...",
}
COMMAND = re.compile(r"^\$ (.*?)(?=^\$ |\Z)", re.DOTALL | re.MULTILINE)


def commands(document: Path) -> list[str]:
    """Return the `TOKEN=`, `curl` and `printf` commands of a document, whole, in order."""
    found = []
    for block in CONSOLE.findall(document.read_text()):
        for text in COMMAND.findall(block):
            lines = text.split("\n\n")[0].rstrip().splitlines()
            while lines and not _complete(lines):
                lines.pop()
            if lines and lines[0].startswith(("TOKEN=", "curl", "printf")):
                found.append("\n".join(lines))
    return found


def _complete(lines: list[str]) -> bool:
    """Tell whether the last line still belongs to the command: what follows it is its output."""
    first = re.match(r"[{\[]|[a-z]+,|\d", lines[-1])
    text = "\n".join(lines)
    return not first or (text.count("'") % 2 == 0 and lines[-1].endswith("'"))


def typed(platform: Clone, command: str, token: str = "") -> str:
    """Run a command in the clone's folder against the clone's API and return what it prints.

    `make` uses the environment of the tests, which has all that it would bring.
    """
    api = platform.endpoints["api"].removeprefix("http://")
    shell = shutil.which("bash") or "/bin/bash"
    done = subprocess.run(
        [shell, "-o", "pipefail", "-c", command.replace("localhost:8080", api)],
        cwd=platform.folder,
        env={
            **platform.environment,
            "TOKEN": token,
            "MAKEFLAGS": f"BOOTSTRAP=true RUN={sys.executable}",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def signed_in(platform: Clone, command: str) -> str:
    """Return the token that a document's own command keeps in `TOKEN`."""
    token = typed(platform, f'{command}\nprintf %s "$TOKEN"')
    assert token.count(".") == 2, token  # RFC 7519: three parts
    return token


@pytest.fixture(autouse=True)
def tools() -> None:
    """Insist on curl and make, which the documents use."""
    for name in ("curl", "make"):
        assert shutil.which(name), f"install {name}: the README's session is typed with it"


def test_the_session_of_the_readme(platform: Clone) -> None:
    # Given
    sign_in, create, insert, query, events = commands(PROJECT / "README.md")
    readme = (PROJECT / "README.md").read_text()
    shown = SHOWN.findall(readme)
    # When
    token = signed_in(platform, sign_in)
    created = json.loads(typed(platform, create, token))
    inserted = json.loads(typed(platform, insert, token))
    queried = typed(platform, query, token).splitlines()

    def stored() -> Any:
        return json.loads(typed(platform, events, token))["items"]

    listed = eventually(stored)
    # Then
    assert created["name"] == "mauna_loa"
    assert inserted == {**RECEIPT, "event_id": listed[0]["id"]}
    assert json.dumps(RECEIPT, separators=(",", ":")) in readme
    assert queried[0] == "year,mean"
    assert [line[: len(part)] for line, part in zip(queried[1:], shown, strict=True)] == shown
    assert [event["type"] for event in listed] == ["lake.records.inserted"]
    assert listed[0]["data"] == {"dataset": "mauna_loa", "count": 2284, "version": 1}


def test_the_commands_of_the_tutorial(platform: Clone) -> None:
    # Given
    sign_in, *tutorial = commands(PROJECT / "docs" / "tutorial" / "first-steps.md")
    # When
    token = signed_in(platform, sign_in)
    answers = [typed(platform, command, token) for command in tutorial]
    # Then
    create, array, csv, mistake, roof, means, newest, *_, health = answers
    assert " 201 " in create.splitlines()[0]
    assert json.loads(array)["inserted"] == 2
    assert json.loads(csv)["inserted"] == 2
    assert json.loads(mistake)["errors"][0]["field"] == "records.1.celsius"
    assert [item["celsius"] for item in json.loads(roof)["items"]] == [5.1]
    assert [item["rows"] for item in json.loads(means)["items"]] == [2, 2]
    assert len(json.loads(newest)["items"]) == 2
    assert json.loads(newest)["next_cursor"]
    assert json.loads(health)["status"] == "up"
    hello = next(command for command in tutorial if "type=tutorial.hello" in command)
    stored = eventually(lambda: json.loads(typed(platform, hello, token))["items"])
    assert [event["data"] for event in stored] == [{"to": "you"}]
