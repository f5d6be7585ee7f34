"""Translations are made once for each template, and never instead of another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.local.control_plane import remembered
from infrastructure.local.control_plane.remembered import MOST_KEPT, translate_once
from infrastructure.local.control_plane.translation import Translation, TranslationError, translate

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Nested: { Type: AWS::CloudFormation::Stack, Properties: { TemplateURL: infrastructure/nested.yaml } }
  PingFunction:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: functions/, Handler: ping.handler, Runtime: python3.13, Timeout: %d }
"""
STAGE = {"Stage": "local"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "infrastructure").mkdir(parents=True)
    _write(folder, 3)
    return folder


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Translation]:
    """Return the list of translations that SAM's translator really makes."""
    found: list[Translation] = []

    def recorded(source: Path, parameters: dict[str, str]) -> Translation:
        found.append(translate(source, parameters))
        return found[-1]

    monkeypatch.setattr(remembered, "translate", recorded)
    return found


def _write(project: Path, timeout: int, nested: str = "Resources: {}") -> None:
    (project / "template.yaml").write_text(TEMPLATE % timeout, encoding="utf-8")
    (project / "infrastructure" / "nested.yaml").write_text(nested, encoding="utf-8")


def test_the_same_template_is_translated_once(
    project: Path, tmp_path: Path, made: list[Translation]
) -> None:
    # Given
    kept = tmp_path / "kept"
    # When
    first, second = (translate_once(project, STAGE, kept) for _ in range(2))
    # Then the second is the same in every part
    assert first == second == made[0]
    assert len(made) == 1
    assert len(first.artifacts) == 2


def test_whatever_a_translation_depends_on_makes_another(
    project: Path, tmp_path: Path, made: list[Translation]
) -> None:
    # Given
    kept = tmp_path / "kept"
    translate_once(project, STAGE, kept)
    # When the template changes, then a nested one, then who it is for
    _write(project, 4)
    translate_once(project, STAGE, kept)
    _write(project, 4, "Resources: {}  # changed")
    translate_once(project, STAGE, kept)
    translate_once(project, {"Stage": "prod"}, kept)
    # Then
    assert len(made) == 4
    assert len({item.artifacts for item in made}) == 2
    assert len(list(kept.iterdir())) == 4


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"template": {}, "artifacts": [{}]}'])
def test_a_damaged_file_is_made_anew(
    project: Path, tmp_path: Path, made: list[Translation], damage: str
) -> None:
    # Given
    kept = tmp_path / "kept"
    translate_once(project, STAGE, kept)
    (file,) = kept.iterdir()
    file.write_text(damage, encoding="utf-8")
    # When
    again = translate_once(project, STAGE, kept)
    # Then
    assert again == made[0]
    assert len(made) == 2
    assert translate_once(project, STAGE, kept) == again
    assert len(made) == 2


def test_only_the_newest_are_kept(project: Path, tmp_path: Path) -> None:
    # Given
    kept = tmp_path / "kept"
    kept.mkdir()
    for number in range(MOST_KEPT + 3):
        (kept / f"{number}.json").write_text("{}", encoding="utf-8")
    # When
    made = translate_once(project, STAGE, kept)
    # Then
    assert len(list(kept.iterdir())) == MOST_KEPT
    assert translate_once(project, STAGE, kept) == made


def test_nothing_is_kept_of_a_refused_template(project: Path, tmp_path: Path) -> None:
    # Given
    (project / "template.yaml").write_text(TEMPLATE.replace("Handler", "Handlers") % 3)
    kept = tmp_path / "kept"
    # When / Then
    for _ in range(2):
        with pytest.raises(TranslationError):
            translate_once(project, STAGE, kept)
    assert not kept.exists()
