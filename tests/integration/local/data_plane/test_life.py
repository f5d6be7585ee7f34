"""Environments, fork server and data plane come and go; requests do not notice, or are told."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.local.data_plane.plane import Answer, Plane, eventually, is_alive

NewPlane = Callable[..., Plane]


def in_background(work: Callable[[], Answer]) -> tuple[threading.Thread, list[Answer]]:
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    return thread, answers


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def everyone(plane: Plane) -> list[int]:
    """Return the data plane, its fork server and all environments."""
    servers = children(plane.pid)
    return [plane.pid, *servers, *(child for server in servers for child in children(server))]


def test_timeout_kills_and_says_so(new_plane: NewPlane) -> None:
    # Given
    plane = new_plane()
    plane.start(plane.catalog(functions=[plane.function("probe.misbehave", timeout=0.3)]))
    # When
    payload, answer = plane.invoke("probe.misbehave", {"how": "sleep"})
    # Then
    identifier = answer["ResponseMetadata"]["RequestId"]
    assert payload == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {identifier} Error: Task timed out after 0.30 seconds",
    }
    log = plane.function_log("probe.misbehave")
    assert f"{identifier} Task timed out after 0.30 seconds" in log
    assert "Status: timeout" in log
    assert plane.invoke("probe.misbehave")[0]["statusCode"] == 200


def test_reserved_concurrency_throttles(new_plane: NewPlane) -> None:
    # Given a function that may run once at a time, and callers that wait for a moment only
    plane = new_plane(limits={"queue_seconds": 0.2})
    plane.start(plane.catalog(functions=[plane.function("probe.slow", reserved_concurrency=1)]))
    thread, _ = in_background(lambda: plane.get("/v1/slow?seconds=4"))
    eventually(lambda: plane.counts("probe.slow")["busy"] == 1)
    client = plane.client()
    # When
    with pytest.raises(client.exceptions.TooManyRequestsException):
        client.invoke(FunctionName="test-probe-slow")
    # Then
    assert plane.get("/v1/slow").status == 429
    assert plane.counts("probe.slow")["throttles"] == 2
    thread.join()
    assert plane.get("/v1/slow?seconds=0").status == 200


def test_caller_waits_for_the_only_environment(new_plane: NewPlane) -> None:
    # Given
    plane = new_plane()
    plane.start(plane.catalog(functions=[plane.function("probe.slow", reserved_concurrency=1)]))
    # When
    pairs = [in_background(lambda: plane.get("/v1/slow?seconds=0.1")) for _ in range(4)]
    for thread, _ in pairs:
        thread.join()
    # Then all were answered by the same one
    assert len({answers[0].body for _, answers in pairs}) == 1
    assert plane.counts("probe.slow")["starts"] == 1


def test_idle_environments_are_reaped(new_plane: NewPlane) -> None:
    # Given
    plane = new_plane(limits={"idle_seconds": 0.1, "reap_seconds": 0.1}).start()
    pid = int(plane.get("/v1/slow?seconds=0").body)
    # Then
    eventually(lambda: not is_alive(pid))
    assert plane.counts("probe.slow")["environments"] == 0


def test_environments_grow_under_load_and_shrink_after_it(new_plane: NewPlane) -> None:
    # Given
    plane = new_plane(limits={"idle_seconds": 0.1, "reap_seconds": 0.1}).start()
    # When three callers come at once
    pairs = [in_background(lambda: plane.get("/v1/slow?seconds=4")) for _ in range(3)]
    # Then each has an environment of its own, and none is left when they have gone
    eventually(lambda: plane.counts("probe.slow")["busy"] == 3)
    for thread, _ in pairs:
        thread.join()
    assert len({answers[0].body for _, answers in pairs}) == 3
    eventually(lambda: plane.counts("probe.slow")["environments"] == 0)


def test_environment_killed_while_idle_is_replaced(new_plane: NewPlane) -> None:
    # Given
    plane = new_plane().start()
    pid = int(plane.get("/v1/slow?seconds=0").body)
    # When
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: plane.counts("probe.slow")["environments"] == 0)
    # Then
    assert plane.get("/v1/slow?seconds=0").status == 200


def test_fork_server_that_dies_is_replaced(new_plane: NewPlane) -> None:
    # Given a request in flight
    plane = new_plane().start()
    server = plane.status()["fork_server"]
    thread, answers = in_background(lambda: plane.get("/v1/slow?seconds=20"))
    eventually(lambda: plane.counts("probe.slow")["busy"] == 1)
    # When
    os.kill(server, signal.SIGKILL)
    thread.join()
    # Then
    assert answers[0].status == 502
    assert plane.get("/v1/slow?seconds=0").status == 200
    assert plane.status()["fork_server"] != server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_survives_the_data_plane(new_plane: NewPlane, number: int) -> None:
    # Given environments idle and busy
    plane = new_plane().start()
    plane.get("/v1/echo")
    thread = threading.Thread(
        target=lambda: _ignore_errors(lambda: plane.get("/v1/slow?seconds=9"))
    )
    thread.start()
    eventually(lambda: plane.counts("probe.slow")["busy"] == 1)
    processes = everyone(plane)
    assert len(processes) >= 4
    # When
    plane.stop(number)
    # Then
    eventually(lambda: not any(is_alive(pid) for pid in processes))
    thread.join()


def test_stop_is_clean(new_plane: NewPlane) -> None:
    plane = new_plane().start()
    assert plane.stop() == 0
    assert "Traceback" not in plane.log()


def test_stop_answers_what_is_in_flight(new_plane: NewPlane) -> None:
    # Given
    plane = new_plane().start()
    thread, answers = in_background(lambda: plane.get("/v1/slow?seconds=0.7"))
    eventually(lambda: plane.counts("probe.slow")["busy"] == 1)
    # When
    plane.stop()
    thread.join()
    # Then
    assert answers[0].status == 200


def test_taken_port_ends_the_start(new_plane: NewPlane) -> None:
    # Given
    first = new_plane().start()
    second = new_plane(gateway_port=first.gateway_port)
    # When
    second.start(wait=False)
    # Then
    process = second.process
    assert process is not None
    assert eventually(lambda: process.poll() is not None)
    assert process.returncode != 0
    assert "address already in use" in second.log()


def test_not_ready_without_a_catalog(new_plane: NewPlane) -> None:
    # Given a control plane that has nothing yet
    plane = new_plane()
    plane.start(wait=False)
    catalog = plane.folder / "catalog"
    hidden = plane.folder / "hidden"
    catalog.rename(hidden)
    plane.stop()
    plane.state.mkdir(exist_ok=True)
    # When
    plane.restart()
    eventually(lambda: _status(plane, "/_datapunk/ready") == 503)
    assert _status(plane, "/v1/echo") == 503
    hidden.rename(catalog)
    # Then
    eventually(plane.is_ready)
    assert plane.get("/v1/echo").status == 200


def test_changed_function_reaches_the_next_request(new_plane: NewPlane) -> None:
    # Given
    plane = new_plane().start()
    before = plane.get("/v1/slow?seconds=0").body
    other = plane.get("/v1/layered").body
    source = plane.functions / "probe" / "slow.py"
    # When
    source.write_text(source.read_text().replace("str(os.getpid())", '"new"'))
    # Then
    eventually(lambda: plane.get("/v1/slow?seconds=0").body == b"new")
    assert before.isdigit()
    assert plane.get("/v1/layered").body == other


def test_request_in_flight_finishes_on_the_old_code(new_plane: NewPlane) -> None:
    # Given
    plane = new_plane().start()
    thread, answers = in_background(lambda: plane.get("/v1/slow?seconds=1.5"))
    eventually(lambda: plane.counts("probe.slow")["busy"] == 1)
    source = plane.functions / "probe" / "slow.py"
    # When
    source.write_text(source.read_text().replace("str(os.getpid())", '"new"'))
    eventually(lambda: plane.get("/v1/slow?seconds=0").body == b"new")
    # Then
    assert not answers
    thread.join()
    assert answers[0].body.isdigit()


def test_changed_layer_reaches_the_next_request(new_plane: NewPlane) -> None:
    # Given a request in flight beside it
    plane = new_plane().start()
    assert plane.get("/v1/layered").body == b"first"
    thread, answers = in_background(lambda: plane.get("/v1/slow?seconds=2.5"))
    eventually(lambda: plane.counts("probe.slow")["busy"] == 1)
    server = plane.status()["fork_server"]
    # When
    (plane.layer / "helper.py").write_text('VALUE = "second"\n')
    # Then
    eventually(lambda: plane.get("/v1/layered").body == b"second")
    thread.join()
    assert answers[0].status == 200
    eventually(lambda: not is_alive(server))


def test_changed_configuration_starts_anew(new_plane: NewPlane) -> None:
    # Given
    plane = new_plane().start()
    assert plane.get("/v1/echo").json()["environment"]["OWN"] == "value"
    quiet = int(plane.get("/v1/slow?seconds=0").body)
    # When
    function = replace(plane.function("probe.echo"), environment={"OWN": "changed"})
    plane.reload(plane.catalog(functions=[function]))
    # Then
    assert plane.get("/v1/echo").json()["environment"]["OWN"] == "changed"
    assert int(plane.get("/v1/slow?seconds=0").body) == quiet


def test_code_that_comes_back_is_found(new_plane: NewPlane) -> None:
    # Given a function whose file is away, as in the middle of a checkout
    plane = new_plane().start()
    source = plane.functions / "probe" / "slow.py"
    aside = plane.folder / "slow.py"
    shutil.move(source, aside)
    eventually(lambda: plane.get("/v1/slow?seconds=0").status == 502)
    # When
    shutil.move(aside, source)
    # Then
    eventually(lambda: plane.get("/v1/slow?seconds=0").status == 200)


def _status(plane: Plane, path: str) -> int:
    try:
        return plane.get(path).status
    except OSError:
        time.sleep(0.05)
        return 0


def _ignore_errors(work: Callable[[], object]) -> None:
    try:
        work()
    except OSError:
        return
