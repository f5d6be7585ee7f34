"""The launcher: `python -m infrastructure.local up`, which `make up` calls."""

import sys

from infrastructure.local.cli import main

if __name__ == "__main__":
    sys.exit(main())
