"""A queue function to try the consumer's edge with: each task says how it wants to end.

As a program it runs one batch, read as JSON from standard input, and may be told to end itself midway.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field

from datapunk.broker.topology import Subscription
from datapunk.consumer import queue_function
from datapunk.database import Transaction
from datapunk.errors import InvalidInputError, UnavailableError
from pydantic import BaseModel

from tests.support.lambda_context import LambdaContext

QUEUE = "stream.trial"
SUBSCRIPTION = Subscription(queue=QUEUE, patterns=("trial.#",))
TABLE = "CREATE TABLE effects (id integer NOT NULL, tenant text NOT NULL)"


class Task(BaseModel):
    """Something to do; `kind` is what becomes of it."""

    id: int
    kind: str = "good"
    failures: int = 0


@dataclass
class Progress:
    """What this process has seen."""

    attempts: Counter[int] = field(default_factory=Counter)
    handled: int = 0
    kill_after: int | None = None


progress = Progress()


@queue_function(QUEUE)
def handler(task: Task, transaction: Transaction) -> None:
    if progress.kill_after is not None and progress.handled >= progress.kill_after:
        os.kill(os.getpid(), signal.SIGKILL)
    progress.handled += 1
    progress.attempts[task.id] += 1
    transaction.execute(
        "INSERT INTO effects VALUES (%s, platform.current_tenant())",
        (task.id,),
    )
    if task.kind == "poison":
        raise InvalidInputError(f"Task {task.id} can never be done.")
    if task.kind == "broken":
        transaction.execute("SELECT 1/0")
    if task.kind == "gone":
        raise UnavailableError("elsewhere")
    if task.kind == "killer":
        os.kill(os.getpid(), signal.SIGKILL)
    if progress.attempts[task.id] <= task.failures:
        raise RuntimeError("not yet")


if __name__ == "__main__":
    given = json.load(sys.stdin)
    progress.kill_after = given["kill_after"]
    sys.stderr.write("working\n")
    sys.stderr.flush()
    outcomes = handler(given["event"], LambdaContext())
    sys.stdout.write("\n" + json.dumps(outcomes))
