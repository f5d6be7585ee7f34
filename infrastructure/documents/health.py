"""What is generated about health: the schema of its body, and what each module depends on."""

from __future__ import annotations

import json

from datapunk.health import CHECK_TIMEOUT, STARTUP, Check, Health

from infrastructure.documents.operations import PROJECT, operations

SCHEMA_FILE = PROJECT / "docs" / "reference" / "health.schema.json"


def build_schema() -> str:
    """Return the JSON schema of the body of every probe."""
    schema = Health.model_json_schema(mode="serialization")
    schema["additionalProperties"] = False
    schema["$defs"]["CheckResult"]["additionalProperties"] = False
    return json.dumps(schema, indent=1) + "\n"


def build_health(head: str) -> str:
    """Return the page about health."""
    asked = ", ".join(f"`{name}`" for name in STARTUP)
    lines = [
        head,
        "# Health\n",
        "`GET /v1/<module>/health/<probe>` asks nothing of who asks. The body keeps to",
        "[one schema](health.schema.json), for every module and probe.\n",
        "| probe | what it asks | 503 when |",
        "| --- | --- | --- |",
        "| `live` | nothing | never while the function runs |",
        "| `ready` | every dependency of the module | a required one is down |",
        f"| `startup` | {asked}: settings name what is required, the schema is new enough | one is down |\n",
        "`status` is `up`; `degraded` (200) when only optional dependencies are down; `down` (503). All",
        f"are asked at once, and the answer is there in {CHECK_TIMEOUT:g} seconds, whatever hangs.\n",
        "| module | required | optional: degraded without |",
        "| --- | --- | --- |",
    ]
    for item in operations():
        if item.name == "check_health":
            checks: tuple[Check, ...] = item.load().CHECKS
            required = ", ".join(f"`{check.name}`" for check in checks if check.required)
            optional = ", ".join(f"`{check.name}`" for check in checks if not check.required)
            lines.append(f"| {item.module} | {required} | {optional or 'nothing'} |")
    return "\n".join(lines) + "\n"
