"""Compiling a policy: in a process of its own, since a bad one may end the process it is compiled in.

The five gates: the keyword `with` is refused; every built-in must exist; built-in errors are errors, never
silence; the compiled bundle passes all cases before anyone else sees it; and all of that happens in a child.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infrastructure.policies.gates import PolicyError, refuse_unknown_calls, refuse_with
from infrastructure.policies.sources import ENTRYPOINTS, Case, Policy

PROJECT = Path(__file__).resolve().parents[2]
_SECONDS = 60
_REFUSED = 3


def compile_policy(policy: Policy) -> bytes:
    """Return the binary bundle of a policy that has passed every gate.

    Raises `PolicyError` with the reason, also when the compiling process dies or does not end.
    """
    refuse_with(policy.modules)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "policy.bundle"
        try:
            answer = subprocess.run(
                [sys.executable, "-m", "infrastructure.policies.compiling", str(target)],
                input=json.dumps(asdict(policy)),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=PROJECT,
                check=False,
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise PolicyError(f"compiling the policy took more than {_SECONDS} s") from None
        said = answer.stdout.strip()
        if answer.returncode == _REFUSED:
            raise PolicyError(said)
        if answer.returncode:
            raise PolicyError(
                f"the engine died over this policy (status {answer.returncode})\n{said}"
            )
        return target.read_bytes()


def _build(policy: Policy) -> bytes:
    """Build, look at and try a bundle; what goes wrong is a `PolicyError`."""
    from regopy import BundleFormat, Interpreter, RegoError

    interpreter = Interpreter()
    interpreter.strict_built_in_errors = True
    try:
        for name, source in policy.modules.items():
            interpreter.add_module(name, source)
        interpreter.add_data(policy.data)
        bundle = interpreter.build(None, list(ENTRYPOINTS))
    except RegoError as error:
        raise PolicyError(str(error)) from error
    if not bundle.ok():
        raise PolicyError("the policy does not compile")  # why, the engine has said itself
    with tempfile.TemporaryDirectory() as folder:
        readable, binary = Path(folder) / "readable", Path(folder) / "binary"
        interpreter.save_bundle(str(readable), bundle)
        plan = json.loads((readable / "plan.json").read_text())
        refuse_unknown_calls(plan, interpreter.is_builtin)
        interpreter.save_bundle(str(binary), bundle, BundleFormat.Binary)
        _try(binary, policy.cases)
        return binary.read_bytes()


def _try(binary: Path, cases: tuple[Case, ...]) -> None:
    """Put every case to the bundle as it will be used. Raises `PolicyError` for the wrong answers."""
    from regopy import BundleFormat, Interpreter

    interpreter = Interpreter()
    interpreter.strict_built_in_errors = True
    bundle = interpreter.load_bundle(str(binary), BundleFormat.Binary)
    wrong = []
    for case in cases:
        interpreter.set_input(case.question)
        answer = interpreter.query_bundle_entrypoint(bundle, case.entrypoint)
        found: Any = None
        if answer.ok() and len(answer.results) == 1 and len(answer.results[0].expressions) == 1:
            found = answer.results[0].expressions[0]
        if isinstance(case.expected, dict) and isinstance(found, dict):
            found = {name: found.get(name) for name in case.expected}
        if found != case.expected:
            wrong.append(f"{case.name}: expected {case.expected}, found {found or answer}")
    if wrong:
        raise PolicyError("\n".join(wrong))


def _main() -> int:
    """Compile the policy on standard input into the file named on the command line."""
    document = json.load(sys.stdin)
    cases = tuple(Case(**case) for case in document.pop("cases"))
    try:
        bundle = _build(Policy(**document, cases=cases))
    except PolicyError as error:
        sys.stdout.write(f"{error}\n")
        return _REFUSED
    Path(sys.argv[1]).write_bytes(bundle)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
