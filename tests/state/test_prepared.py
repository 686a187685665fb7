"""Prepared statements answer what SQLAlchemy's own execution answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.state.prepared import Prepared
from tocsin.state.schema import meta, metadata, timers
from tocsin.state.sql import Database, sqlite_url

BY_KIND = Prepared(
    sa.select(timers.c.id, timers.c.kind, timers.c.data)
    .where(timers.c.kind.in_(sa.bindparam("kinds", expanding=True)), timers.c.due_at_ms <= sa.bindparam("now_ms"))
    .order_by(timers.c.id)
)
ADD = Prepared(
    sa.insert(timers)
    .values(
        due_at_ms=sa.bindparam("due"), kind=sa.bindparam("kind"), subject="s", version=0, data=sa.bindparam("data", type_=sa.JSON)
    )
    .returning(timers.c.id)
)
MOVE = Prepared(sa.update(timers).where(timers.c.kind.in_(("b", "c"))).values(due_at_ms=timers.c.due_at_ms + sa.bindparam("by")))


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Connection]:
    db = Database(sqlite_url(tmp_path / "state.db"), inline=True)
    metadata.create_all(db.engine)
    with db.engine.begin() as connection:
        yield connection
    db.close()


def test_rows_have_names_lists_any_length_and_json_is_a_value(tx: Connection) -> None:
    for at, kind in enumerate("abc"):
        assert ADD.scalar(tx, due=at, kind=kind, data={"n": at}) == at + 1
    for kinds in (["a"], ["a", "b"], ["c", "b", "a"]):
        rows = BY_KIND.all(tx, kinds=kinds, now_ms=9)
        assert [(row.kind, row.data) for row in rows] == [(kind, {"n": "abc".index(kind)}) for kind in sorted(kinds)]
    assert BY_KIND.first(tx, kinds=["a"], now_ms=-1) is None


def test_changes_count_rows(tx: Connection) -> None:
    for kind in "abc":
        ADD.scalar(tx, due=1, kind=kind, data={})
    assert MOVE.run(tx, by=5) == 2
    assert [row.due_at_ms for row in tx.execute(sa.select(timers.c.due_at_ms).order_by(timers.c.id))] == [1, 6, 6]


def test_errors_are_those_of_sqlalchemy(tx: Connection) -> None:
    put = Prepared(sa.insert(meta).values(key=sa.bindparam("name"), value=""))
    put.run(tx, name="a")
    with pytest.raises(sa.exc.IntegrityError, match="UNIQUE"):
        put.run(tx, name="a")


def test_reading_begins_a_transaction_so_that_two_statements_see_one_state(tmp_path: Path) -> None:
    db = Database(sqlite_url(tmp_path / "state.db"), inline=True)
    metadata.create_all(db.engine)
    with db._read_engine.connect() as reader:
        assert BY_KIND.all(reader, kinds=["a"], now_ms=9) == []
        db.write_now(lambda tx: ADD.scalar(tx, due=1, kind="a", data={}))
        assert BY_KIND.all(reader, kinds=["a"], now_ms=9) == []
    assert len(db.read_now(lambda c: BY_KIND.all(c, kinds=["a"], now_ms=9))) == 1
    db.close()
