"""Unpacking Debian packages into a prefix."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from infrastructure.local.services.prefix import (
    PrefixError,
    elf_programs,
    remove_leftovers,
    unpack,
)
from tests.support.debian import deb, member


def test_files_and_links_land_below_usr_without_documentation(tmp_path: Path) -> None:
    # Given
    package = deb(
        member("./lib/x86_64-linux-gnu/libone.so.1", b"one"),
        member("./usr/bin/tool", b"tool"),
        member("./usr/bin/again", kind=tarfile.LNKTYPE, link="./usr/bin/tool"),
        member("./usr/lib/link", kind=tarfile.SYMTYPE, link="/lib/x86_64-linux-gnu/libone.so.1"),
        member("./usr/share/doc/tool/changelog", b"long"),
    )
    # When
    unpack(package, tmp_path)
    # Then
    assert (tmp_path / "usr/lib/x86_64-linux-gnu/libone.so.1").read_bytes() == b"one"
    assert (tmp_path / "usr/bin/again").read_bytes() == b"tool"
    assert (tmp_path / "usr/lib/link").read_bytes() == b"one"
    assert not (tmp_path / "usr/lib/link").readlink().is_absolute()
    assert not (tmp_path / "usr/share").exists()


def test_a_path_that_leads_out_of_the_prefix_is_refused(tmp_path: Path) -> None:
    # When, Then
    with pytest.raises(PrefixError, match="unsafe"):
        unpack(deb(member("./usr/../../outside", b"x")), tmp_path)


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    # When, Then
    with pytest.raises(PrefixError, match="not a Debian package"):
        unpack(b"<html>", tmp_path)


def test_programs_are_told_from_libraries_and_scripts(tmp_path: Path) -> None:
    # Given
    program = Path("/bin/sleep").read_bytes()
    (tmp_path / "program").write_bytes(program)
    (tmp_path / "lib.so.6").write_bytes(program)
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "link").symlink_to("program")
    # When, Then
    assert list(elf_programs(tmp_path)) == [tmp_path / "program"]


def test_what_an_interrupted_build_left_is_removed(tmp_path: Path) -> None:
    # Given
    for name in (".0123456789ab.4711", "0123456789ab"):
        (tmp_path / name / "usr").mkdir(parents=True)
    (tmp_path / "packages.lock").touch()
    # When
    remove_leftovers(tmp_path)
    # Then
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0123456789ab", "packages.lock"]
