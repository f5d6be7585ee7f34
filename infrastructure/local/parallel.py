"""The same work on several things at once, in a way that Ctrl-C can end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class SeveralFailedError(RuntimeError):
    """More than one part failed; the message has what each of them says."""


def for_each(items: Sequence[T], work: Callable[[T], R]) -> list[R]:
    """Do `work` with every item at the same time and return the results in the items' order.

    All are waited for, then the one error is raised as it is, several as SeveralFailedError. The threads
    are daemons: a pool's exit would wait for them also after Ctrl-C, for as long as a server takes.
    """
    results: dict[int, R] = {}
    errors: dict[int, Exception] = {}

    def run(place: int, item: T) -> None:
        try:
            results[place] = work(item)
        except Exception as error:  # noqa: BLE001 -- raised below, in the caller's thread
            errors[place] = error

    threads = [
        threading.Thread(target=run, args=(place, item), daemon=True)
        for place, item in enumerate(items)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(errors) == 1:
        raise next(iter(errors.values()))
    if errors:
        told = "\n\n".join(str(errors[place]) for place in sorted(errors))
        raise SeveralFailedError(told) from errors[min(errors)]
    return [results[place] for place in range(len(items))]
