"""Invoking functions of the platform: the one place that talks to Lambda's API.

An invocation is sent once: what failed may have run, so whether to send it again is the caller's to say.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from datapunk.errors import ConfigurationError, DeadlineExceededError, UnavailableError
from datapunk.settings import settings

DEPENDENCY = "lambda"
CONNECT_SECONDS = 2.0
LATER_SECONDS = 5.0
"""Seconds that handing over an event may take."""
MOST_LATER_BYTES = 1024 * 1024
"""Bytes of an asynchronous event (Lambda's limit)."""


class FunctionFailedError(Exception):
    """The function ran and failed; its error is in the function's log."""


def invoke(name: str, payload: bytes, seconds: float) -> bytes:
    """Run a function and return what it returns.

    Raises FunctionFailedError when it fails, DeadlineExceededError when it takes longer than `seconds`,
    UnavailableError when it cannot be run.
    """
    answer = _sent(max(1, round(seconds)), name, payload, "RequestResponse")
    content: bytes = answer["Payload"].read()
    if "FunctionError" in answer:
        raise FunctionFailedError(name)
    return content


def invoke_later(name: str, payload: bytes) -> None:
    """Have Lambda run a function soon; it tries again when the function fails.

    Raises UnavailableError when Lambda does not take the event.
    """
    _sent(round(LATER_SECONDS), name, payload, "Event")


def sibling(operation: str) -> str:
    """Return the name of another function of this stack: `nexus.run_request` is `<stack>-nexus-run_request`.

    Raises ConfigurationError outside of a function of the platform.
    """
    stack, _, rest = settings().function_name.rpartition("-")
    stack, _, _ = stack.rpartition("-")
    if not stack or not rest:
        raise ConfigurationError("AWS_LAMBDA_FUNCTION_NAME is not <stack>-<module>-<operation>.")
    return f"{stack}-{operation.replace('.', '-', 1)}"


def forget() -> None:
    """Forget the clients, and the address and credentials they were made with."""
    _client.cache_clear()


@lru_cache(maxsize=32)
def _client(seconds: int) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "lambda",
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=seconds,
            retries={"total_max_attempts": 1},
        ),
    )


def _sent(seconds: int, name: str, payload: bytes, kind: str) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

    try:
        return _client(seconds).invoke(FunctionName=name, InvocationType=kind, Payload=payload)
    except ReadTimeoutError as error:
        raise DeadlineExceededError(f"{name} did not answer in time.") from error
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise UnavailableError(DEPENDENCY, f"Lambda did not run {name}: {code}.") from error
    except BotoCoreError as error:
        raise UnavailableError(DEPENDENCY, f"Lambda did not run {name}.") from error
