"""The environment variables a function sees: Lambda's own, its own, and nothing of the launcher."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping

from infrastructure.local.catalog import Function

RUNTIME = "AWS_Lambda_python3.13"


def environment_variables(
    function: Function, region: str, extra: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables of a new environment of the function.

    Names and values are those of the Lambda runtime environment; each environment has its own log
    stream. `extra` is what the local platform adds (endpoints, dummy credentials).
    """
    stream = f"{time.strftime('%Y/%m/%d', time.gmtime())}/[$LATEST]{uuid.uuid4().hex}"
    return {
        **extra,
        **function.environment,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": RUNTIME,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group or f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_REGION": region,
        "LAMBDA_TASK_ROOT": function.code,
        "LANG": "en_US.UTF-8",
        "PATH": os.environ.get("PATH", os.defpath),
        "TZ": ":UTC",
        "_HANDLER": function.handler,
    }
