"""How much memory a process holds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int | None) -> int:
    """Resident memory of a process in bytes; 0 when it is gone or the system does not tell.

    Pages shared with the fork server count: a function on AWS would hold its own copy of them.
    """
    if pid is None or sys.platform != "linux":
        return 0
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0
