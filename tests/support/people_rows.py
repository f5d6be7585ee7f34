"""Rows about persons: what is planted in them must be found nowhere in clear."""

from __future__ import annotations

from typing import Any

import psycopg

ANN, BOB = "p-1", "p-2"
EMAIL = {ANN: "ann.lovelace@example.com", BOB: "bob.babbage@example.org"}
IBAN = {ANN: "DE89370400440532013000", BOB: "GB82WEST12345698765432"}
NOTES = {ANN: {"allergy": "penicillin"}, BOB: None}
PLANTED = [*EMAIL.values(), *IBAN.values(), "penicillin"]

DEFINITION: dict[str, Any] = {
    "name": "patients",
    "key": ["id"],
    "subject": "person",
    "columns": [
        {"name": "id", "type": "integer"},
        {"name": "person", "type": "text"},
        {
            "name": "email",
            "type": "text",
            "sensitivity": "personal",
            "protection": "encrypted",
            "searchable": True,
        },
        {"name": "iban", "type": "text", "sensitivity": "personal", "protection": "encrypted"},
        {"name": "notes", "type": "json", "sensitivity": "secret", "protection": "encrypted"},
        {"name": "born", "type": "date", "protection": "encrypted", "searchable": True},
        {"name": "weight", "type": "decimal", "protection": "encrypted", "searchable": True},
        {"name": "ward", "type": "text"},
    ],
}


def row(number: int, person: str, **others: Any) -> dict[str, Any]:
    """Return a row about a person."""
    return {
        "id": number,
        "person": person,
        "email": EMAIL[person],
        "iban": IBAN[person],
        "notes": NOTES[person],
        "born": "1815-12-10",
        "weight": 61.50,
        "ward": "A",
        **others,
    }


def everything_stored(database: str) -> str:
    """Return all that `psql` shows of all tables, as texts and as the bytes of what is binary."""
    found: list[str] = []
    with psycopg.connect(database) as connection:
        connection.execute("SET ROLE lake_owner")
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename), schemaname FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for name, schema in tables:
            connection.execute(f"SET ROLE {'lake_owner' if schema == 'lake_data' else 'NONE'}")
            connection.execute("SET datapunk.tenant = 'public'")
            for (text,) in connection.execute(f"SELECT t::text FROM {name} AS t").fetchall():
                found.append(text)
                found += [
                    bytes.fromhex(part.split('"')[0].split(",")[0].rstrip(")")).decode("latin-1")
                    for part in text.split("\\x")[1:]
                    if len(part.split('"')[0]) % 2 == 0
                ]
    return "\n".join(found)
