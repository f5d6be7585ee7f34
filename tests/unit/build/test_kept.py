"""Built folders are made once per content, whole or not at all, and the older ones go."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.build import functions, kept


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.setattr(kept, "WORK", folder)
    return folder


def _make(folder: Path) -> None:
    folder.mkdir()
    (folder / "file").write_text("content", encoding="utf-8")


def test_the_same_content_is_made_once(work: Path) -> None:
    # Given
    first = kept.kept("thing", "aaaa", _make)
    # When
    second = kept.kept("thing", "aaaa", lambda _: pytest.fail("made again"))
    # Then
    assert first == second == work / "thing-aaaa"


def test_only_the_newest_of_a_kind_is_kept(work: Path) -> None:
    # Given
    kept.kept("other", "aaaa", _make)
    kept.kept("thing", "aaaa", _make)
    # When
    kept.kept("thing", "bbbb", _make)
    # Then
    assert sorted(path.name for path in work.iterdir()) == ["other-aaaa", "thing-bbbb"]


def test_a_failed_build_leaves_nothing(work: Path) -> None:
    # Given
    def fail(folder: Path) -> None:
        _make(folder)
        raise OSError("disk full")

    # When / Then
    with pytest.raises(OSError, match="disk full"):
        kept.kept("thing", "aaaa", fail)
    assert list(work.iterdir()) == []


@pytest.mark.usefixtures("work")
def test_functions_are_built_without_what_does_not_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    source = tmp_path / "functions"
    (source / "lake" / "__pycache__").mkdir(parents=True)
    (source / "Makefile").write_text("build-%:\n", encoding="utf-8")
    (source / "lake" / "get.py").write_text("x = 1\n", encoding="utf-8")
    (source / "lake" / "__pycache__" / "get.cpython-311.pyc").write_bytes(b"")
    compiled: list[Path] = []
    monkeypatch.setattr(functions, "find_interpreter", lambda: None)
    monkeypatch.setattr(functions, "compile_folder", lambda folder, _: compiled.append(folder))
    # When two functions are built from it
    functions.build_functions(tmp_path / "a", source)
    functions.build_functions(tmp_path / "b", source)
    # Then the code was prepared once
    assert len(compiled) == 1
    for name in ("a", "b"):
        files = [path for path in (tmp_path / name).rglob("*") if path.is_file()]
        assert [path.relative_to(tmp_path / name).as_posix() for path in files] == ["lake/get.py"]
