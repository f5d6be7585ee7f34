"""Debian's index, versions and dependencies, as the prefix needs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.local.services.debian import (
    ArchiveError,
    check_signature,
    closure,
    compare_versions,
    newest,
    read_index,
    release_digest,
)

INDEX = """\
Package: server
Version: 1.0-1
Depends: libone (>= 1.0) | libother, virtual, adduser,
 ignored
Pre-Depends: libc6:any
Filename: pool/s/server_1.0-1_amd64.deb
Size: 10
SHA256: aa

Package: server
Version: 1.0-1+deb13u1
Depends: libone
Filename: pool/s/server_1.0-1+deb13u1_amd64.deb
Size: 11
SHA256: bb

Package: libone
Version: 2
Depends: virtual (= 1), server
Filename: pool/l/libone_2_amd64.deb
Size: 5
SHA256: cc

Package: provider
Version: 1
Provides: virtual (= 1), other-name
Filename: pool/p/provider_1_amd64.deb
Size: 7
SHA256: dd
"""


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("1.0-1", "1.0-1+deb13u1"),
        ("1.0~rc1-1", "1.0-1"),
        ("9.9", "1:0.1"),
        ("1.9", "1.10"),
        ("1.0", "1.0a"),
        ("1.0a", "1.0+1"),
        ("17.11-0+deb13u1", "17.12-0+deb13u1"),
        ("1.2-3", "1.2-3.1"),
    ],
)
def test_versions_are_ordered_as_debian_orders_them(lower: str, higher: str) -> None:
    # When, Then
    assert compare_versions(lower, higher) == -1
    assert compare_versions(higher, lower) == 1
    assert compare_versions(higher, higher) == 0


def test_the_closure_takes_the_newest_first_alternatives_and_providers() -> None:
    # Given
    available = newest(read_index(INDEX, "debian"))
    # When
    packages = closure(["server"], available)
    # Then
    assert [(package.name, package.version) for package in packages] == [
        ("libone", "2"),
        ("provider", "1"),
        ("server", "1.0-1+deb13u1"),
    ]
    assert packages[-1].path == "debian/pool/s/server_1.0-1+deb13u1_amd64.deb"


def test_relations_come_from_both_fields_without_versions_and_architectures() -> None:
    # When
    server = next(iter(read_index(INDEX, "debian")))
    # Then
    assert server.depends[:4] == ("libc6", "libone", "virtual", "adduser")


def test_a_package_that_nobody_offers_is_named() -> None:
    # When, Then
    with pytest.raises(ArchiveError, match="no package absent"):
        closure(["absent"], newest(read_index(INDEX, "debian")))


def test_the_index_digest_comes_from_the_release_file() -> None:
    # Given
    digest = "0" * 63 + "1"
    release = f"SHA256:\n {digest}  123 main/binary-amd64/Packages.xz\n"
    # When, Then
    assert release_digest(release, "main/binary-amd64/Packages.xz") == digest
    with pytest.raises(ArchiveError, match=r"main/binary-arm64/Packages\.xz"):
        release_digest(release, "main/binary-arm64/Packages.xz")


def test_an_unsigned_release_file_is_refused_where_it_can_be_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given: a keyring, and a verifier that reports no signature
    monkeypatch.setattr("infrastructure.local.services.debian.KEYRING", Path(__file__))
    monkeypatch.setattr("shutil.which", lambda _: "/bin/true")
    # When, Then
    with pytest.raises(ArchiveError, match="not signed by Debian"):
        check_signature(b"Origin: somebody\n", "trixie")
