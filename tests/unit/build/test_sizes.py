"""Sizes of a build against the limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from infrastructure.build.sizes import FUNCTION_LIMIT, LAYER_LIMITS, measure

LAYER_LIMIT = LAYER_LIMITS["CommonLayer"]
TEMPLATE: dict[str, Any] = {
    "Globals": {"Function": {"Layers": [{"Ref": "CommonLayer"}]}},
    "Resources": {
        "CommonLayer": {"Type": "AWS::Serverless::LayerVersion"},
        "PingFunction": {
            "Type": "AWS::Serverless::Function",
            "Properties": {"CodeUri": "PingFunction"},
        },
        "Table": {"Type": "AWS::DynamoDB::Table"},
    },
}


def _write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"#" * size)


def test_a_function_counts_with_its_layers(tmp_path: Path) -> None:
    # Given
    _write(tmp_path / "CommonLayer/python/datapunk/__init__.py", 1000)
    _write(tmp_path / "CommonLayer/python/datapunk/__pycache__/__init__.cpython-313.pyc", 500)
    _write(tmp_path / "PingFunction/ping.py", 100)
    # When
    layer, function = measure(tmp_path, TEMPLATE)
    # Then
    assert (layer.name, layer.size, layer.limit) == ("CommonLayer", 1500, LAYER_LIMIT)
    assert (function.name, function.size, function.limit) == ("PingFunction", 1600, FUNCTION_LIMIT)
    assert (layer.uncompiled, function.uncompiled) == (0, 1)
    assert "without bytecode" in str(function)
    assert "without bytecode" not in str(layer)


def test_what_is_too_large_says_so(tmp_path: Path) -> None:
    # Given a layer above its limit, as a file of that size without content on disk
    _write(tmp_path / "CommonLayer/python/big.so", 1)
    with (tmp_path / "CommonLayer/python/big.so").open("r+b") as file:
        file.truncate(LAYER_LIMIT + 1)
    _write(tmp_path / "PingFunction/ping.py", 1)
    # When
    layer, function = measure(tmp_path, TEMPLATE)
    # Then
    assert layer.size > layer.limit
    assert "TOO LARGE" in str(layer)
    assert function.size < function.limit


def test_a_layer_of_some_functions_counts_with_those(tmp_path: Path) -> None:
    # Given a layer that one function of two has beside the common one
    code = {"CodeUri": "PingFunction"}
    heavy = {
        "Type": "AWS::Serverless::Function",
        "Properties": {**code, "Layers": [{"Ref": "AnalyticsLayer"}]},
    }
    layer = {"Type": "AWS::Serverless::LayerVersion"}
    resources = {**TEMPLATE["Resources"], "AnalyticsLayer": layer, "HeavyFunction": heavy}
    _write(tmp_path / "CommonLayer/python/a.so", 1000)
    _write(tmp_path / "AnalyticsLayer/python/b.so", 3000)
    _write(tmp_path / "PingFunction/ping.py", 1)
    # When
    sizes = {
        item.name: item.size for item in measure(tmp_path, {**TEMPLATE, "Resources": resources})
    }
    # Then
    assert (sizes["PingFunction"], sizes["HeavyFunction"]) == (1001, 4001)
