"""Compile the platform's policy into the common layer; with `--check`, tell whether that is up to date."""

from __future__ import annotations

import argparse
import sys

from infrastructure.policies.compiling import compile_policy
from infrastructure.policies.gates import PolicyError
from infrastructure.policies.sources import BUNDLE, read_policy


def main() -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infrastructure.policies", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    try:
        bundle = compile_policy(read_policy())
    except PolicyError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if BUNDLE.exists() and BUNDLE.read_bytes() == bundle:
        return 0
    if check:
        sys.stdout.write(f"{BUNDLE.name} is stale: run make policies\n")
        return 1
    BUNDLE.parent.mkdir(parents=True, exist_ok=True)
    BUNDLE.write_bytes(bundle)
    sys.stdout.write(f"{BUNDLE.name}: written, {len(bundle)} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
