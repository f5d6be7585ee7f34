"""Checked queries as SQL: every value bound, every identifier composed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from datapunk.lake.casts import cast_sql
from datapunk.lake.columns import NEARNESS, RANGES, SQL_TYPES, ColumnType
from datapunk.lake.datasets import Dataset
from datapunk.lake.geo import finding
from datapunk.lake.nearby import nearby_keys
from datapunk.lake.operators import (
    AGGREGATES,
    FINDING,
    NOTHING,
    SEARCHES,
    SIGNS,
    aggregate_kind,
)
from datapunk.lake.plan import (
    Comparison,
    Condition,
    Embed,
    Field,
    Logic,
    Output,
    Related,
    Relation,
    Select,
    SortKey,
    Step,
)

if TYPE_CHECKING:
    from datapunk.lake.privacy.disclosure import Disclosure

_EMPTY = sql.SQL("")


def identifier(*names: str) -> sql.Identifier:
    """Return an identifier for a statement with parameters, in which a percent sign stands for one."""
    return sql.Identifier(*(name.replace("%", "%%") for name in names))


class Statement:
    """A statement in the making: the values it binds, and the names its tables go by.

    `disclosure` decides what is composed of protected columns.
    """

    def __init__(self, disclosure: Disclosure) -> None:
        self.disclosure = disclosure
        self.parameters: dict[str, Any] = {}
        self._keys: dict[str | int, sql.Placeholder] = {}
        self._tables = 0

    def bind(self, value: Any) -> sql.Placeholder:
        """Return the place of a value that is sent beside the statement."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return sql.Placeholder(name)

    def new_table(self) -> str:
        """Return a name that no table of the statement has."""
        self._tables += 1
        return f"t{self._tables}"

    # -- values of a row ---------------------------------------------------------------------------

    def field(self, item: Field, table: str | None = None) -> sql.Composable:
        """Return the expression of a value of a row. Raises InvalidInputError for a protected one."""
        self.disclosure.require_untouched(item.column)
        found = self._stored(item, table)
        if item.cast is None:
            return found
        return sql.SQL("({}){}").format(found, sql.SQL(cast_sql(item.stored_kind, item.cast)))

    @staticmethod
    def column(name: str, table: str | None = None) -> sql.Identifier:
        """Return a column of a table as it is stored."""
        return identifier(table, name) if table else identifier(name)

    def _stored(self, item: Field, table: str | None) -> sql.Composable:
        found: sql.Composable = self.column(item.column.name, table)
        if item.column.type is ColumnType.VECTOR:
            # Of its own accord PostgreSQL writes a vector into JSON as a text.
            found = sql.SQL("to_jsonb({}::real[])").format(found)
        elif item.column.type is ColumnType.GEO:
            # All digits that tell one number from the next; PostGIS would leave some out.
            found = sql.SQL("ST_AsGeoJSON({}, 15)::jsonb").format(found)
        if not item.path:
            return found
        if item.column.type not in (ColumnType.JSON, *NEARNESS):
            found = sql.SQL("to_jsonb({})").format(found)
        return sql.SQL("({})").format(sql.Composed([found, *map(self._step, item.path)]))

    def _step(self, step: Step) -> sql.Composed:
        # One place for a key wherever it stands: PostgreSQL groups by expressions that are the same.
        if step.key not in self._keys:
            self._keys[step.key] = self.bind(step.key)
        # Without the type it could not tell an element's place from a member's name.
        kind: LiteralString = "int" if isinstance(step.key, int) else "text"
        arrow: LiteralString = "->>" if step.as_text else "->"
        return sql.SQL("{}{}::{}").format(sql.SQL(arrow), self._keys[step.key], sql.SQL(kind))

    def output(self, item: Output, table: str | None = None) -> sql.Composable:
        """Return the expression of a result column."""
        if item.aggregate is None:
            if item.field is None:
                raise ValueError("an output is of a field or of an aggregate")
            return self.field(item.field, table)
        inner = sql.SQL("*") if item.field is None else self.field(item.field, table)
        found = sql.SQL("{}({})").format(_word(item.aggregate), inner)
        if item.cast is None:
            return found
        kind = aggregate_kind(item.aggregate, item.field.kind if item.field else None)
        return sql.SQL("({}){}").format(found, sql.SQL(cast_sql(kind, item.cast)))

    def shown(
        self, dataset: Dataset, item: Output, table: str | None = None, *, grouped: bool
    ) -> sql.Composable:
        """Return the expression of a result column of a dataset as the caller may see it."""
        if item.aggregate is None and item.field is not None and not grouped:
            found = self.disclosure.shown(self, dataset, item.field, table)
            if found is not None:
                return found
        return self.output(item, table)

    # -- conditions --------------------------------------------------------------------------------

    def where(
        self,
        dataset: Dataset,
        conditions: Iterable[Condition | sql.Composable],
        table: str | None = None,
    ) -> sql.Composable:
        """Return the clause that all conditions on a row of a dataset hold; nothing for none."""
        conditions = list(conditions)
        parts = [
            item if isinstance(item, sql.Composable) else self.condition(dataset, item, table)
            for item in conditions
        ]
        narrowed = (self._narrowed(dataset, item, table) for item in conditions)
        parts += [part for part in narrowed if part is not None]
        return sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(parts)) if parts else _EMPTY

    def _narrowed(
        self, dataset: Dataset, item: Condition | sql.Composable, table: str | None
    ) -> sql.Composable | None:
        """Return a condition on the key of the rows in which a place is found; None for all others."""
        if not isinstance(item, Comparison) or item.operator not in FINDING or item.negated:
            return None
        keys = nearby_keys(self.disclosure.tx, dataset, item)
        if keys is None:
            return None
        columns = dataset.row_key()
        arrays = [
            sql.SQL("{}::text[]::{}[]").format(self.bind(values), sql.SQL(SQL_TYPES[column.type]))
            for column, values in zip(columns, keys, strict=True)
        ]
        return sql.SQL("({}) IN (SELECT * FROM unnest({}))").format(
            sql.SQL(", ").join(self.column(column.name, table) for column in columns),
            sql.SQL(", ").join(arrays),
        )

    def condition(
        self, dataset: Dataset, item: Condition, table: str | None = None
    ) -> sql.Composable:
        """Return a condition as an expression."""
        if isinstance(item, Comparison):
            protected = self.disclosure.comparison(self, dataset, item, table)
            found = protected or self._compared(item, table)
        elif isinstance(item, Related):
            found = self._related(item, table or "")
        else:
            found = self._logic(dataset, item, table)
        return sql.SQL("NOT ({})").format(found) if item.negated else found

    def _logic(self, dataset: Dataset, item: Logic, table: str | None) -> sql.Composable:
        glue = sql.SQL(" AND " if item.word == "and" else " OR ")
        parts = [self.condition(dataset, inner, table) for inner in item.items]
        return sql.SQL("({})").format(glue.join(parts))

    def _compared(self, item: Comparison, table: str | None) -> sql.Composable:
        if item.operator in FINDING:
            stored = self.column(item.field.column.name, table)
            return finding(item.operator, item.value, stored, self.bind)
        return self._comparison(item, self.field(item.field, table))

    def _comparison(self, item: Comparison, name: sql.Composable) -> sql.Composable:
        if item.operator == "is":
            return sql.SQL("{} {}").format(name, sql.SQL(NOTHING[item.value]))
        if item.operator == "in":
            if not item.value:
                return sql.SQL("FALSE")
            slots = sql.SQL(", ").join([self._value(item, value) for value in item.value])
            return sql.SQL("{} IN ({})").format(name, slots)
        if item.operator in SEARCHES:
            return self._search(item, name)
        sign = sql.SQL(SIGNS[item.operator])
        if item.quantifier is None:
            return sql.SQL("{} {} {}").format(name, sign, self._value(item, item.value))
        if not item.value:
            return sql.SQL("FALSE" if item.quantifier == "any" else "TRUE")
        glue = sql.SQL(" OR " if item.quantifier == "any" else " AND ")
        each = [
            sql.SQL("{} {} {}").format(name, sign, self._value(item, one)) for one in item.value
        ]
        return sql.SQL("({})").format(glue.join(each))

    def _value(self, item: Comparison, value: Any) -> sql.Composable:
        kind = item.field.kind
        if kind in RANGES:
            return sql.SQL("{}::text::{}").format(self.bind(value), sql.SQL(SQL_TYPES[kind]))
        return self.bind(value)

    def _search(self, item: Comparison, name: sql.Composable) -> sql.Composable:
        language: sql.Composable = _EMPTY
        if item.language is not None:
            language = sql.SQL("{}::regconfig, ").format(self.bind(item.language))
        return sql.SQL("to_tsvector({language}{name}) @@ {read}({language}{value})").format(
            language=language,
            name=name,
            read=sql.SQL(SEARCHES[item.operator]),
            value=self.bind(item.value),
        )

    def _related(self, item: Related, table: str) -> sql.Composable:
        source, conditions = self._source(item.embed, table)
        return sql.SQL("EXISTS (SELECT FROM {}{})").format(source, conditions)

    # -- whole selections --------------------------------------------------------------------------

    def select(self, item: Select, source: sql.Composable | None = None) -> sql.Composed:
        """Return the statement of a selection, from another source than its dataset's table if given."""
        table = self.new_table()
        aliased = sql.SQL("{} AS {}").format(source or item.dataset.table, identifier(table))
        found = self.where(item.dataset, self.conditions(item), table)
        return self._selection(item, aliased, found, table)

    def count(self, item: Select, source: sql.Composable | None = None) -> sql.Composed:
        """Return the statement that counts what a selection without limits finds, from the same source."""
        table = self.new_table()
        aliased = sql.SQL("{} AS {}").format(source or item.dataset.table, identifier(table))
        found = self.where(item.dataset, self.conditions(item), table)
        if not item.grouped:
            return sql.SQL("SELECT count(*) FROM {}{}").format(aliased, found)
        group = self._group(item, table)
        return sql.SQL("SELECT count(*) FROM (SELECT count(*) FROM {}{}{}) AS groups").format(
            aliased, found, group
        )

    def conditions(self, item: Select) -> list[Condition]:
        """Return all conditions of a selection, also those that come with its embeds."""
        return [*item.where, *(Related(embed) for embed in item.embeds if embed.inner)]

    def _selection(
        self, item: Select, source: sql.Composable, conditions: sql.Composable, table: str
    ) -> sql.Composed:
        columns = self._columns(item, table)
        limit = _EMPTY if item.limit is None else sql.SQL(f" LIMIT {int(item.limit)}")
        offset = sql.SQL(f" OFFSET {int(item.offset)}") if item.offset else _EMPTY
        return sql.SQL("SELECT {}{}{}{}{}{}{}").format(
            sql.SQL(", ").join(
                sql.SQL("{} AS {}").format(expression, identifier(name))
                for name, expression in columns
            ),
            sql.SQL(" FROM {}").format(source),
            conditions,
            self._group(item, table),
            self._order(item, table),
            limit,
            offset,
        )

    def _columns(self, item: Select, table: str) -> list[tuple[str, sql.Composable]]:
        found = {
            output.name: self.shown(item.dataset, output, table, grouped=item.grouped)
            for output in item.outputs
        }
        for embed in item.embeds:
            if embed.spread:
                found.update(self._spread(embed, table))
            elif embed.select.names:
                found[embed.name] = self._embedded(embed, table)
        named = [(name, found[name]) for name in item.names if name in found]
        rest = [(name, part) for name, part in found.items() if name not in item.names]
        return named + rest

    def _embedded(self, embed: Embed, table: str) -> sql.Composable:
        source, conditions = self._source(embed, table, inner := self.new_table())
        rows = self._selection(embed.select, source, conditions, inner)
        if embed.relation.many:
            return sql.SQL(
                "(SELECT coalesce(json_agg(row_to_json(rows)), '[]'::json) FROM ({}) AS rows)"
            ).format(rows)
        return sql.SQL("(SELECT row_to_json(rows) FROM ({}) AS rows LIMIT 1)").format(rows)

    def _spread(self, embed: Embed, table: str) -> dict[str, sql.Composable]:
        found: dict[str, sql.Composable] = {}
        shape = "(SELECT {} FROM ({}) AS rows LIMIT 1)"
        if embed.relation.many:
            shape = "(SELECT coalesce(json_agg({}), '[]'::json) FROM ({}) AS rows)"
        for name in embed.select.names:
            source, conditions = self._source(embed, table, inner := self.new_table())
            rows = self._selection(embed.select, source, conditions, inner)
            found[name] = sql.SQL(shape).format(identifier("rows", name), rows)
        return found

    def _source(
        self, embed: Embed, table: str, inner: str | None = None
    ) -> tuple[sql.Composable, sql.Composable]:
        """Return an embed's table, and the clause of the rows in it that belong to a row of `table`."""
        inner = inner or self.new_table()
        source = sql.SQL("{} AS {}").format(embed.select.dataset.table, identifier(inner))
        conditions = [*_joined(embed.relation, table, inner), *self.conditions(embed.select)]
        return source, self.where(embed.select.dataset, conditions, inner)

    def _group(self, item: Select, table: str) -> sql.Composable:
        """Return the grouping by what is no aggregate, and by what embeds refer to."""
        if not item.grouped:
            return _EMPTY
        plain = [self.output(output, table) for output in item.outputs if not output.aggregate]
        for embed in item.embeds:
            plain += [identifier(table, here) for here, _ in embed.relation.pairs]
        return sql.SQL(" GROUP BY {}").format(sql.SQL(", ").join(plain)) if plain else _EMPTY

    def _order(self, item: Select, table: str) -> sql.Composable:
        keys = [self._sort_key(key, table) for key in item.order]
        return sql.SQL(" ORDER BY {}").format(sql.SQL(", ").join(keys)) if keys else _EMPTY

    def _sort_key(self, key: SortKey, table: str) -> sql.Composed:
        found: sql.Composable
        if isinstance(key.by, Output):
            found = self.output(key.by, table)
        elif key.through is None:
            found = self.field(key.by, table)
        else:
            inner = self.new_table()
            found = sql.SQL("(SELECT {} FROM {} AS {}{} LIMIT 1)").format(
                self.field(key.by, inner),
                key.through.target.table,
                identifier(inner),
                self.where(key.through.target, _joined(key.through, table, inner)),
            )
        direction: LiteralString = " DESC" if key.descending else " ASC"
        nulls: LiteralString = ""
        if key.nulls_first is not None:
            nulls = " NULLS FIRST" if key.nulls_first else " NULLS LAST"
        return sql.SQL("{}{}{}").format(found, sql.SQL(direction), sql.SQL(nulls))


def _joined(relation: Relation, table: str, inner: str) -> list[sql.Composed]:
    return [
        sql.SQL("{} = {}").format(identifier(inner, there), identifier(table, here))
        for here, there in relation.pairs
    ]


def _word(text: str) -> sql.SQL:
    """Return a word of SQL that was checked against a list of ours."""
    return sql.SQL(next(word for word in AGGREGATES if word == text))


def texts_of(names: Sequence[str]) -> sql.Composed:
    """Return the expression for a row of `rows` as an array of texts."""
    texts = [sql.SQL("{}::text").format(identifier("rows", name)) for name in names]
    return sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(texts))
