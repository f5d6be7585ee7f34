"""What AWS' own tools say of the templates: nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SAM = PROJECT / ".datapunk" / "venvs" / "sam" / "bin" / "sam"


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        command,
        cwd=PROJECT,
        env=kept | {"AWS_DEFAULT_REGION": "us-east-1", "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def test_cfn_lint_reports_nothing() -> None:
    # Given all templates
    templates = ["template.yaml", *map(str, sorted((PROJECT / "infrastructure").glob("*.yaml")))]
    # When
    answer = _run(str(Path(sys.executable).with_name("cfn-lint")), *templates)
    # Then
    assert (answer.returncode, answer.stdout) == (0, "")


def test_sam_validate_reports_nothing() -> None:
    # Given SAM in its own environment, which `make check` and `make test` bring
    assert SAM.is_file(), "SAM CLI is missing: run `make check` once, which brings it"
    # When
    answer = _run(str(SAM), "validate", "--lint")
    # Then
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "is a valid SAM Template" in answer.stdout


def test_suppressions_have_a_reason_and_stand_at_a_resource() -> None:
    # Given every line that switches a rule off
    for path in (PROJECT / "template.yaml", *(PROJECT / "infrastructure").glob("*.yaml")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if "ignore_checks" not in line:
                continue
            # When
            before = lines[number - 1].strip()
            # Then it is indented below a resource, and a comment before it says why
            assert line.startswith(" " * 6), f"{path.name}:{number + 1}"
            assert before.startswith("#"), f"{path.name}:{number + 1}"


def test_requirements_of_the_layers_are_those_of_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    from infrastructure.build import requirements

    monkeypatch.setattr(sys, "argv", ["requirements", "--check"])
    # When / Then
    assert requirements.main() == 0
