"""A process that must not outlive its parent asks the kernel to be killed with it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def parent_death_guard() -> Callable[[int], None]:
    """Return a function that ties the calling process to the parent whose id it is given.

    The C library is loaded here, once, so that a freshly forked child does nothing but the call.
    Elsewhere than on Linux the end of the socket does the work alone.
    """
    if sys.platform != "linux":
        return lambda _parent: None
    library = ctypes.CDLL(None)

    def guard(parent: int) -> None:
        library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)

    return guard
