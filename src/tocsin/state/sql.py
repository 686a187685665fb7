"""The state database: one writer, many readers.

    caller ──write(work)──▶ queue ──▶ writer thread: BEGIN IMMEDIATE, works (each in a SAVEPOINT), COMMIT ──▶ futures
    caller ──read(work)───▶ reader threads, each with a connection of its own

Works that arrive while a commit is under way share the next one (group commit), so one fsync answers many callers. A work is a
plain function of a connection; what it returns reaches the caller only after the commit.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from tocsin.errors import StateError
from tocsin.log import get_log

T = TypeVar("T")
Work = Callable[[Connection], T]
log = get_log("state")

_MOST_WORKS_PER_COMMIT = 256


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def _dumps(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def create_engine(url: str, *, read_only: bool = False) -> Engine:
    """An engine with our settings: WAL, synchronous=FULL and explicit transactions on SQLite."""
    if not url.startswith("sqlite"):
        return sa.create_engine(url, json_serializer=_dumps, json_deserializer=orjson.loads, pool_pre_ping=True)
    engine = sa.create_engine(
        url,
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        connect_args={"check_same_thread": False, "timeout": 30},
    )

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout=30000")
        if read_only:
            cursor.execute("PRAGMA query_only=ON")
        else:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


class Database:
    """What stages are handed. `inline=True` runs everything on the caller's thread (simulation, unit tests)."""

    def __init__(self, url: str, *, read_only: bool = False, inline: bool = False, readers: int = 2) -> None:
        self.url = url
        self.engine = create_engine(url, read_only=read_only)
        # Readers get an engine of their own: theirs begins without taking SQLite's write lock.
        self._read_engine = create_engine(url, read_only=True) if url.startswith("sqlite") and not read_only else self.engine
        self.read_only = read_only
        self._inline = inline
        self._queue: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._readers = None if inline else ThreadPoolExecutor(readers, thread_name_prefix="state-read")

    # -- writing ------------------------------------------------------------------------------------------------------

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a write transaction; returns after the commit. An exception of `work` undoes only `work`."""
        if self._inline:
            return self.write_now(work)
        return await asyncio.wrap_future(self.submit(work))

    def write_now(self, work: Work[T]) -> T:
        """The same, on and blocking the calling thread."""
        if not self._inline and self._writer is not None:
            return self.submit(work).result()
        with self.engine.begin() as connection:
            return work(connection)

    def submit(self, work: Work[T]) -> Future[T]:
        """Queue `work` for the writer thread."""
        assert not self.read_only, "this process only reads the state database; send the core a command"
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_forever, name="state-write", daemon=True)
            self._writer.start()
        future: Future[T] = Future()
        self._queue.put((work, future))
        return future

    def _write_forever(self) -> None:
        while (first := self._queue.get()) is not None:
            works = [first]
            while len(works) < _MOST_WORKS_PER_COMMIT:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    self._queue.put(None)
                    break
                works.append(item)
            self._commit(works)

    def _commit(self, works: list[tuple[Work[Any], Future[Any]]]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        failed: list[tuple[Future[Any], BaseException]] = []
        try:
            with self.engine.begin() as connection:
                for work, future in works:
                    if not future.set_running_or_notify_cancel():
                        continue
                    try:
                        with connection.begin_nested():
                            done.append((future, work(connection)))
                    except Exception as error:
                        failed.append((future, error))
        except sa.exc.SQLAlchemyError as error:
            # The commit itself failed (disk full, database away): none of the works happened.
            log.error("state commit failed", error=str(error.__cause__ or error), works=len(works))
            failed.extend((future, StateError(f"state database: {error.__cause__ or error}")) for future, _ in done)
            done = []
        for future, result in done:
            future.set_result(result)
        for future, problem in failed:
            future.set_exception(problem)

    # -- reading ------------------------------------------------------------------------------------------------------

    async def read(self, work: Work[T]) -> T:
        """Run `work` in a read-only snapshot on a reader thread."""
        if self._readers is None:
            return self.read_now(work)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, work)

    def read_now(self, work: Work[T]) -> T:
        with self._read_engine.connect() as connection:
            return work(connection)

    def close(self) -> None:
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join(timeout=10)
            self._writer = None
        if self._readers is not None:
            self._readers.shutdown(wait=True)
        self._read_engine.dispose()
        self.engine.dispose()
