"""The disk under the state database: a SQLite file in memory whose every statement and commit is a point, and which can fail.

The product's own writer runs here (`Database._commit`, group commit and savepoints included), only its thread is virtual time.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
import re
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from sqlalchemy.engine import Engine
from tests.simulation.points import Crash, Points

from tocsin.state.schema import metadata
from tocsin.state.sql import Database, create_engine

_LIST = re.compile(r"\((\?|\?, )+\)|\((\?, )*\?\)(, \((\?, )*\?\))*")
_WRITES = ("INSERT", "UPDATE", "DELETE")


@dataclass
class Disk:
    """What the machine's disk does to SQLite, and who looks on."""

    path: Path
    points: Points
    chance: random.Random
    fails: str = ""
    """"" | full | io | locked | slow"""
    on_commit: Callable[[sqlite3.Connection], None] = lambda connection: None
    failures: int = 0
    stage: str = ""
    names: dict[tuple[str, str], str] = field(default_factory=dict)

    def statement(self, connection: sqlite3.Connection, sql: str) -> None:
        if not self.stage:
            return  # a reader, or the making of a connection
        name = self.names.get((self.stage, sql)) or self._name(sql)
        self.points(name)
        if self.fails and self._strikes(sql):
            self._fail(connection)

    def _name(self, sql: str) -> str:
        plain = _LIST.sub("(?)", " ".join(sql.split()))
        words = plain.replace('"', "").split()
        head = (
            " ".join(words[:3]) if words[0] != "SELECT" else f"SELECT {words[words.index('FROM') + 1] if 'FROM' in words else ''}"
        )
        name = f"{self.stage}: {head} {crc32(plain.encode()) & 0xFFFF:04x}"
        self.names[(self.stage, sql)] = name
        return name

    def _strikes(self, sql: str) -> bool:
        word = sql.split(None, 1)[0]
        if self.fails == "locked":
            return word == "BEGIN" and self.chance.random() < 0.8
        if self.fails == "full":
            return word in _WRITES and self.chance.random() < 0.15
        return self.fails == "io" and self.chance.random() < 0.03

    def commit(self) -> None:
        if self.fails in ("full", "io") and self.chance.random() < 0.3:
            self.failures += 1
            raise sqlite3.OperationalError("database or disk is full" if self.fails == "full" else "disk I/O error")

    def _fail(self, connection: sqlite3.Connection) -> None:
        self.failures += 1
        if self.fails == "locked":
            raise sqlite3.OperationalError("database is locked")
        if self.chance.random() < 0.5 and connection.in_transaction:
            # SQLite may undo the whole transaction by itself when it runs out of disk.
            sqlite3.Cursor(connection).execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full" if self.fails == "full" else "disk I/O error")


class MortalCursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = ()) -> Any:
        self.connection.disk.statement(self.connection, sql)  # type: ignore[attr-defined]
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> Any:
        self.connection.disk.statement(self.connection, sql)  # type: ignore[attr-defined]
        return super().executemany(sql, parameters)


class MortalConnection(sqlite3.Connection):
    disk: Disk

    def cursor(self, factory: Any = MortalCursor) -> Any:
        return super().cursor(factory)

    def commit(self) -> None:
        disk = self.disk
        if disk.stage:
            disk.points(f"{disk.stage}: before COMMIT")
            disk.commit()
        super().commit()
        if disk.stage:
            disk.on_commit(self)
            disk.points(f"{disk.stage}: after COMMIT")


class Machine:
    """What outlives every world of this process: two engines (their statements stay compiled) and an empty database to copy."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(prefix="simulation-", dir=memory if memory.is_dir() else None)
        self.path = Path(self._folder.name) / "state.db"
        self._disk: Disk | None = None
        empty = Database(f"sqlite:///{self.path}", inline=True)
        metadata.create_all(empty.engine)
        empty.close()
        self._empty = self.path.read_bytes()
        url = f"sqlite:///{self.path}"
        self.engines: tuple[Engine, Engine] = (
            create_engine(url, connect=self._connect),
            create_engine(url, read_only=True, connect=self._connect),
        )

    def _connect(self) -> sqlite3.Connection:
        assert self._disk is not None
        connection = sqlite3.connect(self.path, timeout=0, check_same_thread=False, factory=MortalConnection)
        connection.disk = self._disk
        return connection

    def insert(self, disk: Disk) -> None:
        """Begin a world: a fresh database in the drive."""
        self.pull_the_plug()
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        self.path.write_bytes(self._empty)
        self._disk = disk

    def pull_the_plug(self) -> None:
        """Every connection is gone, and with it what was not committed."""
        for engine in self.engines:
            engine.dispose()


@functools.cache
def machine() -> Machine:
    return Machine()


class _Answer:
    """A caller's future as the writer uses it."""

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self._future = future

    def set_running_or_notify_cancel(self) -> bool:
        return not self._future.cancelled()

    def set_result(self, result: Any) -> None:
        assert not self._future.done() or self._future.cancelled(), "answered twice"
        if not self._future.done():
            self._future.set_result(result)

    def set_exception(self, error: BaseException) -> None:
        assert not self._future.done() or self._future.cancelled(), "answered twice"
        if not self._future.done():
            self._future.set_exception(error)


class SimulatedDatabase(Database):
    """The product's database whose writer thread is a timer of the virtual loop: works that wait share a commit."""

    def __init__(self, disk: Disk, engines: tuple[Engine, Engine]) -> None:
        super().__init__(f"sqlite:///{disk.path}", inline=True, engines=engines)
        self._disk = disk
        self._waiting: list[tuple[Any, Any]] = []
        self._names: list[str] = []
        self._counter = itertools.count()

    async def write(self, work: Any) -> Any:
        if self._disk.points.dead:
            raise Crash("write")
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._waiting:
            slow = self._disk.fails == "slow"
            loop.call_later(self._disk.chance.choice((0.2, 3.0) if slow else (0.0, 0.0, 0.001, 0.02)), self._flush)
        self._waiting.append((self._named(work), _Answer(future)))
        return await future

    def _named(self, work: Any) -> Any:
        name = getattr(work, "__qualname__", "work").replace(".<locals>.", "/")

        def named(connection: Any) -> Any:
            self._disk.stage = name
            try:
                return work(connection)
            finally:
                self._disk.stage = "commit"

        return named

    def _flush(self) -> None:
        works, self._waiting = self._waiting, []
        self._disk.stage = "commit"
        try:
            self._commit(works)
        except Crash:
            pass
        finally:
            self._disk.stage = ""

    def read_now(self, work: Any) -> Any:
        if self._disk.points.dead:
            raise Crash("read")
        return super().read_now(work)
