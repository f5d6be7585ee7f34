"""The launcher: `python -m infrastructure.local up`, which `make up` calls."""

import os
import sys

from infrastructure.local.cli import INTERRUPTED, main

if __name__ == "__main__":
    status = main()
    if status == INTERRUPTED:
        # Threads may still wait for servers: Ctrl-C does not.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
