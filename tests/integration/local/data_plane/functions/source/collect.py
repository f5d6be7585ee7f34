"""Append each event to the file named by the environment; fail while a stop file is there."""

import json
import os
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    folder = Path(os.environ["COLLECT"])
    with (folder / "attempts.jsonl").open("a") as file:
        file.write(json.dumps(event) + "\n")
    if (folder / "fail").exists():
        raise RuntimeError("told to fail")
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(event) + "\n")
