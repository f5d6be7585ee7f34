"""The Invoke API as the stock client sees it."""

from __future__ import annotations

import base64
import http.client
import json

import pytest
from botocore.exceptions import ClientError

from tests.integration.local.data_plane.plane import Plane, eventually


def test_answer_of_the_handler(plane: Plane) -> None:
    # When
    payload, answer = plane.invoke("probe.echo", {"bare": True, "umlaut": "ü", "n": 2**70})
    # Then
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert payload["event"] == {"bare": True, "umlaut": "ü", "n": 2**70}


def test_context_is_lambdas(plane: Plane) -> None:
    # Given
    context = base64.b64encode(json.dumps({"custom": {"caller": "test"}}).encode()).decode()
    # When
    payload, answer = plane.invoke("probe.echo", {"bare": True}, ClientContext=context)
    # Then
    assert payload["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert payload["function"] == "test-probe-echo"
    assert payload["arn"] == "arn:aws:lambda:us-east-1:000000000000:function:test-probe-echo"
    assert payload["version"] == "$LATEST"
    assert payload["memory"] == "256"
    assert payload["group"] == "/aws/lambda/test-probe-echo"
    assert "[$LATEST]" in payload["stream"]
    assert 0 < payload["remaining"] <= 5000
    assert payload["client"] == {"caller": "test"}


def test_environment_is_the_functions(plane: Plane) -> None:
    # When
    payload, _ = plane.invoke("probe.echo", {"bare": True})
    # Then
    environment = payload["environment"]
    assert environment["OWN"] == "value"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "test-probe-echo"
    assert environment["AWS_REGION"] == "us-east-1"
    assert environment["TZ"] == ":UTC"
    assert "SECRET_OF_THE_LAUNCHER" not in environment
    assert payload["path"][0] == str(plane.functions)


@pytest.mark.parametrize(
    "name",
    [
        "arn:aws:lambda:us-east-1:000000000000:function:test-probe-echo",
        "arn:aws:lambda:us-east-1:000000000000:function:test-probe-echo:live",
        "000000000000:function:test-probe-echo",
        "test-probe-echo:$LATEST",
    ],
)
def test_function_by_arn(plane: Plane, name: str) -> None:
    assert plane.client().invoke(FunctionName=name)["StatusCode"] == 200


def test_empty_payload_is_an_empty_event(plane: Plane) -> None:
    # When
    answer = plane.client().invoke(FunctionName="test-probe-misbehave")
    # Then
    assert json.loads(answer["Payload"].read())["statusCode"] == 200


def test_error_of_the_handler(plane: Plane) -> None:
    # When
    payload, answer = plane.invoke("probe.misbehave", {"how": "raise"})
    # Then
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "LookupError"
    assert payload["errorMessage"] == "nothing there"
    assert payload["requestId"] == answer["ResponseMetadata"]["RequestId"]
    assert 'raise LookupError("nothing there")' in payload["stackTrace"][-1]


def test_answer_that_is_no_json(plane: Plane) -> None:
    payload, _ = plane.invoke("probe.misbehave", {"how": "unserialisable"})
    assert payload["errorType"] == "Runtime.MarshalError"


def test_module_that_cannot_be_imported(plane: Plane) -> None:
    # When
    payload, answer = plane.invoke("probe.broken")
    # Then
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert "a_module_that_nobody_has" in payload["errorMessage"]


def test_environment_that_exits(plane: Plane) -> None:
    # When
    payload, _ = plane.invoke("probe.misbehave", {"how": "exit"})
    # Then
    assert payload["errorType"] == "Runtime.ExitError"
    assert payload["errorMessage"].endswith("Error: Runtime exited with error: exit status 7")
    # And another takes its place
    assert plane.invoke("probe.misbehave")[0]["body"].startswith("survived")


def test_memory_limit(plane: Plane) -> None:
    # When
    payload, _ = plane.invoke("probe.misbehave", {"how": "memory"})
    # Then
    assert payload["errorType"] == "Runtime.OutOfMemory"
    assert "256 MB" in payload["errorMessage"]
    assert "memory limit of 256 MB exceeded" in plane.function_log("probe.misbehave")


def test_answer_larger_than_lambda_allows(plane: Plane) -> None:
    payload, _ = plane.invoke("probe.misbehave", {"how": "large"})
    assert payload["errorType"] == "Function.ResponseSizeTooLarge"


def test_log_tail_is_of_this_invocation(plane: Plane) -> None:
    # Given
    plane.invoke("probe.echo", {"say": "earlier"})
    # When
    _, answer = plane.invoke("probe.echo", {"say": "now"}, LogType="Tail")
    # Then
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    identifier = answer["ResponseMetadata"]["RequestId"]
    assert lines[0] == f"START RequestId: {identifier} Version: $LATEST"
    assert lines[1] == "echo now"
    assert lines[2] == f"END RequestId: {identifier}"
    assert lines[3].startswith(f"REPORT RequestId: {identifier}\tDuration: ")
    assert "Memory Size: 256 MB\tMax Memory Used: " in lines[3]


def test_dry_run_runs_nothing(plane: Plane) -> None:
    # Given
    before = plane.counts("probe.slow")["invocations"]
    # When
    answer = plane.client().invoke(FunctionName="test-probe-slow", InvocationType="DryRun")
    # Then
    assert answer["StatusCode"] == 204
    assert plane.counts("probe.slow")["invocations"] == before


def test_unknown_function(plane: Plane) -> None:
    # Given
    client = plane.client()
    # When
    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        client.invoke(FunctionName="nothing")
    # Then
    assert caught.value.response["Error"]["Message"] == (
        "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nothing"
    )


@pytest.mark.parametrize(
    ("kind", "size"), [("RequestResponse", 6 * 1024 * 1024), ("Event", 1024 * 1024)]
)
def test_payload_too_large(plane: Plane, kind: str, size: int) -> None:
    with pytest.raises(ClientError) as caught:
        plane.client().invoke(
            FunctionName="test-probe-echo", InvocationType=kind, Payload=json.dumps("x" * size)
        )
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert caught.value.response["Error"]["Code"] == "RequestTooLargeException"


def test_payload_that_is_no_json(plane: Plane) -> None:
    with pytest.raises(ClientError) as caught:
        plane.client().invoke(FunctionName="test-probe-echo", Payload=b"{")
    assert caught.value.response["Error"]["Code"] == "InvalidRequestContentException"


def test_client_context_that_is_no_base64(plane: Plane) -> None:
    # Given a client that does not take care of it itself
    connection = http.client.HTTPConnection("127.0.0.1", plane.invoke_port, timeout=10)
    # When
    connection.request(
        "POST",
        "/2015-03-31/functions/test-probe-echo/invocations",
        headers={"X-Amz-Client-Context": "\u00e4"},
    )
    # Then
    answer = connection.getresponse()
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "InvalidRequestContentException"
    connection.close()


def test_event_is_tried_again(plane: Plane) -> None:
    # Given a function that succeeds at its third attempt
    file = plane.folder / "third"
    # When
    _, answer = plane.invoke(
        "probe.flaky", {"file": str(file), "succeed_at": 3}, InvocationType="Event"
    )
    # Then
    assert answer["StatusCode"] == 202
    eventually(lambda: file.exists() and len(file.read_text().splitlines()) == 3)
    assert len(set(file.read_text().splitlines())) == 1
    eventually(lambda: plane.counts("probe.flaky")["asynchronous"]["waiting"] == 0)


def test_event_is_given_up_after_two_retries(plane: Plane) -> None:
    # Given
    file = plane.folder / "never"
    before = plane.counts("probe.flaky")["asynchronous"]["dropped"]
    # When
    plane.invoke("probe.flaky", {"file": str(file), "succeed_at": 99}, InvocationType="Event")
    # Then
    eventually(lambda: plane.counts("probe.flaky")["asynchronous"]["dropped"] == before + 1)
    assert len(file.read_text().splitlines()) == 3
    assert "is given up" in plane.log()


def test_other_operations_are_elsewhere(plane: Plane) -> None:
    with pytest.raises(ClientError) as caught:
        plane.client().list_functions()
    assert "http://127.0.0.1:9" in caught.value.response["Error"]["Message"]
