"""Signatures of calls by invoke, beside those of the stock library."""

from __future__ import annotations

import datetime as dt

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from datapunk.mesh.invoking import Keys, signed
from hypothesis import given
from hypothesis import strategies as st

AT = dt.datetime(2026, 11, 28, 3, 4, 5, tzinfo=dt.UTC)
URL = "https://lambda.eu-central-1.amazonaws.com/2015-03-31/functions/{}/invocations"


def _stock(url: str, payload: bytes, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: AT.replace(tzinfo=None))
    request = AWSRequest("POST", url, data=payload, headers={"Content-Type": "application/json"})
    credentials = Credentials(keys.identifier, keys.secret, keys.token or None)
    SigV4Auth(credentials, "lambda", "eu-central-1").add_auth(request)
    return str(request.headers["Authorization"])


@given(
    name=st.sampled_from(
        ["datapunk-lake-serve_rpc", "arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Ax%3Alive"]
    ),
    payload=st.binary(max_size=200),
    token=st.sampled_from(["", "session/token+with=signs"]),
)
def test_they_are_the_stock_library_s(name: str, payload: bytes, token: str) -> None:
    # Given
    keys = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    url = URL.format(name)
    # When
    headers = signed(url, payload, keys, "eu-central-1", AT)
    # Then
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert headers["authorization"] == _stock(url, payload, keys, monkeypatch)
    assert headers.get("x-amz-security-token", "") == token
