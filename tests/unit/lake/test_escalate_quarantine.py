"""lake.escalate_quarantine: rows that wait for more than a day are told of, each once, to their tenant."""

from __future__ import annotations

import io
import json

import fastavro
import psycopg

from tests.support.invoking import Invoker
from tests.support.samples import EVENTS
from tests.unit.lake.conftest import Aside, MakeDataset

OPERATION = "lake.escalate_quarantine"
SCHEMA = EVENTS / "schemas" / "lake.quarantine.overdue.avsc"


def test_the_sample_finds_nothing_to_tell(database: str, no_broker: None, invoke: Invoker) -> None:
    # Given / When / Then
    assert invoke.sample(OPERATION) == {"told": 0, "waiting": 0, "oldest_seconds": 0.0}


def test_a_row_of_yesterday_is_told_of_once(
    database: str, make_dataset: MakeDataset, aside: Aside, invoke: Invoker
) -> None:
    # Given two rows, of which one has waited for more than a day
    make_dataset("t", id="integer")
    old, _ = aside("t", [{"id": "a"}]), aside("t", [{"id": "b"}])
    with psycopg.connect(database) as connection:
        connection.execute("SELECT set_config('datapunk.tenant', '*', true)")
        connection.execute(
            "UPDATE lake.quarantine SET quarantined_at = now() - interval '25 hours' WHERE id = %s",
            (old["row"],),
        )
    # When
    first, second = invoke.sample(OPERATION), invoke.sample(OPERATION)
    # Then
    assert (first["told"], first["waiting"], second["told"]) == (1, 2, 0)
    assert first["oldest_seconds"] > 24 * 3600
    with psycopg.connect(database) as connection:
        ((body,),) = connection.execute("SELECT body FROM platform.outbox").fetchall()
    event = json.loads(body)
    assert (event["type"], event["subject"]) == ("lake.quarantine.overdue", "t")
    assert event["tenant"] == "public"
    assert event["data"]["count"] == 1
    fastavro.schemaless_writer(
        io.BytesIO(), json.loads(SCHEMA.read_text()), event["data"], strict=True
    )
