"""Where the columns of an archive are in its dataset now: renamed, widened, dropped since."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from datapunk.database import Transaction, load_queries
from datapunk.lake.archives.catalogue import ArchivedColumn
from datapunk.lake.columns import Column
from datapunk.lake.datasets import ROW_ID, Dataset
from datapunk.lake.versions import SQL, DatasetVersion


def followed(
    tx: Transaction, dataset: Dataset, version: int, columns: Sequence[ArchivedColumn]
) -> list[tuple[ArchivedColumn, Column]]:
    """Return the columns of an archive that the dataset still has, each with what it is now.

    A name is not enough: one that was dropped may name another column since. So each version between says
    what became of them.
    """
    rows = tx.all(load_queries(SQL)["versions_since"], {"id": dataset.id, "version": version})
    versions = [DatasetVersion.model_validate(row) for row in rows]
    names: dict[str, str | None] = {column.name: column.name for column in columns}
    for before, after in pairwise(versions):
        for name, known in list(names.items()):
            if known is not None and known != ROW_ID:
                names[name] = _next_name(known, before, after)
    now = {column.name: column for column in dataset.columns}
    now |= {column.name: column for column in dataset.row_key()}
    last = [(column, names[column.name]) for column in columns]
    return [(column, now[name]) for column, name in last if name is not None and name in now]


def _next_name(known: str, before: DatasetVersion, after: DatasetVersion) -> str | None:
    """Return what a column of a version is called in the next one, None where it was dropped."""
    old = next(column for column in before.definition.columns if column.name == known)
    dropped = {change.get("column") for change in after.changes if change["op"] == "drop_column"}
    # In one request a column may be renamed and then dropped under either name.
    renamed = {
        change["name"]
        for change in after.changes
        if change["op"] == "rename_column" and change["column"] in old.names
    }
    if dropped & {*old.names, *renamed}:
        return None
    return next(
        (column.name for column in after.definition.columns if {*column.names} & {*old.names}), None
    )
