"""Statements that run all the time, compiled once and given to the driver as they are.

SQLAlchemy builds, keys and wraps each statement anew, which costs fifty times what SQLite needs to run it. A `Prepared` is
written once at the top of its module with named `bindparam`s and executed inside whatever transaction its caller holds.

    _DUE = Prepared(sa.select(t.c.id).where(t.c.state.in_(bindparam("states", expanding=True)), t.c.due_ms <= bindparam("now")))
    rows = _DUE.all(tx, states=["pending"], now=now_ms)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

_LIST = "__[POSTCOMPILE_{}]"


@dataclass(frozen=True, slots=True)
class _Plan:
    """A statement in the words of one driver, for lists of given lengths."""

    sql: str
    order: tuple[str, ...] | None
    """Names in the order of the driver's `?`; None where it takes names."""


def drive(tx: Connection, sql: str, arguments: Any, *, many: bool = False) -> Any:
    """Hand a statement to the driver inside the caller's transaction; returns its cursor. Raises SQLAlchemy's errors."""
    if not tx.in_transaction():
        tx.begin()
    return at_driver(tx, sql, arguments, many=many)


def at_driver(tx: Connection, sql: str, arguments: Any = (), *, many: bool = False) -> Any:
    """The same without a look at the transaction: to begin it, and for savepoints."""
    cursor = tx.connection.cursor()
    try:
        (cursor.executemany if many else cursor.execute)(sql, arguments)
    except tx.dialect.loaded_dbapi.Error as error:
        kind = tx.dialect.loaded_dbapi.Error
        raise sa.exc.DBAPIError.instance(sql, None, error, kind, dialect=tx.dialect) from error
    return cursor


class Prepared:
    """One statement of SQLAlchemy Core. Values are plain; a name given to `in_` takes a list, which may not be empty."""

    def __init__(self, statement: Any) -> None:
        self._statement = statement
        self._plans: dict[tuple[str, tuple[int, ...]], _Plan] = {}
        # Values that the statement itself holds, by dialect: SQLite needs an OFFSET beside every LIMIT.
        self._constants: dict[str, dict[str, Any]] = {}
        self._lists: tuple[str, ...] = ()
        self._json: tuple[str, ...] = ()
        self._make: Callable[[Sequence[Any]], Any] = tuple
        self._convert: tuple[tuple[int, Callable[[Any], Any]], ...] = ()

    def all(self, tx: Connection, **values: Any) -> list[Any]:
        """Every row, with its columns as attributes."""
        found = self._execute(tx, values).fetchall()
        if not self._convert:
            return [self._make(row) for row in found]
        return [self._row(row) for row in found]

    def first(self, tx: Connection, **values: Any) -> Any:
        """The first row or None."""
        found = self._execute(tx, values).fetchall()
        return self._row(found[0]) if found else None

    def scalar(self, tx: Connection, **values: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.first(tx, **values)
        return None if row is None else row[0]

    def run(self, tx: Connection, **values: Any) -> int:
        """How many rows were changed."""
        return int(self._execute(tx, values).rowcount)

    def _row(self, values: Sequence[Any]) -> Any:
        made = list(values)
        for at, convert in self._convert:
            made[at] = convert(made[at])
        return self._make(made)

    def _execute(self, tx: Connection, values: dict[str, Any]) -> Any:
        if tx.dialect.name not in self._constants:
            self._read(tx)
        given = {**self._constants[tx.dialect.name], **values}
        for name in self._lists:
            given[name] = _padded(given[name])
        plan = self._plan(tx, tuple(len(given[name]) for name in self._lists))
        for name in self._json:
            given[name] = orjson.dumps(given[name], option=orjson.OPT_NON_STR_KEYS).decode()
        for name in self._lists:
            given.update((f"{name}_{i}", value) for i, value in enumerate(given.pop(name)))
        return drive(tx, plan.sql, [given[name] for name in plan.order] if plan.order is not None else given)

    def _read(self, tx: Connection) -> None:
        """What does not depend on the lengths of lists."""
        compiled = self._statement.compile(dialect=tx.dialect)
        self._constants[tx.dialect.name] = {name: value for name, value in compiled.params.items() if value is not None}
        self._lists = tuple(name for bind, name in compiled.bind_names.items() if bind.expanding)
        self._json = tuple(name for bind, name in compiled.bind_names.items() if isinstance(bind.type, sa.JSON))
        columns = list(getattr(self._statement, "selected_columns", None) or self._statement.exported_columns)
        self._make = _row_type([column.key for column in columns])
        converters = ((at, _converter(column.type)) for at, column in enumerate(columns))
        self._convert = tuple((at, convert) for at, convert in converters if convert is not None)

    def _plan(self, tx: Connection, lengths: tuple[int, ...]) -> _Plan:
        key = (tx.dialect.name, lengths)
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = self._written(tx, dict(zip(self._lists, lengths, strict=True)))
        return found

    def _written(self, tx: Connection, lengths: dict[str, int]) -> _Plan:
        compiled = self._statement.compile(dialect=tx.dialect)
        sql = str(compiled)
        mark = "?" if compiled.positional else "%({})s"
        for name, length in lengths.items():
            sql = sql.replace(_LIST.format(name), ", ".join(mark.format(f"{name}_{i}") for i in range(length)))
        if not compiled.positional:
            return _Plan(sql, None)
        order: list[str] = []
        for name in compiled.positiontup or ():
            order += [f"{name}_{i}" for i in range(lengths[name])] if name in lengths else [name]
        return _Plan(sql, tuple(order))


def _padded(values: Sequence[Any]) -> list[Any]:
    """A list of 1, 2, 4, 8 ... values, so that there are few lengths to compile for; to name a value twice changes nothing."""
    return [*values, *[values[-1]] * ((1 << (len(values) - 1).bit_length()) - len(values))]


def _row_type(names: Sequence[str]) -> type[tuple[Any, ...]]:
    """A tuple whose places have names."""
    return type("Row", (tuple,), {"__slots__": (), **{name: property(itemgetter(at)) for at, name in enumerate(names)}})


def _converter(kind: Any) -> Callable[[Any], Any] | None:
    if isinstance(kind, sa.JSON):
        return lambda value: orjson.loads(value) if isinstance(value, str | bytes) else value
    return bool if isinstance(kind, sa.Boolean) else None
