"""One statement for many rows, at the driver's speed.

SQLAlchemy prepares the parameters of every row of an `executemany` anew, which for ten thousand alerts costs as much as all the
rest. Here a statement is compiled once and the rows go to the driver as they are; JSON columns are serialised by us.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection


def insert(tx: Connection) -> Callable[[sa.Table], Any]:
    """The dialect's own insert, which knows ON CONFLICT."""
    return postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert


def insert_rows(tx: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns."""
    execute(tx, sa.insert(table), rows, json=_json_columns(table))


def upsert_rows(tx: Connection, table: sa.Table, key: str | Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; one whose `key` (a column, or several) exists is overwritten."""
    keys = [key] if isinstance(key, str) else list(key)
    if rows:
        statement = insert(tx)(table)
        others = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        execute(tx, statement.on_conflict_do_update(index_elements=keys, set_=others), rows, json=_json_columns(table))


def execute(tx: Connection, statement: Any, rows: Sequence[Mapping[str, Any]], *, json: frozenset[str] = frozenset()) -> None:
    """Run `statement` for every row; the rows' keys are its bind names, those in `json` are serialised."""
    if not rows:
        return
    compiled = statement.compile(dialect=tx.dialect, column_keys=list(rows[0]))
    names = list(compiled.positiontup or compiled.params)
    values = list(zip(*(_column(name, rows, json, compiled.params) for name in names), strict=True))
    if compiled.positional:
        tx.exec_driver_sql(str(compiled), values)
    else:
        tx.exec_driver_sql(str(compiled), [dict(zip(names, row, strict=True)) for row in values])


def _column(name: str, rows: Sequence[Mapping[str, Any]], json: frozenset[str], constants: Mapping[str, Any]) -> list[Any]:
    if name not in rows[0]:
        return [constants[name]] * len(rows)
    return [_dumps(row[name]) for row in rows] if name in json else [row[name] for row in rows]


def _json_columns(table: sa.Table) -> frozenset[str]:
    return frozenset(column.name for column in table.columns if isinstance(column.type, sa.JSON))


def _dumps(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
