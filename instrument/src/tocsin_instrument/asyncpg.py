"""asyncpg: `watch(pool, name="main")`, and `create_pool(..., init=measure)` for query time."""

from __future__ import annotations

from typing import Any

from tocsin_instrument.database import PoolState, operation_duration, operation_of, pools


def watch(pool: Any, *, name: str = "main") -> None:
    """Size and use of the pool at each scrape. asyncpg does not say how many wait: 0."""

    def read() -> PoolState:
        idle = pool.get_idle_size()
        return PoolState(idle, pool.get_size() - idle, pool.get_max_size(), 0)

    pools.add(name, read)


async def measure(connection: Any) -> None:
    """Time the queries of a connection (asyncpg 0.29 and newer); made to be the pool's `init`."""
    connection.add_query_logger(_done)


def _done(record: Any) -> None:
    database = str(getattr(record.conn_params, "database", "") or "")
    operation_duration.labels("postgresql", operation_of(record.query), database).observe(record.elapsed)
