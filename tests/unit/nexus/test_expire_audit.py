"""The daily run that lets old audit records go."""

from __future__ import annotations

import pytest
from datapunk.audit import record_alone
from datapunk.identity import Caller

from tests.support.invoking import Invoker

OLD = "2020-01-01T00:00:00.000000Z"


def test_old_records_go_and_the_heads_are_said(
    invoke: Invoker, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    ada = Caller("user:ada", "acme")
    with monkeypatch.context() as patch:
        patch.setattr("datapunk.audit.timestamp", lambda _: OLD)
        record_alone("lake.x", "things", "done", caller=ada)
    record_alone("lake.y", "things", "done", caller=ada)
    # When
    outcome = invoke.sample("nexus.expire_audit")
    again = invoke.sample("nexus.expire_audit")
    # Then
    assert outcome == {"removed": 1, "chains": 1}
    assert again == {"removed": 0, "chains": 1}
