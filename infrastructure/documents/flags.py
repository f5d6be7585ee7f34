"""What is generated from the catalogue of feature flags: a reference page, and the schema of their rules."""

from __future__ import annotations

import json
from typing import Any

from datapunk.flags.catalogue import FLAGS, Flag

from infrastructure.documents.operations import PROJECT

SCHEMA_FILE = PROJECT / "infrastructure" / "flags.schema.json"


def build_flags(head: str) -> str:
    """Return the table of all flags."""
    lines = [
        head,
        "# Feature flags\n",
        "An operator changes these without a deployment: see",
        "[how to switch a feature](../how-to/switch-a-feature.md).",
        "Every rule may look at `tenant`, `principal`, `roles`, `operation`, `stage` and `bucket`.\n",
        "| flag | type | default | owner | what it does | rules may also look at |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, flag in sorted(FLAGS.items()):
        more = ", ".join(f"`{attribute}`" for attribute in flag.attributes) or "nothing"
        default = json.dumps(flag.default)
        lines.append(
            f"| `{name}` | {flag.kind} | `{default}` | {flag.owner} | {flag.description} | {more} |"
        )
    return "\n".join(lines) + "\n"


def build_schema() -> str:
    """Return the JSON schema of the rules, in draft 4: AppConfig knows no later one."""
    from aws_lambda_powertools.utilities.feature_flags import RuleAction

    schema = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _feature(flag) for name, flag in sorted(FLAGS.items())},
        "definitions": {
            "conditions": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["action", "key", "value"],
                    "additionalProperties": False,
                    "properties": {
                        "action": {"enum": sorted(action.value for action in RuleAction)},
                        "key": {"type": "string", "minLength": 1},
                        "value": {},
                    },
                },
            }
        },
    }
    return json.dumps(schema, indent=1) + "\n"


def _feature(flag: Flag[Any]) -> dict[str, Any]:
    value: dict[str, Any] = {"type": flag.kind}
    if flag.kind in ("integer", "number"):
        value["minimum"] = 0
    is_boolean = flag.kind == "boolean"
    rule = {
        "type": "object",
        "required": ["when_match", "conditions"],
        "additionalProperties": False,
        "properties": {"when_match": value, "conditions": {"$ref": "#/definitions/conditions"}},
    }
    return {
        "type": "object",
        "required": ["default"] if is_boolean else ["default", "boolean_type"],
        "additionalProperties": False,
        "properties": {
            "default": value,
            # Powertools makes a boolean of every value unless it is told not to.
            "boolean_type": {"enum": [is_boolean]},
            "rules": {"type": "object", "additionalProperties": rule},
        },
    }
