"""psycopg 3: `watch(pool, name="main")` for ConnectionPool and AsyncConnectionPool, `instrument(connection)` for a single one."""

from __future__ import annotations

from functools import lru_cache
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any

from tocsin_instrument.database import (
    PoolState,
    connection_timeouts,
    operation_duration,
    operation_of,
    pools,
    use_time,
    wait_time,
)


def watch(pool: Any, *, name: str = "main", queries: bool = True) -> None:
    """Size, use and waiting at each scrape, from the pool's own statistics; time waited and held, timeouts, query time."""

    def read() -> PoolState:
        stats = pool.get_stats()
        size, idle = stats.get("pool_size", 0), stats.get("pool_available", 0)
        return PoolState(idle, size - idle, stats.get("pool_max", pool.max_size), stats.get("requests_waiting", 0))

    pools.add(name, read)
    if hasattr(pool, "getconn"):
        _time_connections(pool, name, queries)


def instrument(connection: Any) -> None:
    """Time the queries of this connection."""
    connection.cursor_factory = _measured(connection.cursor_factory)


def _time_connections(pool: Any, name: str, queries: bool) -> None:
    waited, held, late = wait_time.labels(name), use_time.labels(name), connection_timeouts.labels(name)
    getconn, putconn = pool.getconn, pool.putconn
    taken: dict[int, float] = {}

    def got(connection: Any, start: float) -> Any:
        waited.observe(perf_counter() - start)
        taken[id(connection)] = perf_counter()
        if queries:
            instrument(connection)
        return connection

    def failed(error: Exception, start: float) -> None:
        if type(error).__name__ == "PoolTimeout":
            waited.observe(perf_counter() - start)
            late.inc()

    def returned(connection: Any) -> None:
        if (start := taken.pop(id(connection), None)) is not None:
            held.observe(perf_counter() - start)

    def get_now(*args: Any, **options: Any) -> Any:
        start = perf_counter()
        try:
            connection = getconn(*args, **options)
        except Exception as error:
            failed(error, start)
            raise
        return got(connection, start)

    async def get_later(*args: Any, **options: Any) -> Any:
        start = perf_counter()
        try:
            connection = await getconn(*args, **options)
        except Exception as error:
            failed(error, start)
            raise
        return got(connection, start)

    def put_now(connection: Any) -> Any:
        returned(connection)
        return putconn(connection)

    async def put_later(connection: Any) -> Any:
        returned(connection)
        return await putconn(connection)

    asynchronous = iscoroutinefunction(getconn)
    pool.getconn, pool.putconn = (get_later, put_later) if asynchronous else (get_now, put_now)


@lru_cache(maxsize=32)
def _measured(factory: Any) -> Any:
    """The cursor class with its `execute` and `executemany` timed."""
    if getattr(factory, "tocsin_measured", False):
        return factory
    timed = {name: _timed(getattr(factory, name)) for name in ("execute", "executemany")}
    return type(factory.__name__, (factory,), {"tocsin_measured": True, **timed})


def _timed(original: Any) -> Any:
    def done(cursor: Any, query: Any, start: float) -> None:
        # A composed query has no text of its own; its operation is worth less than the time to make one.
        text = query.decode("utf-8", "replace") if isinstance(query, bytes) else query if isinstance(query, str) else ""
        database = cursor.connection.info.dbname
        operation_duration.labels("postgresql", operation_of(text), database).observe(perf_counter() - start)

    def now(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        start = perf_counter()
        try:
            return original(self, query, *args, **options)
        finally:
            done(self, query, start)

    async def later(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        start = perf_counter()
        try:
            return await original(self, query, *args, **options)
        finally:
            done(self, query, start)

    return later if iscoroutinefunction(original) else now
