"""One statement for many rows, at the driver's speed.

SQLAlchemy prepares the parameters of every row of an `executemany` anew, which for ten thousand alerts costs as much as all the
rest. Here a statement is compiled once and the rows go to the driver as they are; JSON columns are serialised by us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection, Dialect

from tocsin.state.prepared import drive


def insert(tx: Connection) -> Callable[[sa.Table], Any]:
    """The dialect's own insert, which knows ON CONFLICT."""
    return insert_of(tx.dialect.name)


def insert_of(dialect: str) -> Callable[[sa.Table], Any]:
    """The insert of a dialect by its name. Only that one is loaded: PostgreSQL's takes 30 ms and 4 MB."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert
    return sqlite.insert


def insert_rows(tx: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns."""
    if rows:
        _run(tx, _insert(tx.dialect, table, tuple(rows[0]), ()), rows, _json_columns(table))


def upsert_rows(tx: Connection, table: sa.Table, key: str | Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; one whose `key` (a column, or several) exists is overwritten."""
    keys = (key,) if isinstance(key, str) else tuple(key)
    if rows:
        _run(tx, _insert(tx.dialect, table, tuple(rows[0]), keys), rows, _json_columns(table))


def execute(tx: Connection, statement: Any, rows: Sequence[Mapping[str, Any]], *, json: frozenset[str] = frozenset()) -> None:
    """Run `statement` for every row; the rows' keys are its bind names, those in `json` are serialised.

    It is compiled once per object: write one that runs often at the top of its module.
    """
    if not rows:
        return
    plans = _plans.setdefault(statement, {})
    key = (tx.dialect.name, tuple(rows[0]))
    if key not in plans:
        plans[key] = _compiled(tx.dialect, statement, rows[0])
    _run(tx, plans[key], rows, json)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A statement in the driver's words."""

    sql: str
    names: tuple[str, ...]
    positional: bool
    constants: Mapping[str, Any]


_plans: WeakKeyDictionary[Any, dict[tuple[str, tuple[str, ...]], _Plan]] = WeakKeyDictionary()


@lru_cache(maxsize=256)
def _insert(dialect: Dialect, table: sa.Table, columns: tuple[str, ...], keys: tuple[str, ...]) -> _Plan:
    if not keys:
        return _compiled(dialect, sa.insert(table), columns)
    statement = insert_of(dialect.name)(table)
    others = {name: statement.excluded[name] for name in columns if name not in keys}
    return _compiled(dialect, statement.on_conflict_do_update(index_elements=keys, set_=others), columns)


def _compiled(dialect: Dialect, statement: Any, columns: Iterable[str]) -> _Plan:
    compiled = statement.compile(dialect=dialect, column_keys=list(columns))
    names = tuple(compiled.positiontup or compiled.params)
    return _Plan(str(compiled), names, compiled.positional, compiled.params)


def _run(tx: Connection, plan: _Plan, rows: Sequence[Mapping[str, Any]], json: frozenset[str]) -> None:
    values = list(zip(*(_column(name, rows, json, plan.constants) for name in plan.names), strict=True))
    if plan.positional:
        drive(tx, plan.sql, values, many=True)
    else:
        drive(tx, plan.sql, [dict(zip(plan.names, row, strict=True)) for row in values], many=True)


def _column(name: str, rows: Sequence[Mapping[str, Any]], json: frozenset[str], constants: Mapping[str, Any]) -> list[Any]:
    if name not in rows[0]:
        return [constants[name]] * len(rows)
    return [_dumps(row[name]) for row in rows] if name in json else [row[name] for row in rows]


@lru_cache(maxsize=256)
def _json_columns(table: sa.Table) -> frozenset[str]:
    return frozenset(column.name for column in table.columns if isinstance(column.type, sa.JSON))


def _dumps(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
