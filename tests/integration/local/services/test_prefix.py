"""The private prefix against the real archive: locked files gone, the project moved."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from infrastructure.local.paths import Paths
from infrastructure.local.progress import Progress
from infrastructure.local.services import packages as locked
from infrastructure.local.services.debian import MIRROR
from infrastructure.local.services.download import DownloadError
from infrastructure.local.services.packages import BASE, Selection, read_lock, write_lock
from infrastructure.local.services.prefix import build
from infrastructure.local.services.programs import Programs, find_programs, install_prefix


@pytest.mark.timeout(300)
def test_gone_packages_are_replaced_by_todays_and_the_prefix_follows_a_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given: a lock with a version that the archive has dropped
    selection = locked.wanted_selection({})
    packages = read_lock(locked.LOCK, selection)
    gone = replace(packages[0], path=f"{packages[0].path}.gone", sha256="0" * 64)
    lock = tmp_path / "packages.lock"
    write_lock(lock, {selection.architecture: {BASE: [gone, *packages[1:]]}})
    monkeypatch.setattr(locked, "LOCK", lock)
    before = Paths(state=tmp_path / "state", programs=tmp_path / "before")
    # When
    with Progress() as progress:
        install_prefix(before, progress, {})
    # Then
    programs = find_programs(before, {})
    assert programs is not None
    assert "17." in version(programs)
    assert [path.name for path in before.prefix.glob(".*.*")] == []
    # When
    after = Paths(state=tmp_path / "state", programs=tmp_path / "after the move")
    before.programs.rename(after.programs)
    # Then
    assert find_programs(after, {}) is None
    with Progress() as progress:
        install_prefix(after, progress, {})
    moved = find_programs(after, {})
    assert moved is not None
    assert str(after.programs) in str(moved.postgres)
    assert "17." in version(moved)


def version(programs: Programs) -> str:
    answer = subprocess.run(
        [str(programs.postgres / "postgres"), "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return answer.stdout


def test_a_file_that_is_not_the_locked_one_leaves_no_prefix(tmp_path: Path) -> None:
    # Given
    package = next(
        replace(package, sha256="0" * 64)
        for package in read_lock(locked.LOCK, Selection("amd64"))
        if package.name == "gcc-14-base"
    )
    # When, Then
    with pytest.raises(DownloadError, match=r"not the file that packages\.lock names"):
        build([package], tmp_path / "prefix", architecture="amd64", mirror=MIRROR)
    assert list(tmp_path.iterdir()) == []
