"""Which dataset an embedded resource is, and how its rows belong to those of the one around it.

A relation is a declared reference, seen from either side. A request may name the dataset, the reference or
the one column it consists of; where that leaves several, a hint behind `!` tells which.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from datapunk.database import Transaction
from datapunk.errors import NotFoundError
from datapunk.lake.datasets import Dataset, find_dataset, referencing, target_columns
from datapunk.lake.definition import Reference
from datapunk.lake.plan import Relation
from datapunk.lake.rest.errors import RestError


@dataclass(frozen=True, slots=True)
class _Candidate:
    relation: Relation
    link: Reference
    outward: bool
    """Whether the reference is the dataset's own."""
    recursive: bool = False
    """Whether it leads to the dataset that it comes from."""


class Relations:
    """Relations of datasets, looked up once each."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._known: dict[str, list[_Candidate]] = {}

    def find(self, dataset: Dataset, target: str, hint: str | None) -> Relation:
        """Return the relation of `dataset` that a request means by `target!hint`.

        Raises RestError when there is none (PGRST200), or more than one (PGRST201).
        """
        if dataset.name not in self._known:
            self._known[dataset.name] = list(self._candidates(dataset))
        found = [item for item in self._known[dataset.name] if _means(item, target, hint)]
        if not found:
            raise _no_relation(dataset.name, target, hint)
        if len(found) > 1:
            raise _several(dataset.name, target, found)
        return found[0].relation

    def _candidates(self, dataset: Dataset) -> Iterator[_Candidate]:
        for link in dataset.references:
            target = self._target(dataset, link)
            if target is not None:
                pairs = tuple(zip(link.columns, target_columns(link, target), strict=True))
                relation = Relation(target, pairs, many=False)
                recursive = target.name == dataset.name
                yield _Candidate(relation, link, outward=True, recursive=recursive)
        for source, link in referencing(self._tx, dataset.name):
            pairs = tuple(zip(target_columns(link, dataset), link.columns, strict=True))
            alone = set(link.columns) in [set(source.key), *map(set, source.unique)]
            relation = Relation(source, pairs, many=not alone)
            recursive = source.name == dataset.name
            yield _Candidate(relation, link, outward=False, recursive=recursive)

    def _target(self, dataset: Dataset, link: Reference) -> Dataset | None:
        if link.dataset == dataset.name:
            return dataset
        try:
            return find_dataset(self._tx, link.dataset)
        except NotFoundError:
            return None


def _means(item: _Candidate, target: str, hint: str | None) -> bool:
    """Tell whether a relation is what a request calls `target!hint`."""
    column = item.link.columns[0] if len(item.link.columns) == 1 else None
    if hint is None:
        by_reference = item.outward and target in (item.link.name, column)
        return by_reference or item.relation.target.name == target
    if item.relation.target.name != target:
        return False
    if (
        item.recursive
    ):  # the column tells of the row it names, the reference of the rows that name it
        return hint == (column if item.outward else item.link.name)
    return hint in (item.link.name, column)


def _no_relation(dataset: str, target: str, hint: str | None) -> RestError:
    name = target if hint is None else f"{target}!{hint}"
    return RestError(
        400,
        "PGRST200",
        f"Could not find a relationship between '{dataset}' and '{target[:100]}' in the schema cache",
        f"No declared reference joins '{dataset}' and '{name[:200]}'.",
    )


def _several(dataset: str, target: str, found: list[_Candidate]) -> RestError:
    hints = [
        f"'{target}!{item.link.columns[0] if item.recursive and item.outward else item.link.name}'"
        for item in found
    ]
    return RestError(
        300,
        "PGRST201",
        f"Could not embed because more than one relationship was found for '{dataset}' and '{target}'",
        f"There are {len(found)}.",
        f"Try changing '{target}' to one of the following: {', '.join(hints)}.",
    )
