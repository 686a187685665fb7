"""The state database on PostgreSQL: the same migrations, the same group commit, the same timeline."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from tests.collect.realservers import postgres_server

from tocsin.model.event import Event
from tocsin.state import events
from tocsin.state.schema import meta, metadata
from tocsin.state.sql import Database
from tocsin.state.upgrade import current_revision, upgrade

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres_server() as port:
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"


def test_the_migrations_make_the_tables_and_run_twice(url: str) -> None:
    db = Database(url)
    upgrade(db.engine)
    upgrade(db.engine)
    assert current_revision(db.engine)
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    db.close()


async def test_many_writers_and_a_failing_one(url: str) -> None:
    db = Database(url)
    upgrade(db.engine)

    def put(key: str):
        return lambda tx: tx.execute(sa.insert(meta).values(key=key, value=""))

    def bad(tx: sa.Connection) -> None:
        put("half")(tx)
        raise ValueError("no")

    await asyncio.gather(*(db.write(put(f"k{i}")) for i in range(100)), db.write(bad), return_exceptions=True)
    keys = await db.read(lambda c: set(c.execute(sa.select(meta.c.key)).scalars()))
    assert len(keys) == 100
    assert "half" not in keys
    await db.write(lambda tx: events.record(tx, Event(1, "system:test", "did", "x", "a line", {"n": 1})))
    assert await db.read(events.first_break) == 0
    db.close()
