"""What can be wrong with a statement that only PostgreSQL finds out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from datapunk.errors import DatapunkError
from datapunk.lake.plan import Comparison, Condition, Logic, Related, Select
from datapunk.lake.rest.errors import RestError

_SYNTAX_ERROR = "42601"


@contextmanager
def bad_search(select: Select) -> Iterator[None]:
    """Blame a search expression that PostgreSQL cannot read on the request.

    It calls that an error of the statement's syntax; ours has none of its own.
    """
    try:
        yield
    except DatapunkError as error:
        searches = any(map(_searches, [*select.where, *map(Related, select.embeds)]))
        if searches and getattr(error.__cause__, "sqlstate", None) == _SYNTAX_ERROR:
            raise RestError(
                400,
                _SYNTAX_ERROR,
                "The value of fts is not a search expression.",
                None,
                "Join words with & and |, or use plfts, phfts or wfts for plain words.",
            ) from error
        raise


def _searches(item: Condition) -> bool:
    if isinstance(item, Comparison):
        return item.operator == "fts"
    if isinstance(item, Logic):
        return any(map(_searches, item.items))
    select = item.embed.select
    return any(map(_searches, [*select.where, *map(Related, select.embeds)]))
