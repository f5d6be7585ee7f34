"""Packages of a stack on one machine: forwarders, with keys that follow content alone."""

from __future__ import annotations

import io
import zipfile

import pytest

from infrastructure.local.control_plane.packages import (
    code_package,
    layer_package,
    source_of,
    template_document,
)


def test_a_code_package_has_a_module_for_each_handler() -> None:
    # Given / When
    package = code_package("functions/", ["lake.get.handler", "stream.store.run", "ping.handler"])
    # Then
    with zipfile.ZipFile(io.BytesIO(package.body)) as archive:
        assert sorted(archive.namelist()) == ["lake/get.py", "ping.py", "stream/store.py"]
        module = archive.read("stream/store.py").decode()
    compile(module, "stream/store.py", "exec")
    assert "def run(event, context):" in module


def test_the_same_handlers_give_the_same_package() -> None:
    # Given / When
    one = code_package("functions", ["a.handler", "b.handler"])
    other = code_package("functions/", ["b.handler", "a.handler", "a.handler"])
    changed = code_package("functions", ["a.handler"])
    # Then
    assert one == other
    assert one.key != changed.key


@pytest.mark.parametrize("source", ["functions", "layers/common", "layers/with-dash"])
def test_a_key_leads_back_to_its_folder(source: str) -> None:
    # Given / When
    package = layer_package(f"{source}/")
    # Then
    assert source_of(package.key) == source
    assert package.uri == f"s3://datapunk-local-packages/{package.key}"


def test_a_nested_template_has_an_address_of_its_content() -> None:
    # Given / When
    one = template_document("infrastructure/storage", b"Resources: {}")
    other = template_document("infrastructure/storage", b"Resources: {A: {}}")
    # Then
    assert one.url != other.url
    assert one.url.startswith(
        "https://s3.amazonaws.com/datapunk-local-packages/infrastructure/storage-"
    )
