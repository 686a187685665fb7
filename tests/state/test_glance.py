"""A look-up by key in the middle of a request: here and now on SQLite, and by a thread when it is locked."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tocsin.state.schema import meta, metadata
from tocsin.state.sql import Database, sqlite_url

_NAME = sa.select(meta.c.value).where(meta.c.key == "name")


def _named(tx: Any) -> tuple[Any, int]:
    return tx.execute(_NAME).scalar(), threading.get_ident()


async def test_it_sees_what_was_committed_a_moment_ago_on_the_caller_s_own_thread(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "state.db")
    writer = Database(url)
    metadata.create_all(writer.engine)
    reader = Database(url, read_only=True)
    for name in ("first", "second"):
        await writer.write(
            lambda tx, name=name: (tx.execute(sa.delete(meta)), tx.execute(sa.insert(meta).values(key="name", value=name)))
        )
        assert await reader.glance(_named) == (name, threading.get_ident())
    reader.close()
    writer.close()


async def test_a_locked_database_is_waited_for_by_a_thread(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "state.db"))
    metadata.create_all(database.engine)
    asked: list[int] = []

    def locked_at_first(_tx: Any) -> str:
        asked.append(threading.get_ident())
        if len(asked) == 1:
            raise sa.exc.OperationalError("SELECT", None, Exception("database is locked"))
        return "read"

    assert await database.glance(locked_at_first) == "read"
    assert asked[0] == threading.get_ident() != asked[1]
    database.close()
