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
from sqlalchemy.engine import Connection, Engine, RootTransaction

from tocsin.errors import StateError
from tocsin.log import get_log
from tocsin.state.prepared import at_driver
from tocsin.state.reserve import Reserve

T = TypeVar("T")
Work = Callable[[Connection], T]
log = get_log("state")

_MOST_WORKS_PER_COMMIT = 256
_MOST_CULPRITS = 3
"""So many works of one commit may be refused by the database before it counts as away."""
_OWN_FAULTS = (sa.exc.IntegrityError, sa.exc.DataError, sa.exc.ProgrammingError)
"""Errors of a statement that leave the transaction as it was before it."""


class _Refused(Exception):
    """The database refused a statement of one work: disk full, I/O error. What else the transaction held may be gone, too."""

    def __init__(self, work: Work[Any], error: sa.exc.SQLAlchemyError) -> None:
        super().__init__(str(error))
        self.work, self.error = work, error


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def _dumps(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def create_engine(
    url: str,
    *,
    read_only: bool = False,
    connect: Callable[[], sqlite3.Connection] | None = None,
    wait_ms: int = 30_000,
) -> Engine:
    """An engine with our settings: WAL, synchronous=FULL and explicit transactions on SQLite.

    `connect` opens SQLite in another way (simulation: a disk that fails). `wait_ms`: for a lock of another's.
    """
    if not url.startswith("sqlite"):
        return sa.create_engine(url, json_serializer=_dumps, json_deserializer=orjson.loads, pool_pre_ping=True)
    engine = sa.create_engine(
        url,
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        **({"creator": connect} if connect else {"connect_args": {"check_same_thread": False, "timeout": wait_ms / 1000}}),
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={wait_ms}")
        if read_only:
            cursor.execute("PRAGMA query_only=ON")
        else:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA foreign_keys=ON")
            cursor.execute("PRAGMA temp_store=MEMORY")  # sorting must not need a disk that is full
        cursor.close()

    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        at_driver(connection, begin)

    return engine


class Database:
    """What stages are handed. `inline=True` runs everything on the caller's thread (simulation, unit tests)."""

    def __init__(
        self,
        url: str,
        *,
        read_only: bool = False,
        inline: bool = False,
        readers: int = 2,
        engines: tuple[Engine, Engine] | None = None,
        reserve: Reserve | None = None,
    ) -> None:
        """`engines`: one to write and one to read, made by the caller, who also keeps them (simulation). `reserve`: gives room
        to a commit that finds the disk full."""
        self.url = url
        self.engine = engines[0] if engines else create_engine(url, read_only=read_only)
        # Readers get an engine of their own: theirs begins without taking SQLite's write lock.
        if engines:
            self._read_engine = engines[1]
        else:
            self._read_engine = create_engine(url, read_only=True) if url.startswith("sqlite") and not read_only else self.engine
        glances = url.startswith("sqlite") and not inline and not engines
        self._glance_engine = create_engine(url, read_only=True, wait_ms=0) if glances else None
        self.read_only = read_only
        self.reserve = reserve
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
        """Run `works` in one transaction and answer every caller after it. A work that the database refuses fails alone."""
        waiting = [(work, future) for work, future in works if future.set_running_or_notify_cancel()]
        reason: BaseException | str = "it refuses every work"
        culprits, tight = 0, False
        while culprits < _MOST_CULPRITS:
            try:
                for future, result, problem in self._together(waiting):
                    future.set_exception(problem) if problem else future.set_result(result)
                if tight:
                    self._shorten_log()
                return
            except _Refused as error:
                if self._found_room(error.error):
                    tight = True
                    continue
                # What it did is undone and so is all that shared its transaction: the others have another one without it.
                at = next(i for i, (work, _) in enumerate(waiting) if work is error.work)
                _, culprit = waiting.pop(at)
                culprit.set_exception(StateError(f"state database: {_cause(error.error)}"))
                culprits += 1
            except sa.exc.SQLAlchemyError as error:
                if self._found_room(error):
                    tight = True
                    continue
                # No transaction was to be had, or the commit failed (disk full, locked): none of the works happened.
                reason = _cause(error)
                break
        log.error("state commit failed", error=str(reason), works=len(waiting))
        for _, future in waiting:
            future.set_exception(StateError(f"state database: {reason}"))

    def _found_room(self, error: BaseException) -> bool:
        """The disk was full and is not at this moment: try again."""
        return self.reserve is not None and self.reserve.helps(error)

    def _shorten_log(self) -> None:
        """Bring the write-ahead log into the database, so that it begins anew in the room that it has.

        SQLite's own checkpoints fail in silence on a full disk; the log would then take slice after slice of the reserve.
        """
        while True:
            connection = self.engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")
            except sqlite3.Error as error:
                if self._found_room(error):
                    continue
            finally:
                connection.close()
            return

    def _together(self, works: list[tuple[Work[Any], Future[Any]]]) -> list[tuple[Future[Any], Any, Exception | None]]:
        """(caller, result, its own error) of every work, committed. Raises _Refused and SQLAlchemyError: then nothing was."""
        if len(works) == 1:
            return [self._by_itself(*works[0])]
        answers: list[tuple[Future[Any], Any, Exception | None]] = []
        with self.engine.connect() as connection:
            transaction = connection.begin()
            for work, future in works:
                # Said to the driver ourselves: a nested transaction of SQLAlchemy costs more than many a work.
                at_driver(connection, "SAVEPOINT work")
                try:
                    result = work(connection)
                except _OWN_FAULTS as error:
                    at_driver(connection, "ROLLBACK TO SAVEPOINT work")
                    answers.append((future, None, error))
                except sa.exc.SQLAlchemyError as error:
                    raise _Refused(work, error) from error
                except Exception as error:
                    at_driver(connection, "ROLLBACK TO SAVEPOINT work")
                    answers.append((future, None, error))
                else:
                    at_driver(connection, "RELEASE SAVEPOINT work")
                    answers.append((future, result, None))
            _finish(connection, transaction)
        return answers

    def _by_itself(self, work: Work[Any], future: Future[Any]) -> tuple[Future[Any], Any, Exception | None]:
        """One work in a transaction of its own: without a savepoint, which costs more than many a work."""
        with self.engine.connect() as connection:
            transaction = connection.begin()
            try:
                result = work(connection)
            except _OWN_FAULTS as error:
                transaction.rollback()
                return future, None, error
            except sa.exc.SQLAlchemyError:
                raise
            except Exception as error:
                transaction.rollback()
                return future, None, error
            _finish(connection, transaction)
        return future, result, None

    # -- reading ------------------------------------------------------------------------------------------------------

    async def read(self, work: Work[T]) -> T:
        """Run `work` in a read-only snapshot on a reader thread."""
        if self._readers is None:
            return self.read_now(work)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, work)

    async def glance(self, work: Work[T]) -> T:
        """A look-up by key that every request makes: SQLite answers it here in microseconds, and there a reader waits for nobody.
        Any other database, and SQLite while it is locked, is read on a thread."""
        if self._glance_engine is not None:
            try:
                with self._glance_engine.connect() as connection:
                    return work(connection)
            except sa.exc.OperationalError:
                pass  # What is wrong is said by the thread, which waits for a lock.
        return await self.read(work)

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
        for engine in (self._glance_engine, self._read_engine, self.engine):
            if engine is not None:
                engine.dispose()


def _cause(error: BaseException) -> BaseException:
    return error.__cause__ or error


def _finish(connection: Connection, transaction: RootTransaction) -> None:
    """Commit. Raises SQLAlchemyError: then nothing happened, and the connection is free for the next transaction."""
    driver: Any = connection.connection.dbapi_connection
    if isinstance(driver, sqlite3.Connection) and not driver.in_transaction:
        # It does so when its disk fails; a commit would then be silent about nothing.
        raise sa.exc.InvalidRequestError("SQLite has undone the transaction by itself")
    try:
        transaction.commit()
    except sa.exc.SQLAlchemyError:
        connection.connection.rollback()  # SQLAlchemy leaves a transaction open that could not be committed
        raise
