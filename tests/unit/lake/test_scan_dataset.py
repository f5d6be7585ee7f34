"""lake.scan_dataset: planted personal data is found, look-alikes are not, and no value is shown."""

from __future__ import annotations

import random
from typing import Any

import pytest
from datapunk.lake.privacy.recognisers import recognise

from tests.support.invoking import Invoker
from tests.unit.lake.conftest import Insert

OPERATION = "lake.scan_dataset"
CHANCE = random.Random(4)  # noqa: S311 -- planted values, the same in every run


def _luhn(digits: str) -> str:
    total = sum(
        sum(divmod(int(d) * 2, 10)) if place % 2 == 0 else int(d)
        for place, d in enumerate(reversed(digits))
    )
    return digits + str(-total % 10)


def _digits(count: int) -> str:
    return "".join(CHANCE.choice("0123456789") for _ in range(count))


def _iban(number: str) -> str:
    check = 98 - int(number + "131400") % 97  # DE is 1314
    return f"DE{check:02d}{number}"


SEEDED: dict[str, tuple[str | None, list[str]]] = {
    "contact": ("email", [f"user{n}@mail.example.com" for n in range(50)]),
    "remark": (
        "email",
        [f"call back, or write to n.{n}@example.org" if n % 10 == 0 else "fine" for n in range(50)],
    ),
    "target": ("iban", [_iban(_digits(18)) for _ in range(50)]),
    "payment": ("payment_card", [_luhn("4" + _digits(14)) for _ in range(50)]),
    "number_1": ("payment_card", [_luhn("51" + _digits(13)) for _ in range(50)]),
    "insured": ("us_ssn", [f"{n + 100}-{n + 10}-{n + 1000}" for n in range(50)]),
    "peer": ("ip_address", [f"203.0.113.{n}" for n in range(50)]),
    "mobile_phone": ("phone", [f"+49 30 {_digits(7)}" for _ in range(50)]),
    "date_of_birth": ("birth_date", [f"19{n + 10}-05-17" for n in range(50)]),
    "first_name": ("person_name", ["Ada", "Charles"] * 25),
    # what looks like it and is not
    "order_number": (None, ["4" + _digits(15) for _ in range(50)]),
    "part": (None, [f"AB12-{_digits(4)}-{_digits(4)}" for _ in range(50)]),
    "measured_at": (None, [f"2026-05-{n % 28 + 1:02d}" for n in range(50)]),
    "measure": (None, [f"{n}.5" for n in range(50)]),
    "release": (None, [f"{n}.1.2" for n in range(50)]),
    "handle": (None, [f"@user{n}" for n in range(50)]),
    "count": (None, [_digits(9) for _ in range(50)]),
    "uuid": (None, [f"0e37df36-f698-11e6-8dd4-{n:012d}" for n in range(50)]),
}
"""What is planted in columns of 50 values, and what each is."""


@pytest.mark.parametrize("name", SEEDED)
def test_the_seeded_set_is_told_without_a_miss_or_a_false_alarm(name: str) -> None:
    # Given
    kind, values = SEEDED[name]
    # When
    found = recognise(name, values)
    # Then
    assert [item.kind for item in found] == ([kind] if kind else [])


def test_the_sample_answers(database: str, invoke: Invoker) -> None:
    # Given
    invoke("lake.create_dataset")
    # When
    answer = invoke(OPERATION)
    # Then
    assert answer.status == 200, answer.body
    assert (answer.json["rows"], answer.json["changes"]) == (0, [])


def test_a_scan_proposes_what_change_dataset_takes(
    database: str, invoke: Invoker, insert: Insert
) -> None:
    # Given
    columns: list[dict[str, Any]] = [
        {"name": "id", "type": "integer"},
        {"name": "contact", "type": "text"},
        {"name": "doc", "type": "json"},
        {"name": "hidden", "type": "text", "protection": "encrypted"},
        {"name": "known", "type": "text", "sensitivity": "secret"},
    ]
    invoke("lake.create_dataset", body={"name": "people", "columns": columns, "key": ["id"]})
    rows = [
        {
            "id": number,
            "contact": f"user{number}@example.com",
            "doc": {"to": f"n{number}@example.com"},
            "hidden": f"h{number}@example.com",
            "known": f"k{number}@example.com",
        }
        for number in range(20)
    ]
    assert insert("people", rows).status == 201
    # When
    answer = invoke(OPERATION, path={"dataset": "people"})
    # Then
    assert answer.status == 200, answer.body
    assert "example.com" not in answer.body
    changes = answer.json["changes"]
    assert {change["column"]: change["sensitivity"] for change in changes} == {
        "contact": "personal",
        "doc": "personal",
    }
    found = {column["column"]: column for column in answer.json["columns"]}
    assert (found["hidden"]["encrypted"], found["hidden"]["findings"]) == (True, [])
    assert [item["kind"] for item in found["known"]["findings"]] == ["email"]
    changed = invoke("lake.change_dataset", path={"dataset": "people"}, body={"changes": changes})
    assert changed.status == 200, changed.body
    assert invoke(OPERATION, path={"dataset": "people"}).json["changes"] == []


def test_a_sample_of_rows_is_told_its_sensitivities(database: str, invoke: Invoker) -> None:
    # When
    body = "id,e_mail,card_number\n" + "".join(
        f"{number},u{number}@example.com,{_luhn('4' + _digits(14))}\n" for number in range(9)
    )
    answer = invoke("lake.infer_dataset", body=body, content_type="text/csv")
    # Then
    assert answer.status == 200, answer.body
    found = {item["name"]: item["sensitivity"] for item in answer.json["definition"]["columns"]}
    assert found == {"id": "internal", "e_mail": "personal", "card_number": "secret"}
