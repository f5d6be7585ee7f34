"""Answer with what came in: the event and what the context says."""

import json
import os
import sys
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    print(f"echo {event.get('say', '')}")  # noqa: T201 - the log is what is tested
    seen = {
        "event": event,
        "request_id": context.aws_request_id,
        "function": context.function_name,
        "arn": context.invoked_function_arn,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "stream": context.log_stream_name,
        "group": context.log_group_name,
        "remaining": context.get_remaining_time_in_millis(),
        "client": context.client_context.custom if context.client_context else None,
        "environment": dict(os.environ),
        "path": sys.path[:3],
        "pid": os.getpid(),
    }
    if event.get("bare"):
        return seen
    return {"statusCode": 200, "body": json.dumps(seen)}
