"""What a policy must not contain, found before it runs.

Two constructs that the engine accepts are dangerous (rego-cpp 1.5.2): replacing the input of a rule
(`with input as`) ends the whole process, and a built-in the engine does not have is silently undefined, so
that a condition which should refuse lets pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_OPAQUE = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`|#[^\n]*')
_WITH = re.compile(r"\bwith\b")
_TELLS_SECRETS = "opa.runtime"
"""Shows a policy the whole environment of its process, credentials included."""


class PolicyError(Exception):
    """The policy must not be used; the message says why."""


def refuse_with(modules: Mapping[str, str]) -> None:
    """Raise `PolicyError` for a module that uses the keyword `with`; comments and strings may."""
    for name, source in modules.items():
        bare = _OPAQUE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), source)
        found = _WITH.search(bare)
        if found:
            line = bare.count("\n", 0, found.start()) + 1
            raise PolicyError(
                f"{name}:{line}: `with` ends the engine's process; write the cases as data instead"
            )


def called(plan: Mapping[str, Any]) -> set[str]:
    """Return the names of the functions that a compiled plan calls and does not define itself.

    The plan's own list of built-ins is not enough: it leaves out those the engine has never heard of.
    """
    functions = plan.get("funcs", {}).get("funcs", ())
    listed = {str(item["name"]) for item in plan.get("static", {}).get("builtin_funcs", ())}
    return (listed | set(_calls(plan))) - {str(item["name"]) for item in functions}


def _calls(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if node.get("type") == "CallStmt":
            yield str(node["stmt"]["func"])
        for value in node.values():
            yield from _calls(value)
    elif isinstance(node, list):
        for value in node:
            yield from _calls(value)


def refuse_unknown_calls(plan: Mapping[str, Any], exists: Callable[[str], bool]) -> None:
    """Raise `PolicyError` for a plan that calls what the engine lacks, or what tells secrets."""
    for name in sorted(called(plan)):
        if name == _TELLS_SECRETS:
            raise PolicyError(f"{name} shows the process's environment to the policy: leave it out")
        if not exists(name):
            raise PolicyError(
                f"there is no {name}: it would be undefined and refuse nothing; if it is a built-in "
                "of another engine, compute it before asking and pass the result in the input"
            )
