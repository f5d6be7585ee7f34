"""The compiled policy in its engine. Whatever is not a plain answer is a refusal."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from datapunk.errors import ConfigurationError
from datapunk.telemetry import logger

BUNDLE = Path(__file__).with_name("policy.bundle")


class Engine:
    """A policy bundle that can be asked. Not for several threads at once."""

    def __init__(self, bundle: Path) -> None:
        from regopy import BundleFormat, Interpreter, RegoError

        self._refused = RegoError
        self._interpreter = Interpreter()
        # Otherwise an error in a condition counts as if the condition were not there.
        self._interpreter.strict_built_in_errors = True
        try:
            self._bundle = self._interpreter.load_bundle(str(bundle), BundleFormat.Binary)
        except RegoError as error:
            raise ConfigurationError(f"{bundle.name} cannot be read: build it anew.") from error
        # The engine loads what is no bundle too, and its process ends when that is asked.
        if not self._bundle.ok():
            raise ConfigurationError(f"{bundle.name} is no policy bundle: build it anew.")

    def ask(self, entrypoint: str, question: dict[str, Any]) -> Any:
        """Return the policy's one answer to a question, or None when it has none.

        None means that the policy could not decide; the reason is logged, the question is not.
        """
        try:
            self._interpreter.set_input(question)
            output = self._interpreter.query_bundle_entrypoint(self._bundle, entrypoint)
        except (self._refused, TypeError, ValueError) as error:
            logger().error(
                "the policy failed", extra={"entrypoint": entrypoint, "error": str(error)}
            )
            return None
        if not output.ok():
            logger().error("the policy failed", extra={"entrypoint": entrypoint})
            return None
        if len(output.results) != 1 or len(output.results[0].expressions) != 1:
            return None
        return output.results[0].expressions[0]


@cache
def engine() -> Engine:
    """Return this environment's engine with the platform's policy, loaded on first use."""
    return Engine(BUNDLE)
