"""asyncpg: `watch(pool, name="main")`."""

from __future__ import annotations

from typing import Any

from tocsin_instrument.database import PoolState, pools


def watch(pool: Any, *, name: str = "main") -> None:
    """Size and use of the pool at each scrape. asyncpg does not say how many wait: 0."""

    def read() -> PoolState:
        idle = pool.get_idle_size()
        return PoolState(idle, pool.get_size() - idle, pool.get_max_size(), 0)

    pools.add(name, read)
