"""The rules of a dataset, its scores and their history; who measures tells of what got worse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb
from pydantic import BaseModel, Field, TypeAdapter

from datapunk.context import remaining_seconds
from datapunk.database import Transaction, load_queries, transaction
from datapunk.errors import (
    DatapunkError,
    DeadlineExceededError,
    FieldError,
    InvalidInputError,
    NotFoundError,
)
from datapunk.events import CloudEvent
from datapunk.identity import SYSTEM, Caller
from datapunk.lake.datasets import Dataset, find_dataset
from datapunk.lake.quality.drift import Drift, find_drift
from datapunk.lake.quality.measuring import measure, require_measurable
from datapunk.lake.quality.results import RuleResult, Score
from datapunk.lake.quality.rules import Catalogue, CheckType, Rule, Severity
from datapunk.outbox import emit
from datapunk.paging import Page, decode_cursor, encode_cursor
from datapunk.telemetry import logger, observe

QUALITY_DEGRADED = "lake.quality.degraded"
SOURCE = "/v1/lake/datasets"
MEASURER = "lake.measure_quality"
_SQL = Path(__file__).parent / "quality.sql"
_RESERVE = 3.0
"""Seconds that are kept for what follows the measuring."""
_LONGEST = 20.0
"""Seconds that the schedule gives to one dataset."""
_LAST = datetime(9999, 1, 1, tzinfo=UTC)
_ANYBODY = UUID(int=2**128 - 1)
_rules: TypeAdapter[list[Rule]] = TypeAdapter(list[Rule], config={"defer_build": True})


class Scores(BaseModel):
    """What came of measuring a dataset."""

    dataset: str
    scores: list[Score]


class Quality(BaseModel):
    """What is asked of a dataset's rows, and how it stands."""

    dataset: str
    rules: list[Rule]
    on_change: bool = Field(description="Whether they are measured after changes, too.")
    scores: list[Score] = Field(description="The newest score of each type that has a rule.")
    drift: Drift
    history: Page[Score] = Field(description="Scores, newest first; of one type where asked.")


def put_rules(tx: Transaction, dataset: Dataset, catalogue: Catalogue) -> Catalogue:
    """Replace the rules of a dataset. Raises InvalidInputError for one that cannot be measured."""
    require_measurable(tx, dataset, catalogue.rules)
    tx.execute(
        load_queries(_SQL)["put"],
        {
            "dataset_id": dataset.id,
            "dataset": dataset.name,
            "rules": Jsonb(catalogue.stored()),
            "on_change": catalogue.on_change,
        },
    )
    return catalogue


def read_quality(
    tx: Transaction,
    dataset: Dataset,
    *,
    limit: int,
    cursor: str | None = None,
    check_type: CheckType | None = None,
) -> Quality:
    """Return rules, newest scores, drift and a page of the history.

    Raises InvalidInputError for a foreign cursor.
    """
    rules = _find_rules(tx, dataset)
    asked = {CheckType(rule.check_type) for rule in rules}
    return Quality(
        dataset=dataset.name,
        rules=rules,
        on_change=bool(tx.value(load_queries(_SQL)["on_change"], {"dataset_id": dataset.id})),
        scores=[score for score in _newest(tx, dataset) if score.check_type in asked],
        drift=find_drift(tx, dataset),
        history=_history(tx, dataset, limit, cursor, check_type),
    )


def check_quality(tx: Transaction, dataset: Dataset, longest: float = math.inf) -> Scores:
    """Measure the rules of a dataset now, keep the scores, and tell of rules that held and do no longer.

    Raises DeadlineExceededError when that takes more than `longest` seconds, or than the caller waits.
    """
    rules = _find_rules(tx, dataset)
    if not rules:
        return Scores(dataset=dataset.name, scores=[])
    seconds = min(longest, remaining_seconds() - _RESERVE)
    measured = measure(tx, dataset, rules, _by_name(_newest(tx, dataset)), seconds)
    tx.execute("SELECT set_config('statement_timeout', %s, true)", (str(int(_RESERVE * 1000)),))
    # One at a time from here on: of two that measure at once, one tells.
    tx.execute(load_queries(_SQL)["hold"], {"dataset_id": dataset.id})
    before = _by_name(_newest(tx, dataset))
    run, kept = uuid4(), []
    for item in measured:
        row = tx.one(
            load_queries(_SQL)["keep"],
            {
                "dataset_id": dataset.id,
                "run": run,
                "version": dataset.version,
                "check_type": item.check_type,
                "score": item.score,
                "rows": item.rows,
                "rules": Jsonb(
                    [result.model_dump(mode="json", exclude_none=True) for result in item.rules]
                ),
            },
        )
        kept.append(Score.model_validate(row))
        for result in item.rules:
            if _degraded(result, before.get(result.name)):
                emit(tx, _event(dataset, item.check_type, result))
    tx.after_commit.append(partial(_observe, dataset, kept))
    return Scores(dataset=dataset.name, scores=kept)


def measure_changed(tx: Transaction, name: str) -> None:
    """Measure a dataset whose rows have changed, unless its rules wait for the hour or it was just measured.

    All changes of a batch are committed before its transaction begins. So what was taken up since then has
    seen them, and ten thousand inserts that came together are measured once. One that takes longer than the
    schedule would give it is left to the schedule.
    """
    try:
        dataset = find_dataset(tx, name)
    except NotFoundError:
        return  # deleted meanwhile
    if not tx.execute(load_queries(_SQL)["take_up_changed"], {"dataset_id": dataset.id}):
        return
    try:
        with tx.savepoint():
            check_quality(tx, dataset, _LONGEST)
    except DeadlineExceededError as error:
        known = {"dataset": name, "tenant": dataset.tenant, "code": error.code}
        logger().warning("quality is not measured", extra=known)


def measure_all() -> dict[str, int]:
    """Measure every dataset that has rules, whoever's it is, those that wait longest first.

    Returns how many were measured, how many are left for the next run, and how many old scores were
    forgotten.
    """
    with transaction(SYSTEM) as tx:
        forgotten = tx.execute(load_queries(_SQL)["expire"])
        due = tx.all(load_queries(_SQL)["due"])
    outcome = {"measured": 0, "left": 0, "forgotten": forgotten}
    for row in due:
        outcome["measured" if _measured(row) else "left"] += 1
    return outcome


def _measured(row: dict[str, Any]) -> bool:
    """Measure one dataset in the name of its tenant, for a while at the most; tell whether it went well."""
    if remaining_seconds() <= 2 * _RESERVE:
        return False
    owner = Caller(principal=MEASURER, tenant=row["tenant"])
    try:
        with transaction(owner) as tx:
            tx.execute(load_queries(_SQL)["taken_up"], {"dataset_id": row["dataset_id"]})
        with transaction(owner) as tx:
            check_quality(tx, find_dataset(tx, row["dataset"]), _LONGEST)
    except DatapunkError as error:
        known = {"dataset": row["dataset"], "tenant": row["tenant"], "code": error.code}
        logger().warning("quality is not measured", extra=known)
        return False
    return True


def _find_rules(tx: Transaction, dataset: Dataset) -> list[Rule]:
    rules = tx.value(load_queries(_SQL)["rules"], {"dataset_id": dataset.id})
    return _rules.validate_python(rules or [])


def _newest(tx: Transaction, dataset: Dataset) -> list[Score]:
    rows = tx.all(load_queries(_SQL)["newest"], {"dataset_id": dataset.id})
    return [Score.model_validate(row) for row in rows]


def _by_name(scores: Sequence[Score]) -> dict[str, RuleResult]:
    return {result.name: result for score in scores for result in score.rules}


def _degraded(now: RuleResult, before: RuleResult | None) -> bool:
    """Tell whether a rule that is an error has fallen below its threshold just now."""
    return now.severity is Severity.ERROR and not now.holds and (before is None or before.holds)


def _event(dataset: Dataset, check_type: CheckType, result: RuleResult) -> CloudEvent:
    return CloudEvent(
        source=SOURCE,
        type=QUALITY_DEGRADED,
        subject=dataset.name,
        datacontenttype="application/json",
        data={
            "dataset": dataset.name,
            "version": dataset.version,
            "rule": result.name,
            "check_type": check_type.value,
            "score": result.score,
            "threshold": result.threshold,
        },
    )


def _observe(dataset: Dataset, scores: Sequence[Score]) -> None:
    for score in scores:
        observe(
            "data_quality_score",
            score.score,
            "None",
            table=dataset.name,
            check_type=score.check_type.value,
            tenant=dataset.tenant,
        )


def _history(
    tx: Transaction,
    dataset: Dataset,
    limit: int,
    cursor: str | None,
    check_type: CheckType | None,
) -> Page[Score]:
    listed = f"lake.quality {dataset.id} {check_type}"
    before, before_id = _LAST, _ANYBODY
    if cursor:
        before, before_id = _position(decode_cursor(listed, cursor, 2))
    parameters = {
        "dataset_id": dataset.id,
        "before": before,
        "before_id": before_id,
        "check_type": check_type,
        "limit": limit + 1,
    }
    rows = tx.all(load_queries(_SQL)["history"], parameters)
    items = [Score.model_validate(row) for row in rows[:limit]]
    following = None
    if len(rows) > limit:
        following = encode_cursor(listed, [items[-1].measured_at.isoformat(), str(items[-1].id)])
    return Page(items=items, next_cursor=following)


def _position(position: list[Any]) -> tuple[datetime, UUID]:
    try:
        return datetime.fromisoformat(position[0]), UUID(position[1])
    except (AttributeError, TypeError, ValueError):
        errors = [FieldError("cursor", "is not a cursor of this list", "cursor")]
        raise InvalidInputError("Not valid: cursor.", errors=errors) from None
