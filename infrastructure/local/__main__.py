"""The launcher: `python -m infrastructure.local up`, which `make up` calls."""

import contextlib
import os
import signal
import sys

STOPPED = b"\nStopped. What has been started goes on; run `make up` to finish.\n"
INTERRUPTED = 130
"""What a shell has for Ctrl-C."""


def stop(*_: object) -> None:
    """End at once, from wherever the work is.

    An exception would be lost where Python ignores them (in finalizers), and threads may wait for servers.
    Whatever is written is written in one step, so ending anywhere leaves nothing the next start cannot use.
    """
    with contextlib.suppress(RuntimeError):  # in the middle of a write
        sys.stdout.flush()
    os.write(sys.stderr.fileno(), STOPPED)
    os._exit(INTERRUPTED)


def run() -> int:
    """Run the command of the command line and return the exit status."""
    signal.signal(signal.SIGINT, stop)
    from infrastructure.local.cli import main

    return main()


if __name__ == "__main__":
    sys.exit(run())
