"""The launcher: `python -m infrastructure.local up`, which `make up` calls."""

import os
import sys


def run() -> int:
    """Run the command of the command line and return the exit status."""
    try:
        from infrastructure.local.cli import main

        return main()
    except KeyboardInterrupt:
        # Threads may still wait for servers: Ctrl-C does not. 130 is what a shell has for it.
        sys.stdout.flush()
        sys.stderr.write("\nStopped. What has been started goes on; run `make up` to finish.\n")
        sys.stderr.flush()
        os._exit(130)


if __name__ == "__main__":
    sys.exit(run())
