"""The state database: group commit, isolation of one caller's failure, events that chain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from tocsin.errors import StateError
from tocsin.model.event import Event
from tocsin.state import events
from tocsin.state.schema import meta, metadata
from tocsin.state.sql import Database, create_engine, sqlite_url
from tocsin.state.upgrade import current_revision, upgrade


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(sqlite_url(tmp_path / "state.db"))
    upgrade(database.engine)
    yield database
    database.close()


def put(key: str, value: str = ""):
    return lambda tx: tx.execute(sa.insert(meta).values(key=key, value=value))


async def test_many_writers_share_commits_and_all_arrive(db: Database) -> None:
    await asyncio.gather(*(db.write(put(f"k{i}")) for i in range(300)))
    assert await db.read(lambda c: c.execute(sa.select(sa.func.count()).select_from(meta)).scalar()) == 300


async def test_a_failing_work_undoes_only_itself(db: Database) -> None:
    def bad(tx: sa.Connection) -> None:
        put("half")(tx)
        raise ValueError("no")

    results = await asyncio.gather(db.write(put("a")), db.write(bad), db.write(put("b")), return_exceptions=True)
    assert isinstance(results[1], ValueError)
    assert await db.read(lambda c: sorted(c.execute(sa.select(meta.c.key)).scalars())) == ["a", "b"]


async def test_commits_are_synced_to_disk(db: Database) -> None:
    assert await db.write(lambda tx: tx.exec_driver_sql("PRAGMA synchronous").scalar()) == 2
    assert await db.write(lambda tx: tx.exec_driver_sql("PRAGMA journal_mode").scalar()) == "wal"


async def test_readers_do_not_take_the_write_lock(db: Database) -> None:
    with db._read_engine.connect() as reader:
        reader.execute(sa.select(meta)).all()
        await asyncio.wait_for(db.write(put("while-reading")), 5)


async def test_the_event_chain_shows_a_changed_line(db: Database) -> None:
    for i in range(5):
        await db.write(lambda tx, i=i: events.record(tx, Event(i, "system:test", "did", "x", f"line {i}")))
    assert db.read_now(events.first_break) == 0
    await db.write(lambda tx: tx.exec_driver_sql("UPDATE events SET text = 'forged' WHERE id = 3"))
    assert db.read_now(events.first_break) == 3


def test_the_migrations_make_exactly_the_tables_of_the_schema(tmp_path: Path) -> None:
    engine = create_engine(sqlite_url(tmp_path / "state.db"))
    upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_database_of_a_newer_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    engine = create_engine(sqlite_url(tmp_path / "state.db"))
    upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StateError, match=r"newer Tocsin \(schema 9999.*--data-dir"):
        upgrade(engine)


def test_a_file_that_is_no_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StateError, match="restore it from a backup"):
        upgrade(create_engine(sqlite_url(tmp_path / "state.db")))


def test_an_upgrade_from_the_baseline_keeps_rows_and_leaves_a_copy(tmp_path: Path) -> None:
    from alembic import command

    from tocsin.state import upgrade as module

    engine = create_engine(sqlite_url(tmp_path / "state.db"))
    with engine.begin() as connection:
        config = module._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql("INSERT INTO meta (key, value) VALUES ('kept', 'yes')")
    upgrade(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT value FROM meta WHERE key = 'kept'").scalar() == "yes"
    assert current_revision(engine) != ""


def test_the_revisions_that_files_name_are_those_of_the_migrations() -> None:
    from alembic.script import ScriptDirectory

    from tocsin.state import upgrade as module

    script = ScriptDirectory.from_config(module._config())
    assert module.revisions() == [revision.revision for revision in script.walk_revisions()][::-1]
    assert module.revisions()[-1] == script.get_current_head()
