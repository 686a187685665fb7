"""SQLAlchemy: `instrument(engine, name="main")`; an AsyncEngine is fine too."""

from __future__ import annotations

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


def instrument(engine: Any, *, name: str = "main") -> None:
    """Time every statement, and watch the pool: size, use, waiting, time waited and held."""
    from sqlalchemy import event

    sync = getattr(engine, "sync_engine", engine)
    system, database = sync.dialect.name, str(sync.url.database or "")

    @event.listens_for(sync, "before_cursor_execute")
    def _before(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        if context is not None:
            context._tocsin_start = perf_counter()

    @event.listens_for(sync, "after_cursor_execute")
    def _after(_connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        _observe(context, statement)

    @event.listens_for(sync, "handle_error")
    def _failed(error: Any) -> None:
        if error.statement is not None:
            _observe(error.execution_context, error.statement)

    def _observe(context: Any, statement: str) -> None:
        start = getattr(context, "_tocsin_start", None)
        if start is not None:
            operation_duration.labels(system, operation_of(statement), database).observe(perf_counter() - start)

    _watch_pool(sync, name)


def _watch_pool(engine: Any, name: str) -> None:
    from sqlalchemy import event
    from sqlalchemy.exc import TimeoutError as PoolTimeout

    pool = engine.pool
    waiting = [0]
    waited, held, late = wait_time.labels(name), use_time.labels(name), connection_timeouts.labels(name)
    original = pool.connect

    def connect() -> Any:
        waiting[0] += 1
        start = perf_counter()
        try:
            return original()
        except PoolTimeout:
            late.inc()
            raise
        finally:
            waiting[0] -= 1
            waited.observe(perf_counter() - start)

    pool.connect = connect

    @event.listens_for(pool, "checkout")
    def _out(_dbapi: Any, record: Any, _proxy: Any) -> None:
        record.info["tocsin_out"] = perf_counter()

    @event.listens_for(pool, "checkin")
    def _in(_dbapi: Any, record: Any) -> None:
        start = record.info.pop("tocsin_out", None)
        if start is not None:
            held.observe(perf_counter() - start)

    def read() -> PoolState:
        used = pool.checkedout() if hasattr(pool, "checkedout") else 0
        idle = pool.checkedin() if hasattr(pool, "checkedin") else 0
        most = pool.size() + max(getattr(pool, "_max_overflow", 0), 0) if hasattr(pool, "size") else used + idle
        return PoolState(idle, used, most, max(waiting[0], 0))

    pools.add(name, read)
