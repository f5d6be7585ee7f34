"""The bootstrap as the Makefile calls it, in a copy of the project, from what `make test` has fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from infrastructure.local.bootstrap import UV_VERSION, BootstrapError, base_python, find_uv
from infrastructure.local.paths import PROJECT

FILES = ("pyproject.toml", "uv.lock", "infrastructure/local/bootstrap.py")
PROBE = "import psycopg, redis, pika, boto3"
SECONDS = 300
NOTHING_LISTENS = "http://127.0.0.1:9/simple"
TOOLS = PROJECT / ".datapunk/tools"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a clone that finds the project's uv in its own place."""
    with monkeypatch.context() as offline:
        offline.setenv("PIP_INDEX_URL", NOTHING_LISTENS)
        try:
            uv = find_uv(TOOLS)
        except BootstrapError:
            pytest.fail("uv is missing here: `make test` brings it before the tests")
    tools = tmp_path / "clone" / TOOLS.relative_to(PROJECT)
    tools.mkdir(parents=True)
    (tools / f"uv-{'.'.join(map(str, UV_VERSION))}").symlink_to(uv)
    for name in FILES:
        target = tmp_path / "clone" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, target)
    # A neighbour named as one of Python's own modules, as the project has them.
    (tmp_path / "clone/infrastructure/local/platform.py").write_text("raise SystemExit('shadowed')")
    return tmp_path / "clone"


def bootstrap(project: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start it with the machine's Python; everything comes from the cache, nothing from an index.

    A cache that was emptied since is filled again when `.venv` and `.datapunk/venvs` are removed and
    `make test` is run.
    """
    return subprocess.Popen(
        [base_python(), str(project / "infrastructure/local/bootstrap.py"), *arguments],
        env={"UV_CACHE_DIR": str(PROJECT / ".datapunk/cache/uv"), **os.environ, "UV_OFFLINE": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=SECONDS)
    return process.returncode, said


def imports(project: Path) -> bool:
    python = project / ".venv/bin/python"
    return subprocess.run([python, "-c", PROBE], check=False, timeout=60).returncode == 0


@pytest.mark.timeout(SECONDS)
def test_environments_are_brought_once_and_mended_when_needed(project: Path) -> None:
    # When: the first call
    code, said = outcome(bootstrap(project))
    # Then
    assert code == 0, said
    assert ".venv is ready" in said
    assert imports(project)
    assert (project / ".datapunk/venvs/ministack/bin/ministack").exists()
    # When, Then: a second call has nothing to do, and one for more brings more
    assert outcome(bootstrap(project)) == (0, "")
    assert "bringing .venv (dev)" in outcome(bootstrap(project, "--group", "dev"))[1]
    assert outcome(bootstrap(project, "--group", "local")) == (0, "")
    assert (project / ".venv/bin/ruff").exists()
    # Given: an installation that was interrupted in the middle of a package
    (project / ".datapunk/venv.under-way").touch()
    module = next(project.glob(".venv/lib/python3.*/site-packages/pika/__init__.py"))
    module.unlink()
    # When, Then
    assert outcome(bootstrap(project))[0] == 0
    assert imports(project)
    # Given: the project has moved, so paths in its scripts are wrong
    moved = project.with_name("moved")
    project.rename(moved)
    # When, Then
    code, said = outcome(bootstrap(moved))
    assert (code, "bringing .venv" in said) == (0, True)
    assert str(moved) in (moved / ".venv/bin/uvicorn").read_text()


@pytest.mark.timeout(SECONDS)
def test_killed_and_contended_calls_end_in_a_good_environment(project: Path) -> None:
    # Given
    for moment in (0.1, 0.3, 0.5):
        killed = bootstrap(project)
        time.sleep(moment)
        os.killpg(killed.pid, 9)
        killed.communicate()
    # When
    both = [bootstrap(project) for _ in range(2)]
    answers = [outcome(process) for process in both]
    # Then
    assert [code for code, _ in answers] == [0, 0], answers
    assert sum("another launcher" in said for _, said in answers) <= 1
    assert imports(project)
    assert outcome(bootstrap(project)) == (0, "")


def test_an_index_that_does_not_answer_is_named(project: Path) -> None:
    # Given: a machine without uv
    shutil.rmtree(project / TOOLS.relative_to(PROJECT))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))
    }
    # When
    answer = subprocess.run(
        [base_python(), str(project / "infrastructure/local/bootstrap.py")],
        env={**environment, "PATH": str(project), "PIP_INDEX_URL": NOTHING_LISTENS},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    # Then
    assert answer.returncode == 1
    assert NOTHING_LISTENS in answer.stderr
    assert "PIP_INDEX_URL" in answer.stderr
    assert "Traceback" not in answer.stderr
