"""Bytecode for the runtime: made by the right Python, and never stale."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from infrastructure.build import compiling, interpreter
from infrastructure.build.compiling import check_imports, compile_folder
from infrastructure.build.target import PYTHON, BuildError

UNCHECKED_HASH = 0b01
"""Flags of a bytecode file that is used whatever its source looks like (PEP 552)."""


@pytest.fixture
def runtime_is_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(interpreter.VARIABLE, raising=False)
    monkeypatch.setattr(interpreter, "PYTHON", f"{sys.version_info[0]}.{sys.version_info[1]}")


@pytest.mark.usefixtures("runtime_is_this_python")
def test_every_module_gets_bytecode_that_no_clock_makes_stale(tmp_path: Path) -> None:
    # Given
    (tmp_path / "package").mkdir()
    module = tmp_path / "package" / "module.py"
    module.write_text("def where():\n    return __file__\n", encoding="utf-8")
    # When
    done = compile_folder(tmp_path, "/opt/python")
    # Then
    content = Path(importlib.util.cache_from_source(str(module))).read_bytes()
    assert done
    assert content[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(content[4:8], "little") == UNCHECKED_HASH
    assert b"/opt/python/package/module.py" in content
    assert str(tmp_path).encode() not in content


@pytest.mark.usefixtures("runtime_is_this_python")
def test_a_module_that_does_not_compile_ends_the_build(tmp_path: Path) -> None:
    # Given
    (tmp_path / "broken.py").write_text("def (:\n", encoding="utf-8")
    # When / Then
    with pytest.raises(BuildError, match=r"broken\.py"):
        compile_folder(tmp_path, "/var/task")


@pytest.mark.usefixtures("runtime_is_this_python")
def test_what_cannot_be_imported_ends_the_build(tmp_path: Path) -> None:
    # Given a module that needs what the layer does not hold
    (tmp_path / "fine.py").write_text("x = 1\n", encoding="utf-8")
    (tmp_path / "needy.py").write_text("import boto3_of_nobody\n", encoding="utf-8")
    # When / Then
    assert check_imports(["fine"], [tmp_path])
    with pytest.raises(BuildError, match="boto3_of_nobody"):
        check_imports(["fine", "needy"], [tmp_path])
    assert not (tmp_path / "__pycache__").exists()


def test_without_the_right_python_it_says_so_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given
    monkeypatch.setattr(compiling, "find_interpreter", lambda: None)
    (tmp_path / "module.py").write_text("x = 1\n", encoding="utf-8")
    # When
    done = compile_folder(tmp_path, "/var/task")
    # Then
    assert not done
    assert not check_imports(["module"], [tmp_path])
    assert "WITHOUT bytecode" in capsys.readouterr().out


def test_a_named_interpreter_of_another_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a program that is no Python at all
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 2.7\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv(interpreter.VARIABLE, str(program))
    # When / Then
    with pytest.raises(BuildError, match="which is no Python"):
        interpreter.find_interpreter()


def test_a_shim_that_fails_is_not_taken_for_an_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a version manager's shim for a version that is not selected
    shim = tmp_path / f"python{PYTHON}"
    shim.write_text("#!/bin/sh\necho 'not selected' >&2\nexit 127\n", encoding="utf-8")
    shim.chmod(0o755)
    monkeypatch.delenv(interpreter.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    private = tmp_path / "private"
    monkeypatch.setattr(interpreter, "_private", lambda: private)
    monkeypatch.setattr(sys, "executable", str(shim))
    # When / Then
    assert interpreter.find_interpreter() == private
