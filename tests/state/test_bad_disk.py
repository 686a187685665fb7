"""A disk that refuses: every caller gets an answer, and nothing is confirmed that was not committed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa

from tocsin.errors import StateError
from tocsin.state.schema import meta, metadata
from tocsin.state.sql import Database, create_engine, sqlite_url


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = ()) -> Any:
        for start, undo in _Connection.refuses.items():
            if sql.startswith(start) and (undo is None or "bad" in str(parameters)):
                if undo:
                    sqlite3.Cursor(self.connection).execute("ROLLBACK")
                raise sqlite3.OperationalError("database or disk is full")
        return super().execute(sql, parameters)


class _Connection(sqlite3.Connection):
    refuses: ClassVar[dict[str, bool | None]] = {}
    """start of a statement -> None: refused; else refused for rows named bad, True: with the whole transaction undone."""

    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def commit(self) -> None:
        if "COMMIT" in self.refuses:
            raise sqlite3.OperationalError("disk I/O error")
        super().commit()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    url = sqlite_url(tmp_path / "state.db")

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(tmp_path / "state.db", check_same_thread=False, factory=_Connection)

    _Connection.refuses = {}
    database = Database(url, engines=(create_engine(url, connect=connect), create_engine(url, read_only=True)))
    metadata.create_all(database.engine)
    yield database
    _Connection.refuses = {}
    database.close()


def put(key: str) -> Any:
    return lambda tx: tx.execute(sa.insert(meta).values(key=key, value=""))


async def together(db: Database, *keys: str) -> list[str]:
    """Write in one commit; returns what each caller was told."""
    gate = asyncio.Event()

    async def write(key: str) -> str:
        await gate.wait()
        try:
            await asyncio.wait_for(db.write(put(key)), 10)
        except StateError as error:
            return str(error)
        return "done"

    tasks = [asyncio.create_task(write(key)) for key in keys]
    await asyncio.sleep(0)
    gate.set()
    return await asyncio.gather(*tasks)


async def kept(db: Database) -> list[str]:
    return await db.read(lambda c: sorted(c.execute(sa.select(meta.c.key)).scalars()))


@pytest.mark.parametrize("refuses", ["BEGIN", "COMMIT"])
async def test_who_gets_no_transaction_is_told_and_the_next_one_is_served(db: Database, refuses: str) -> None:
    _Connection.refuses = {refuses: None}
    assert all(answer.startswith("state database: ") for answer in await together(db, "a", "b"))
    _Connection.refuses = {}
    assert await together(db, "c") == ["done"]
    assert await kept(db) == ["c"]


async def test_a_savepoint_that_cannot_be_released_fails_its_caller_only_once(db: Database) -> None:
    _Connection.refuses = {"RELEASE": None}
    assert all(answer.startswith("state database: ") for answer in await together(db, "a", "b"))
    _Connection.refuses = {}
    assert await together(db, "c") == ["done"]


@pytest.mark.parametrize("undone", [False, True])
async def test_a_full_disk_takes_one_work_and_not_those_that_shared_its_transaction(db: Database, undone: bool) -> None:
    """SQLite may undo the whole transaction when it runs out of disk: what was told to be done must be there all the same."""
    _Connection.refuses = {"INSERT INTO meta": undone}
    told = await together(db, "a", "b", "bad", "c", "d")
    assert told[2].startswith("state database: ")
    assert [told[i] for i in (0, 1, 3, 4)] == ["done"] * 4
    assert await kept(db) == ["a", "b", "c", "d"]
