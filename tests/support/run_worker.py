"""A worker of the router, as Lambda would run one: reads the event from standard input, prints the outcome.

python -m tests.support.run_worker
"""

from __future__ import annotations

import json
import sys

from nexus.run_request import handler

from tests.support.lambda_context import LambdaContext

if __name__ == "__main__":
    outcome = handler(json.load(sys.stdin), LambdaContext(300))
    sys.stdout.write(f"\n{json.dumps(outcome)}")
