"""CloudEvents out of HTTP requests: structured, batch, binary."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from datapunk.errors import InvalidInputError, MalformedRequestError
from datapunk.events import BATCH, STRUCTURED
from datapunk.stream.receiving import MAX_BATCH, read_events
from hypothesis import given
from hypothesis import strategies as st

EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
CE = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}


def _bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("media_type", [STRUCTURED, "application/json"])
def test_a_structured_event(media_type: str) -> None:
    # Given
    content = _bytes({**EVENT, "data": {"ppm": 1}})
    # When
    (event,) = read_events(media_type, content, {})
    # Then
    assert (event.id, event.data) == ("1", {"ppm": 1})


@pytest.mark.parametrize("media_type", [BATCH, "application/json"])
def test_a_batch(media_type: str) -> None:
    # Given
    content = _bytes([EVENT, {**EVENT, "id": "2"}])
    # When
    events = read_events(media_type, content, {})
    # Then
    assert [event.id for event in events] == ["1", "2"]


def test_an_empty_batch_is_no_event() -> None:
    # Given / When / Then
    assert read_events(BATCH, b"[]", {}) == []


def test_a_binary_event_of_json() -> None:
    # Given header values are percent-encoded (HTTP binding 3.1.3.2), names are of any case
    headers = {**CE, "CE-Subject": "K%C3%B6ln%20S%C3%BCd", "ce-custom": "x", "accept": "*/*"}
    # When
    (event,) = read_events("application/json", b'{"ppm": 1}', headers)
    # Then
    assert event.subject == "K\u00f6ln S\u00fcd"
    assert event.extensions == {"custom": "x"}
    assert (event.data, event.datacontenttype) == ({"ppm": 1}, "application/json")


def test_a_binary_event_of_anything_else_keeps_its_bytes() -> None:
    # Given
    content = b"\x00\xff"
    # When
    (event,) = read_events("application/octet-stream", content, CE)
    # Then
    assert event.data_base64 == base64.b64encode(content).decode()
    assert event.data is None


@pytest.mark.parametrize("media_type", [STRUCTURED, BATCH, "application/json"])
@pytest.mark.parametrize("content", [b"{", b"", b"[", b"\xff\xfe"])
def test_what_is_not_json_is_malformed(media_type: str, content: bytes) -> None:
    # Given / When / Then
    with pytest.raises(MalformedRequestError):
        read_events(media_type, content, {})


def test_binary_data_that_is_not_json_is_malformed() -> None:
    # Given / When / Then
    with pytest.raises(MalformedRequestError):
        read_events("application/json", b"{", CE)


def test_every_wrong_attribute_is_named() -> None:
    # Given
    batch = _bytes([EVENT, {"id": "", "type": "white space"}])
    # When
    with pytest.raises(InvalidInputError) as raised:
        read_events(BATCH, batch, {})
    # Then
    named = {error.field for error in raised.value.errors}
    assert named == {"1.specversion", "1.id", "1.source", "1.type"}


def test_a_batch_has_its_limit() -> None:
    # Given
    batch = _bytes([{**EVENT, "id": str(number)} for number in range(MAX_BATCH + 1)])
    # When / Then
    with pytest.raises(InvalidInputError) as raised:
        read_events(BATCH, batch, {})
    assert raised.value.errors[0].code == "too_long"


@given(
    st.sampled_from([STRUCTURED, BATCH, "application/json", "text/plain"]),
    st.one_of(
        st.binary(max_size=60),
        st.recursive(st.none() | st.text(max_size=5) | st.integers(), st.lists, max_leaves=4).map(
            _bytes
        ),
        st.dictionaries(st.sampled_from([*EVENT, "data", "x"]), st.text(max_size=5)).map(_bytes),
    ),
    st.dictionaries(st.sampled_from([*CE, "ce-x", "ce-", "host"]), st.text(max_size=5)),
)
def test_any_request_is_read_or_refused(
    media_type: str, content: bytes, headers: dict[str, str]
) -> None:
    # Given / When
    try:
        events = read_events(media_type, content, headers)
    except (InvalidInputError, MalformedRequestError) as error:
        # Then
        assert error.errors
    else:
        assert all(event.id and event.source for event in events)
