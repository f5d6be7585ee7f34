"""What the policy is made of: Rego files, data and test cases, all of this folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
DATA = FOLDER / "access.json"
CASES = FOLDER / "cases"
BUNDLE = FOLDER.parents[1] / "layers" / "common" / "datapunk" / "policy" / "policy.bundle"
ENTRYPOINTS = ("datapunk/decision", "datapunk/visible")


@dataclass(frozen=True, slots=True)
class Case:
    """One question and the answer that the policy must give."""

    name: str
    entrypoint: str
    question: Mapping[str, Any]
    expected: Any


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as it is written: modules by file name, data, and cases it has to pass."""

    modules: Mapping[str, str]
    data: Mapping[str, Any]
    cases: tuple[Case, ...] = field(default=())


def read_policy() -> Policy:
    """Return the platform's policy."""
    return Policy(
        modules={file.name: file.read_text() for file in sorted(FOLDER.glob("*.rego"))},
        data=json.loads(DATA.read_text()),
        cases=tuple(case for file in sorted(CASES.glob("*.json")) for case in read_cases(file)),
    )


def read_cases(file: Path) -> list[Case]:
    """Return the cases of a file.

    A file names its entry point, the callers its cases speak of, and what every question has unless a case
    says otherwise. A decision is expected as the list of its objections: none of them means yes.
    """
    document = json.loads(file.read_text())
    entrypoint = document["entrypoint"]
    found = []
    for case in document["cases"]:
        question = {**document.get("question", {}), **case.get("question", {})}
        caller = document["callers"][case["caller"]]
        question["caller"] = {**caller, **case.get("changes", {})}
        expected = case["expected"]
        if entrypoint == "datapunk/decision":
            expected = {"allow": not expected, "objections": expected}
        found.append(Case(f"{file.stem}: {case['name']}", entrypoint, question, expected))
    return found
