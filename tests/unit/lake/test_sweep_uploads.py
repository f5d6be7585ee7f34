"""lake.sweep_uploads: what waits or whose worker has died is started; what ended long ago is forgotten."""

from __future__ import annotations

import json

import psycopg
import pytest
from datapunk import functions
from datapunk.lake import loading
from datapunk.settings import settings

from tests.support.invoking import Invoker
from tests.support.uploading import Uploads, given_up, killed_at
from tests.unit.lake.conftest import MakeDataset

OPERATION = "lake.sweep_uploads"


def test_a_lost_event_a_dead_worker_and_an_old_job(
    no_broker: None,
    database: str,
    bucket: str,
    make_dataset: MakeDataset,
    invoke: Invoker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given
    make_dataset("t", id="integer")
    files = Uploads(invoke, bucket)
    new, lost, dead, old = (files.put("t", f"id\n{n}\n".encode()) for n in range(4))
    assert files.load(old) == "done"
    given_up(monkeypatch)
    with killed_at(monkeypatch, loading, "_digest", 1):
        files.load(dead)
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', '*', true)")
        connection.execute(
            "UPDATE lake.jobs SET created_at = now() - interval '6 minutes' WHERE id = %s", (lost,)
        )
        connection.execute(
            "UPDATE lake.jobs SET finished_at = now() - interval '31 days' WHERE id = %s", (old,)
        )
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "datapunk-test-lake-sweep_uploads")
    settings.cache_clear()
    started: list[str] = []

    def start(name: str, payload: bytes) -> None:
        assert name == "datapunk-test-lake-load_upload"
        started.append(json.loads(payload)["job"])

    monkeypatch.setattr(functions, "invoke_later", start)
    # When
    outcome = invoke.sample(OPERATION)
    # Then
    assert outcome == {"started": 2, "forgotten": 1}
    assert sorted(started) == sorted([lost, dead])
    assert files.job(new)["state"] == "waiting"
    assert [files.load(job) for job in started] == ["done", "done"]
