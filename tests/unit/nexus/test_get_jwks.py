"""nexus.get_jwks: the public halves, and how long they may be kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from datapunk.keyring.file import FileKeyRing
from datapunk.nexus.keys import LEAD

from tests.support.invoking import Invoker

pytestmark = pytest.mark.usefixtures("environment")


def test_the_key_set_has_the_keys_of_the_ring(invoke: Invoker, key_ring: Path) -> None:
    # Given / When
    answer = invoke("nexus.get_jwks")
    # Then
    kids = [key.kid for key in FileKeyRing(key_ring).list_keys()]
    assert (answer.status, [key["kid"] for key in answer.json["keys"]]) == (200, kids)
    assert all(key["use"] == "sig" and "d" not in key for key in answer.json["keys"])


def test_who_keeps_the_set_as_long_as_it_says_knows_a_new_key_in_time(invoke: Invoker) -> None:
    # Given / When
    age = int(invoke("nexus.get_jwks").headers["cache-control"].rpartition("=")[2])
    # Then
    assert 0 < age <= LEAD / 2
