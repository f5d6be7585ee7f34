"""The configuration file of the data plane."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infrastructure.local.data_plane.settings import read_settings

GIVEN: dict[str, Any] = {
    "project": "/p",
    "state": "/s",
    "gateway_host": "127.0.0.1",
    "gateway_port": 1,
    "invoke_port": 2,
    "aws_endpoint": "http://127.0.0.1:3",
    "stack_name": "stack",
    "template": "/t.json",
    "amqp_url": "amqp://127.0.0.1:4",
    "environment": {"A": "b"},
}


def write(folder: Path, **more: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({**GIVEN, **more}))
    return path


def test_settings_and_limits(tmp_path: Path) -> None:
    # When
    settings = read_settings(write(tmp_path, limits={"environments": 3, "retry_delays": [1]}))
    # Then
    assert settings.logs == Path("/s/logs")
    assert settings.limits.environments == 3
    assert settings.limits.retry_delays == (1,)
    assert settings.limits.wall_seconds == 29


@pytest.mark.parametrize("more", [{"typo": 1}, {"limits": {"typo": 1}}])
def test_unknown_key_is_named(tmp_path: Path, more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="typo"):
        read_settings(write(tmp_path, **more))
