"""lake.serve_rpc: the lake's operations as calls, guarded as its HTTP doors are, and keyed ones done once."""

from __future__ import annotations

import base64
import gzip
import json
import multiprocessing
from typing import Any

import pytest
from datapunk import cache
from datapunk.broker.connection import reset
from datapunk.database import transaction
from datapunk.database.connection import discard
from datapunk.errors import (
    ConflictError,
    DeadlineExceededError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from datapunk.identity import SYSTEM, Caller
from datapunk.mesh.contract import JSON, PROTO
from datapunk.mesh.generated.lake_pb2 import GetDatasetRequest, ListDatasetsResponse
from datapunk.nexus.users import UserAccount
from datapunk.settings import settings

from tests.support.calls import caller_of, invoked, posted
from tests.support.people import add_user
from tests.support.services import Broker

pytestmark = pytest.mark.usefixtures("database", "broker")

CO2 = {
    "name": "co2",
    "columns": [{"name": "week", "type": "date"}, {"name": "ppm", "type": "number"}],
    "key": ["week"],
}
ROWS = {
    "dataset": "co2",
    "media_type": "text/csv",
    "records": base64.b64encode(b"week,ppm\n2026-01-04,421.5\n2026-01-11,422\n").decode(),
}


@pytest.fixture
def ann() -> UserAccount:
    return add_user()


@pytest.fixture
def caller(ann: UserAccount) -> Caller:
    return caller_of(ann, "service:stream")


def _audited() -> list[dict[str, Any]]:
    with transaction(SYSTEM) as tx:
        return tx.all(
            "SELECT principal, actors, action, outcome, source FROM nexus.audit "
            "WHERE action LIKE 'lake.%' ORDER BY sequence"
        )


@pytest.mark.parametrize("media_type", [PROTO, JSON])
def test_what_its_doors_do_calls_do(caller: Caller, broker: Broker, media_type: str) -> None:
    # Given
    def call(operation: str, members: Any) -> Any:
        return invoked("lake", operation, members, caller, media_type=media_type)

    # When
    created = call("create_dataset", CO2)
    stored = call("insert_records", ROWS)
    found = call(
        "query_records",
        {"dataset": "co2", "parameters": [{"name": "ppm", "value": "gt.422"}, _order("week")]},
    )
    every = call("query_records", {"dataset": "co2", "media_type": "text/csv"})
    page = call("list_datasets", {"limit": 1})
    # Then
    assert (created.name, created.owner, list(created.key)) == ("co2", caller.principal, ["week"])
    assert [column.nullable for column in created.columns] == [False, True]
    assert (stored.inserted, bool(stored.event_id)) == (2, True)
    assert json.loads(found.records)["items"] == []
    assert every.records.startswith(b"week,ppm\r\n2026-01-04,421.5")
    assert page == ListDatasetsResponse(items=[created])
    assert call("get_dataset", {"dataset": "co2"}) == created
    assert len(broker.take("stream.store_event")) == 1


def _order(column: str) -> dict[str, str]:
    return {"name": "order", "value": column}


def test_a_call_is_recorded_with_everybody_it_came_through(caller: Caller) -> None:
    # Given / When
    invoked("lake", "create_dataset", CO2, caller)
    invoked("lake", "get_dataset", {"dataset": "co2"}, caller)
    # Then what changes nothing is not recorded
    assert _audited() == [
        {
            "principal": caller.principal,
            "actors": ["service:stream"],
            "action": "lake.create_dataset",
            "outcome": "done",
            "source": "",
        }
    ]


@pytest.mark.parametrize(
    ("operation", "members", "kind"),
    [
        ("get_dataset", {"dataset": "nothing"}, NotFoundError),
        ("create_dataset", {"name": "No Name"}, InvalidInputError),
        ("list_datasets", {"limit": 5000}, InvalidInputError),
        ("list_datasets", {"cursor": "x"}, InvalidInputError),
    ],
)
def test_errors_are_the_doors(
    caller: Caller, operation: str, members: Any, kind: type[Exception]
) -> None:
    # Given / When / Then
    with pytest.raises(kind):
        invoked("lake", operation, members, caller)


def test_the_policy_decides_by_operation(ann: UserAccount) -> None:
    # Given somebody whose scope is to read
    reader = Caller(ann.principal, ann.tenant, ("viewer",), ("read",), ("service:stream",))
    # When / Then
    assert list(invoked("lake", "list_datasets", {}, reader).items) == []
    with pytest.raises(ForbiddenError):
        invoked("lake", "create_dataset", CO2, reader)
    assert [entry["outcome"] for entry in _audited()] == ["denied"]


def test_another_tenant_s_datasets_are_not_there(caller: Caller) -> None:
    # Given
    invoked("lake", "create_dataset", CO2, caller)
    stranger = Caller("user:eve", "acme", ("admin",), ("read", "write", "admin"))
    # When / Then
    assert list(invoked("lake", "list_datasets", {}, stranger).items) == []
    for operation in ("get_dataset", "insert_records", "query_records"):
        with pytest.raises(NotFoundError):
            invoked("lake", operation, {"dataset": "co2"}, stranger)


def test_too_many_services_in_between_are_refused(ann: UserAccount) -> None:
    # Given
    far = caller_of(ann, *(f"service:s{number}" for number in range(6)))
    # When / Then
    with pytest.raises(ForbiddenError, match="Too many services"):
        invoked("lake", "list_datasets", {}, far)


def test_work_past_its_deadline_is_refused(caller: Caller) -> None:
    # Given a call that was on its way for longer than it had
    # When / Then
    with pytest.raises(DeadlineExceededError):
        invoked("lake", "create_dataset", CO2, caller, timeout=3.0, sent=3.5)
    with pytest.raises(NotFoundError):
        invoked("lake", "get_dataset", {"dataset": "co2"}, caller)


def test_a_keyed_call_is_done_once_and_answered_again(caller: Caller) -> None:
    # Given
    invoked("lake", "create_dataset", {**CO2, "key": []}, caller)
    # When it is repeated, in the other form too
    receipts = [
        invoked("lake", "insert_records", ROWS, caller, key="load-1", media_type=form)
        for form in (PROTO, JSON, PROTO)
    ]
    again = invoked("lake", "insert_records", ROWS, caller, key="load-2")
    # Then
    assert receipts[0] == receipts[1] == receipts[2]
    assert again.event_id != receipts[0].event_id
    with transaction(caller) as tx:
        assert _rows(tx) == 4


def _rows(tx: Any) -> int:
    table = tx.value("SELECT table_name FROM lake.datasets WHERE name = 'co2'")
    return int(tx.value(f'SELECT count(*) FROM lake_data."{table}"'))


def test_a_key_belongs_to_one_request_and_one_caller(caller: Caller) -> None:
    # Given
    invoked("lake", "create_dataset", CO2, caller, key="k")
    other = caller_of(add_user("bob@example.com"))
    # When / Then
    with pytest.raises(ConflictError, match="another request"):
        invoked("lake", "create_dataset", {**CO2, "name": "ch4"}, caller, key="k")
    assert invoked("lake", "create_dataset", {**CO2, "name": "ch4"}, other, key="k").name == "ch4"
    with pytest.raises(InvalidInputError):
        invoked("lake", "create_dataset", CO2, caller, key="k" * 256)


def test_a_call_that_failed_may_be_repeated_under_its_key(caller: Caller) -> None:
    # Given
    with pytest.raises(NotFoundError):
        invoked("lake", "insert_records", ROWS, caller, key="k")
    invoked("lake", "create_dataset", CO2, caller)
    # When / Then
    assert invoked("lake", "insert_records", ROWS, caller, key="k").inserted == 2


def test_keyed_calls_at_once_have_one_effect(caller: Caller) -> None:
    # Given
    invoked("lake", "create_dataset", {**CO2, "key": []}, caller)
    context = multiprocessing.get_context("fork")
    start, inserted = context.Barrier(6), context.Value("i", 0)

    def insert() -> None:
        start.wait(60)
        stored = invoked("lake", "insert_records", ROWS, caller, key="at-once")
        with inserted.get_lock():
            inserted.value += stored.inserted

    # A connection that a fork takes along would be shared.
    cache.forget()
    discard()
    reset()
    processes = [context.Process(target=insert) for _ in range(6)]
    # When
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    # Then all got the answer, and the rows are there once
    assert [process.exitcode for process in processes] == [0] * 6
    assert inserted.value == 12
    with transaction(caller) as tx:
        assert _rows(tx) == 2


def test_through_the_gateway_it_speaks_connect(ann: UserAccount) -> None:
    # Given / When
    created = posted("lake", "create_dataset", CO2, ann)
    binary = posted(
        "lake",
        "get_dataset",
        GetDatasetRequest(dataset="co2").SerializeToString(),
        ann,
        headers={"Content-Type": PROTO},
    )
    missing = posted("lake", "get_dataset", {"dataset": "nothing"}, ann)
    # Then
    assert created["statusCode"] == 200
    assert json.loads(created["body"])["owner"] == ann.principal
    assert (binary["statusCode"], binary["isBase64Encoded"]) == (200, True)
    assert missing["statusCode"] == 404
    assert json.loads(missing["body"])["code"] == "not_found"
    assert missing["multiValueHeaders"]["X-Content-Type-Options"] == ["nosniff"]
    assert "RateLimit" in missing["multiValueHeaders"]


@pytest.mark.parametrize(
    ("content", "encoding", "status"),
    [
        (gzip.compress(b'{"limit": 1}', mtime=0), "gzip", 200),
        (b'{"limit": 1}', "identity", 200),
        (b'{"limit": 1}', "gzip", 400),
        (gzip.compress(b'{"limit": 1}', mtime=0)[:-9], "gzip", 400),
        (gzip.compress(b" " * 7_000_000, mtime=0), "gzip", 429),
        (b'{"limit": 1}', "br", 415),
    ],
)
def test_a_compressed_message_is_read(
    ann: UserAccount, content: bytes, encoding: str, status: int
) -> None:
    # Given / When
    headers = {"Content-Encoding": encoding}
    answer = posted("lake", "list_datasets", content, ann, headers=headers)
    # Then what is too large has the code of exhausted resources in Connect
    assert answer["statusCode"] == status


def test_nobody_tells_the_gateway_for_whom_he_calls(ann: UserAccount) -> None:
    # Given a request that says it came by invoke, as far as a request can
    claims = {"caller": {"principal": "user:admin", "tenant": "acme"}}
    # When
    answer = posted(
        "lake",
        "create_dataset",
        {**CO2},
        ann,
        headers={"rpc": json.dumps(claims), "x-datapunk-caller": "user:admin"},
        queryStringParameters={"rpc": json.dumps(claims)},
    )
    # Then
    assert json.loads(answer["body"])["owner"] == ann.principal


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"headers": {"Content-Type": "text/plain"}}, 415),
        ({"body": "{"}, 400),
        ({"body": '{"table": 1}'}, 400),
        ({"body": "//8=", "isBase64Encoded": True, "headers": {"Content-Type": PROTO}}, 400),
        ({"body": "%", "isBase64Encoded": True}, 400),
        ({"httpMethod": "GET"}, 404),
        ({"path": "/v1/lake/rpc/datapunk.lake.v1.LakeService/DropEverything"}, 404),
        ({"path": "/v1/lake/rpc/datapunk.stream.v1.StreamService/ListEvents"}, 404),
    ],
)
def test_what_is_no_call_is_refused(ann: UserAccount, changes: dict[str, Any], status: int) -> None:
    # Given / When / Then
    assert posted("lake", "get_dataset", {"dataset": "x"}, ann, **changes)["statusCode"] == status


def test_what_a_caller_asked_for_in_milliseconds_ends_its_work(ann: UserAccount) -> None:
    # Given / When
    answer = posted("lake", "list_datasets", {}, ann, headers={"Connect-Timeout-Ms": "0"})
    # Then
    assert answer["statusCode"] == 504
    assert json.loads(answer["body"])["code"] == "deadline_exceeded"


def test_without_a_database_the_callers_know(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    discard()
    settings.cache_clear()
    # When / Then
    with pytest.raises(UnavailableError) as raised:
        invoked("lake", "list_datasets", {}, caller)
    assert raised.value.dependency == "postgresql"
