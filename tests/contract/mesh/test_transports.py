"""One contract over every transport: the same results, the same errors, the same guards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from connectrpc.client import ConnectClientSync
from connectrpc.code import Code
from connectrpc.compat import google_protobuf_binary_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from datapunk.context import Trace, WorkContext, working
from datapunk.database import transaction
from datapunk.errors import DatapunkError, UnauthenticatedError, UnavailableError
from datapunk.identity import SYSTEM, Caller
from datapunk.mesh import breaker, call_service, calling, tokens, wire
from datapunk.mesh.generated import lake_pb2
from datapunk.nexus.certificates import revoke_certificate
from datapunk.nexus.users import UserAccount
from datapunk.retry import ONCE
from datapunk.settings import settings

from tests.contract.mesh.places import container, start_plane, tls_before, write_identity
from tests.integration.local.data_plane.plane import Plane
from tests.support.answers import write_certificate
from tests.support.oauth import SERVICE, WEB, add_client, tokens_of
from tests.support.people import add_user
from tests.support.services import Broker, eventually
from tests.support.workloads import administrator

pytestmark = pytest.mark.timeout(300)
TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


@dataclass(frozen=True)
class Places:
    """What tests have to do with: the data plane, Ann and her token, and who they are."""

    plane: Plane
    environment: dict[str, str]
    admin: UserAccount
    ann: UserAccount
    token: str

    def work(self, caller: Caller | None = None) -> WorkContext:
        """Be at work in the service `stream`, for Ann, with half a minute left."""
        return WorkContext(
            operation="stream.relay",
            correlation_id="order-1",
            trace=TRACE,
            deadline=time.monotonic() + 60,
            caller=caller or self.ann.caller,
            token=self.token,
        )


@pytest.fixture
def places(
    database: str,
    broker: Broker,
    authority: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Places]:
    plane = Plane(tmp_path / "plane")
    issuer = f"http://127.0.0.1:{plane.gateway_port}"
    monkeypatch.setenv("ISSUER", issuer)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{plane.invoke_port}")
    settings.cache_clear()
    current = settings()
    environment = {
        "DATABASE_URL": database,
        "REDIS_URL": current.redis(),
        "AMQP_URL": broker.url,
        "KEY_RING": current.key_ring,
        "ISSUER": issuer,
    }
    admin = administrator()
    ann = add_user("ann@example.com")
    token = tokens_of(add_client(WEB), ann, scope="openid read write")["access_token"]
    client = add_client(SERVICE)
    pair = {"client_id": client.id, "client_secret": client.client_secret}
    monkeypatch.setenv("MESH_CLIENT", json.dumps(pair))
    settings.cache_clear()
    _forget()
    try:
        yield Places(start_plane(plane, environment), environment, admin, ann, token)
    finally:
        plane.stop()
        _forget()


def _forget() -> None:
    """Become an environment that has called nobody, with breakers that nothing has failed behind."""
    breaker.forget()
    calling.forget()
    tokens.forget()
    wire.forget()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return `at(address)`, which says where the lake is."""

    def put(services: str) -> None:
        monkeypatch.setenv("SERVICES", services)
        settings.cache_clear()

    return put


def _definition(name: str) -> dict[str, Any]:
    columns = [{"name": "week", "type": "date"}, {"name": "ppm", "type": "number"}]
    return {"name": name, "columns": columns, "key": ["week"]}


def _conversation(name: str) -> list[Any]:
    """Talk to the lake about a dataset; return what was said, without what differs from one to the next."""
    rows = b'[{"week": "2026-01-04", "ppm": 421.5}]'
    said = [
        _said(name, "create_dataset", _definition(name)),
        _said(name, "create_dataset", _definition(name)),
        _said(name, "create_dataset", {"name": "No Name", "columns": []}),
        _said(name, "insert_records", lake_pb2.InsertRecordsRequest(dataset=name, records=rows)),
        _said(name, "insert_records", lake_pb2.InsertRecordsRequest(dataset=name, records=b"[{")),
        _said(name, "query_records", {"dataset": name}),
        _said(name, "get_dataset", {"dataset": name}),
        _said(name, "get_dataset", {"dataset": "nothing"}),
        _said(name, "list_datasets", {"limit": 5000}),
    ]
    keyed = [
        call_service("lake", "insert_records", _again(name), key=f"{name}-1") for _ in range(2)
    ]
    return [*said, keyed[0] == keyed[1], keyed[0].inserted]


def _again(name: str) -> lake_pb2.InsertRecordsRequest:
    rows = b'[{"week": "2026-01-11", "ppm": 422}]'
    return lake_pb2.InsertRecordsRequest(dataset=name, records=rows)


def _said(name: str, operation: str, message: Any) -> Any:
    try:
        answer = call_service("lake", operation, message, retry=ONCE)
    except DatapunkError as error:
        detail = error.detail.replace(name, "NAME")
        return type(error).__name__, detail, error.errors, getattr(error, "retry_after", None)
    for field in ("created_at", "updated_at"):
        if field in answer.DESCRIPTOR.fields_by_name:
            answer.ClearField(field)
    if "event_id" in answer.DESCRIPTOR.fields_by_name:
        assert answer.event_id
        answer.event_id = ""
    return str(answer).replace(name, "NAME")


def test_one_contract_is_answered_over_every_transport(
    places: Places,
    at: Callable[[str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Given
    tls = tmp_path / "tls"
    tls.mkdir()
    certificate, key = write_certificate(tls)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    lake = write_identity(places.admin, "lake", tmp_path / "lake")
    stream = write_identity(places.admin, "stream", tmp_path / "stream")
    monkeypatch.setenv("MESH_CERTIFICATES", str(stream))
    said: dict[str, list[Any]] = {}
    with ExitStack() as stack:
        secure = stack.enter_context(tls_before(places.plane.gateway_port, certificate, key))
        port = stack.enter_context(container("lake", lake, places.environment))
        addresses = {
            "invoke": "lambda:test-lake-serve_rpc",
            "https": f"https://127.0.0.1:{secure}/v1/lake/rpc",
            "grpc": f"grpcs://127.0.0.1:{port}#lake.public.datapunk.internal",
            "json": "lambda:test-json_only",
        }
        stack.enter_context(working(places.work()))
        capsys.readouterr()
        # When
        fallbacks = {}
        for name, address in addresses.items():
            at(f"lake={address}")
            said[name] = _conversation(f"co2_{name}")
            fallbacks[name] = capsys.readouterr().out.count('"mesh_fallbacks_total":1')
    # Then
    assert said["invoke"][0].startswith('name: "NAME"')
    kinds = [item[0] if isinstance(item, tuple) else "" for item in said["invoke"]]
    assert [kind for kind in kinds if kind] == [
        "ConflictError",
        "InvalidInputError",
        "MalformedRequestError",
        "NotFoundError",
        "InvalidInputError",
    ]
    assert said["invoke"][-2:] == [True, 1]
    for name in ("https", "grpc", "json"):
        assert said[name] == said["invoke"], name
    assert fallbacks == {"invoke": 0, "https": 0, "grpc": 0, "json": 11}
    # The lake knows Ann over each of them, and through whom.
    with transaction(SYSTEM) as tx:
        records = tx.all(
            "SELECT principal, actors FROM nexus.audit"
            " WHERE action = 'lake.create_dataset' AND outcome = 'done' ORDER BY sequence"
        )
    assert {record["principal"] for record in records} == {places.ann.principal}
    invoked, over_https, over_grpc, in_json = [record["actors"] for record in records]
    assert invoked == in_json == ["service:stream"]
    assert over_https[0].startswith("client:")
    assert over_grpc == [*over_https, "service:stream"]


def test_a_chain_has_one_trace_less_time_at_each_step_and_everybody_in_its_record(
    places: Places, at: Callable[[str], None]
) -> None:
    # Given stream, which calls the service in the middle, which calls the lake
    at("nexus=lambda:test-middle")
    requests = places.plane.log().count("/v1/")
    with working(places.work()) as work:
        # When
        seen = call_service("nexus", "get_user", {"user": "chained"}, timeout=20)
        left = min(20.0, work.remaining()) * 1000
    # Then
    middle, end = int(seen.name), int(seen.email)
    assert left + 20_000 > 20_000 > middle > end > 0
    assert seen.tenant == TRACE.trace_id
    chain = [places.ann.principal, "service:stream", "service:nexus"]
    assert list(seen.roles) == chain
    with transaction(SYSTEM) as tx:
        (record,) = tx.all(
            "SELECT principal, actors, trace_id, correlation_id, source FROM nexus.audit"
            " WHERE action = 'lake.create_dataset'"
        )
    assert [record["principal"], *record["actors"]] == chain
    assert (record["trace_id"], record["correlation_id"]) == (TRACE.trace_id, "order-1")
    # Nobody came through the gateway.
    assert record["source"] == ""
    assert places.plane.log().count("/v1/") == requests


def test_a_container_knows_who_calls_and_refuses_whoever_it_does_not(
    places: Places, at: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    lake = write_identity(places.admin, "lake", tmp_path / "lake")
    stream = write_identity(places.admin, "stream", tmp_path / "stream")
    monkeypatch.setenv("MESH_CERTIFICATES", str(stream))
    own = Caller("service:stream", "public", (), ("read", "write"))
    with container("lake", lake, places.environment) as port, working(places.work(own)):
        at(f"lake=grpcs://127.0.0.1:{port}#lake.public.datapunk.internal")
        assert list(call_service("lake", "list_datasets", {}).items) == []
        # When / Then with a token that is none
        with monkeypatch.context() as patch:
            patch.setattr("datapunk.mesh.grpc_client.bearer", lambda *_: "Bearer x")
            with pytest.raises(UnauthenticatedError):
                call_service("lake", "list_datasets", {})
        # When / Then without a certificate
        roots = grpc.ssl_channel_credentials((stream / "authority.pem").read_bytes())
        name = (("grpc.ssl_target_name_override", "lake.public.datapunk.internal"),)
        with grpc.secure_channel(f"127.0.0.1:{port}", roots, options=name) as channel:
            ask = channel.unary_unary("/datapunk.lake.v1.LakeService/ListDatasets")
            with pytest.raises(grpc.RpcError) as refused:
                ask(b"", timeout=10)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        # When / Then with one that was revoked
        with transaction(places.admin.caller) as tx:
            revoke_certificate(tx, (stream / "serial").read_text())
        # Whom a credential belongs to is remembered for some seconds.
        refusal = eventually(_refused, seconds=20)
    assert "certificate" in refusal


def _refused() -> str:
    try:
        call_service("lake", "list_datasets", {})
    except UnauthenticatedError as error:
        return error.detail
    return ""


def test_a_stock_connect_client_is_understood(places: Places) -> None:
    # Given
    # API Gateway hands binary answers on as such only to whoever names their type.
    headers = {"authorization": f"Bearer {places.token}", "accept": "application/proto"}
    url = f"http://127.0.0.1:{places.plane.gateway_port}/v1/lake/rpc"
    method = MethodInfo(
        name="GetDataset",
        service_name="datapunk.lake.v1.LakeService",
        input=lake_pb2.GetDatasetRequest,
        output=lake_pb2.Dataset,
        idempotency_level=IdempotencyLevel.NO_SIDE_EFFECTS,
        stream_type=StreamType.UNARY,
    )
    with working(places.work()), pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVICES", "*=lambda:test-lake-serve_rpc")
        settings.cache_clear()
        made = call_service("lake", "create_dataset", _definition("co2"))
    # When / Then
    with ConnectClientSync(url, codec=google_protobuf_binary_codec()) as client:
        request = lake_pb2.GetDatasetRequest(dataset="co2")
        found = client.execute_unary(request=request, method=method, headers=headers)
        assert found == made
        missing = lake_pb2.GetDatasetRequest(dataset="nothing")
        with pytest.raises(ConnectError) as raised:
            client.execute_unary(request=missing, method=method, headers=headers)
    assert raised.value.code == Code.NOT_FOUND
    assert raised.value.message == "There is no dataset called nothing."


def test_a_place_where_nobody_is_is_unavailable(places: Places, at: Callable[[str], None]) -> None:
    # Given
    at("lake=lambda:test-nobody")
    # When / Then
    with working(places.work()), pytest.raises(UnavailableError):
        call_service("lake", "list_datasets", {}, retry=ONCE)
