"""psycopg_pool: `watch(pool, name="main")`, for ConnectionPool and AsyncConnectionPool."""

from __future__ import annotations

from typing import Any

from tocsin_instrument.database import PoolState, pools


def watch(pool: Any, *, name: str = "main") -> None:
    """Size, use and waiting of the pool at each scrape, from its own statistics."""

    def read() -> PoolState:
        stats = pool.get_stats()
        size, idle = stats.get("pool_size", 0), stats.get("pool_available", 0)
        return PoolState(idle, size - idle, stats.get("pool_max", pool.max_size), stats.get("requests_waiting", 0))

    pools.add(name, read)
