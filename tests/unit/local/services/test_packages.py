"""The lock of the server packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.local.services.debian import Package
from infrastructure.local.services.packages import (
    BASE,
    LOCK,
    POSTGIS,
    ROOTS,
    Selection,
    UnsupportedMachineError,
    mirror_of,
    prefix_name,
    read_lock,
    wanted_selection,
    write_lock,
)

ONE = Package("one", "1", 10, "aa", "debian/pool/one.deb")
TWO = Package("two", "2", 20, "bb", "debian/pool/two.deb")


def test_a_written_lock_reads_back_by_architecture_and_set(tmp_path: Path) -> None:
    # Given
    lock = tmp_path / "packages.lock"
    write_lock(lock, {"amd64": {BASE: [ONE], POSTGIS: [TWO]}, "arm64": {BASE: [TWO]}})
    # When, Then
    assert read_lock(lock, Selection("amd64")) == [ONE]
    assert read_lock(lock, Selection("amd64", postgis=True)) == [ONE, TWO]
    assert read_lock(lock, Selection("arm64", postgis=True)) == [TWO]
    assert read_lock(tmp_path / "absent", Selection("amd64")) == []


def test_the_prefix_is_named_by_its_packages_in_any_order() -> None:
    # When, Then
    assert prefix_name([ONE, TWO]) == prefix_name([TWO, ONE])
    assert prefix_name([ONE, TWO]) != prefix_name([ONE])


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_the_committed_lock_holds_what_the_servers_need(architecture: str) -> None:
    # When
    base = read_lock(LOCK, Selection(architecture))
    everything = read_lock(LOCK, Selection(architecture, postgis=True))
    # Then
    names = [package.name for package in everything]
    assert {*ROOTS[BASE], "libc6"} <= {package.name for package in base}
    assert set(ROOTS[POSTGIS]) <= set(names)
    assert len(names) == len(set(names))
    assert all(len(package.sha256) == 64 for package in everything)


def test_the_environment_selects_postgis_and_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    # When, Then
    assert wanted_selection({}) == Selection("arm64")
    assert wanted_selection({"DATAPUNK_POSTGIS": "1"}) == Selection("arm64", postgis=True)
    assert mirror_of({}) == "https://deb.debian.org"
    assert mirror_of({"DATAPUNK_DEBIAN_MIRROR": "https://mirror.test/"}) == "https://mirror.test"


def test_an_unknown_processor_is_told_what_else_works(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    # When, Then
    with pytest.raises(UnsupportedMachineError, match=r"DATABASE_URL.*DOCKER=1"):
        wanted_selection({})
