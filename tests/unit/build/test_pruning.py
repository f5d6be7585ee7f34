"""What goes out of a layer and what must stay."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

import pytest

from infrastructure.build import pruning


@pytest.mark.parametrize(
    "path",
    [
        "pydantic/main.pyi",
        "wrapt-stubs/__init__.py",
        "redis/__pycache__/client.cpython-311.pyc",
        "numpy/core/tests/test_core.py",
        "fastavro/_read.pyx",
        "numpy/core/include/numpy/arrayobject.h",
        "bin/jp.py",
        "orjson-3.13.0.dist-info/licenses/LICENSE-MIT",
        "orjson-3.13.0.dist-info/sboms/orjson.cyclonedx.json",
        "pydantic-2.13.5.dist-info/INSTALLER",
        ".lock",
        "pyarrow/include/arrow/api.h",
        "pyarrow/src/arrow/python/type_traits.cc",
        "pyarrow/table.pxi",
        "pyarrow/libarrow_flight.so.2600",
        "pyarrow/libarrow_s3.so.2600",
        "pyarrow/libarrow_python.so",
        "pyarrow/libarrow_python.so.2600.1.0",
        "pyarrow/_dataset_parquet_encryption.cpython-313-x86_64-linux-gnu.so",
        "pyarrow/_s3fs.cpython-313-x86_64-linux-gnu.so",
    ],
)
def test_needless_files_go(path: str) -> None:
    # Given / When / Then
    assert pruning.is_needless(PurePosixPath(path))


@pytest.mark.parametrize(
    "path",
    [
        "botocore/docs/docstring.py",
        "numpy/testing/__init__.py",
        "redis/commands/search/test.py",
        "something/examples/__init__.py",
        "tests.py",
        "typing_extensions.py",
        "pydantic_core/_pydantic_core.cpython-313-x86_64-linux-gnu.so",
        "psycopg_binary.libs/libpq-1a2b.so.5.17",
        "pydantic-2.13.5.dist-info/METADATA",
        "aws_lambda_powertools-3.37.0.dist-info/entry_points.txt",
        "datapunk/stream/events.sql",
        "pyarrow/libarrow_python.so.2600",
        "pyarrow/libarrow_dataset.so.2600",
        "pyarrow/_parquet.cpython-313-x86_64-linux-gnu.so",
        "pyarrow/_fs.cpython-313-x86_64-linux-gnu.so",
        "pyarrow/flight.py",
    ],
)
def test_code_and_metadata_stay(path: str) -> None:
    # Given / When / Then
    assert not pruning.is_needless(PurePosixPath(path))


@pytest.mark.parametrize(
    ("path", "strippable"),
    [
        ("orjson/orjson.cpython-313-x86_64-linux-gnu.so", True),
        ("package/lib/libthing.so.1", True),
        ("psycopg_binary.libs/libcrypto-3.so", False),
        ("numpy.libs/libopenblas.so.0", False),
        ("orjson/__init__.py", False),
    ],
)
def test_patched_libraries_are_not_stripped(path: str, strippable: bool) -> None:  # noqa: FBT001 - a column of the table
    # Given / When / Then
    assert pruning.is_strippable(PurePosixPath(path)) is strippable


def test_pruning_deletes_files_and_the_folders_they_leave_empty(tmp_path: Path) -> None:
    # Given
    for name in ("package/__init__.py", "package/tests/test_a.py", "other-stubs/a/b.pyi"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x = 1\n", encoding="utf-8")
    # When
    saved = pruning.prune(tmp_path)
    # Then
    assert saved == 2 * len("x = 1\n")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == [
        "package",
        "package/__init__.py",
    ]


def test_without_strip_nothing_is_stripped_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a machine without binutils
    monkeypatch.setattr(shutil, "which", lambda _: None)
    # When / Then
    assert pruning.strip(tmp_path) is None
