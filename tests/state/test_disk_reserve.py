"""The reserve of a full disk: real blocks, given in slices, filled again; a commit that finds no room is made in it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa

from tocsin.errors import StateError
from tocsin.state.reserve import Reserve
from tocsin.state.schema import meta, metadata
from tocsin.state.sql import Database, create_engine, sqlite_url

MIB = 1 << 20


class Small(Reserve):
    """On a disk of `total` bytes with `free` of them free, whatever the machine has."""

    total, free = 64 * MIB, 40 * MIB

    def _disk(self) -> os.statvfs_result:
        return os.statvfs_result((1, 1, self.total, self.free, self.free, 0, 0, 0, 0, 255))


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = ()) -> Any:
        if _Full.code and sql.startswith(_Full.at):
            if not _Full.gave():
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = _Full.code
                raise error
            _Full.go_on()
        return super().execute(sql, parameters)


class _Full(sqlite3.Connection):
    """A disk that refuses until the reserve has given `slices`."""

    code: ClassVar[int] = 0
    at: ClassVar[str] = ""
    slices: ClassVar[int] = 0
    then: ClassVar[tuple[str, int] | None] = None
    """Where it refuses next, and until how many slices."""
    reserve: ClassVar[Reserve]

    @classmethod
    def gave(cls) -> bool:
        return cls.reserve.wanted() - cls.reserve.held() >= cls.slices * MIB

    @classmethod
    def go_on(cls) -> None:
        if cls.then is None:
            cls.code = 0
        else:
            (cls.at, cls.slices), cls.then = cls.then, None

    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def commit(self) -> None:
        self.cursor().execute("COMMIT")


@pytest.fixture
def reserve(tmp_path: Path) -> Small:
    reserve = Small(tmp_path)
    assert reserve.fill()
    return reserve


@pytest.fixture
def db(tmp_path: Path, reserve: Small) -> Iterator[Database]:
    url = sqlite_url(tmp_path / "state.db")
    _Full.reserve, _Full.code, _Full.then = reserve, 0, None
    engine = create_engine(url, connect=lambda: sqlite3.connect(tmp_path / "state.db", check_same_thread=False, factory=_Full))
    database = Database(url, engines=(engine, create_engine(url, read_only=True)), reserve=reserve)
    metadata.create_all(database.engine)
    yield database
    _Full.code = 0
    database.close()


def put(key: str) -> Any:
    return lambda tx: tx.execute(sa.insert(meta).values(key=key, value=""))


def kept(db: Database) -> list[str]:
    return db.read_now(lambda c: list(c.execute(sa.select(meta.c.key)).scalars()))


def test_a_reserve_is_a_sixteenth_of_a_small_disk_and_made_of_blocks(tmp_path: Path, reserve: Small) -> None:
    assert reserve.wanted() == reserve.held() == 4 * MIB
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= 4 * MIB
    reserve.total = 1 << 40
    assert reserve.wanted() == 32 * MIB


def test_it_is_not_taken_from_a_disk_that_has_little_else(tmp_path: Path) -> None:
    reserve = Small(tmp_path)
    reserve.free = 7 * MIB
    assert not reserve.fill()
    assert not reserve.held()
    reserve.free = 8 * MIB
    assert reserve.fill()


def test_slices_are_given_until_none_is_left_and_come_back_with_room(reserve: Small) -> None:
    assert [reserve.give() for _ in range(5)] == [True] * 4 + [False]
    reserve.free = 2 * MIB
    assert not reserve.fill()
    reserve.free = 40 * MIB
    assert reserve.fill()
    assert reserve.held() == 4 * MIB


@pytest.mark.parametrize("at", ["INSERT", "BEGIN", "COMMIT"])
@pytest.mark.parametrize("slices", [1, 3])
async def test_a_commit_that_finds_no_room_is_made_in_the_reserve(db: Database, reserve: Small, at: str, slices: int) -> None:
    _Full.at, _Full.code, _Full.slices = at, sqlite3.SQLITE_FULL, slices
    await db.write(put("page"))
    assert kept(db) == ["page"]
    assert reserve.held() == (4 - slices) * MIB


async def test_the_log_is_brought_into_the_database_in_the_reserve_too(db: Database, reserve: Small) -> None:
    """SQLite's own checkpoint would fail in silence, and the log would go on to eat the reserve."""
    _Full.at, _Full.code, _Full.slices = "COMMIT", sqlite3.SQLITE_FULL, 1
    _Full.then = ("PRAGMA wal_checkpoint", 3)
    await db.write(put("page"))
    await db.write(put("next"))  # after what the writer does behind the answer
    assert sorted(kept(db)) == ["next", "page"]
    assert reserve.held() == MIB


async def test_with_nothing_left_the_caller_is_told(db: Database, reserve: Small) -> None:
    while reserve.give():
        pass
    _Full.at, _Full.code, _Full.slices = "INSERT", sqlite3.SQLITE_FULL, 99
    with pytest.raises(StateError, match="disk is full"):
        await db.write(put("page"))


@pytest.mark.parametrize(("free", "used"), [(0, True), (40 * MIB, False)])
async def test_an_input_output_error_uses_it_only_where_room_is_short(
    db: Database, reserve: Small, free: int, used: bool
) -> None:
    reserve.free = free
    _Full.at, _Full.code, _Full.slices = "INSERT", sqlite3.SQLITE_IOERR_SHMSIZE, 1
    if used:
        await db.write(put("page"))
        return
    with pytest.raises(StateError):
        await db.write(put("page"))
    assert reserve.held() == 4 * MIB


def test_what_a_start_needs_is_done_again_in_the_reserve(tmp_path: Path, reserve: Small) -> None:
    tries: list[int] = []

    def start() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(28, "No space left on device")
        return "started"

    assert reserve.helped(start) == "started"
    assert reserve.held() == 2 * MIB
    with pytest.raises(OSError, match="read-only"):
        reserve.helped(lambda: (_ for _ in ()).throw(OSError(30, "read-only")))
