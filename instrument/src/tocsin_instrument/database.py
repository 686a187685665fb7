"""The metrics of database clients and connection pools; shared by every driver."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import REGISTRY, Collector

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

operation_duration = Histogram(
    "db_client_operation_duration_seconds",
    "Duration of database operations as the client saw it.",
    ["db_system_name", "db_operation_name", "db_namespace"],
    buckets=BUCKETS,
)
connection_timeouts = Counter(
    "db_client_connection_timeouts", "Times that no connection became free in time.", ["db_client_connection_pool_name"]
)
wait_time = Histogram(
    "db_client_connection_wait_time_seconds",
    "How long a connection of the pool was waited for.",
    ["db_client_connection_pool_name"],
    buckets=BUCKETS,
)
use_time = Histogram(
    "db_client_connection_use_time_seconds",
    "How long a connection was held.",
    ["db_client_connection_pool_name"],
    buckets=BUCKETS,
)

_WORDS = "SELECT INSERT UPDATE DELETE MERGE WITH CREATE ALTER DROP TRUNCATE BEGIN COMMIT ROLLBACK SET SHOW CALL EXPLAIN COPY"
_OPERATIONS = frozenset(_WORDS.split())


def operation_of(statement: str) -> str:
    """The first word of a statement in capitals; `OTHER` for anything unusual (a label must stay small)."""
    word = statement.lstrip("( \t\r\n").partition(" ")[0].partition("\n")[0].upper()[:12]
    return word if word in _OPERATIONS else "OTHER"


class PoolState(NamedTuple):
    """A pool now. `most` = size and overflow together."""

    idle: int
    used: int
    most: int
    pending: int


class _Pools(Collector):
    """Asks every watched pool at each scrape; nothing is counted in between."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[str, Callable[[], PoolState]] = {}

    def add(self, name: str, read: Callable[[], PoolState]) -> None:
        with self._lock:
            self._pools[name] = read

    def remove(self, name: str) -> None:
        with self._lock:
            self._pools.pop(name, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._lock:
            pools = list(self._pools.items())
        pool = "db_client_connection_pool_name"
        count = GaugeMetricFamily(
            "db_client_connection_count", "Connections of the pool.", labels=[pool, "db_client_connection_state"]
        )
        most = GaugeMetricFamily("db_client_connection_max", "Most connections that the pool may open.", labels=[pool])
        pending = GaugeMetricFamily("db_client_connection_pending_requests", "Requests waiting for a connection.", labels=[pool])
        for name, read in pools:
            try:
                state = read()
            except Exception:  # a pool that is being closed must not break the scrape
                continue
            count.add_metric([name, "idle"], state.idle)
            count.add_metric([name, "used"], state.used)
            most.add_metric([name], state.most)
            pending.add_metric([name], state.pending)
        yield count
        yield most
        yield pending


pools = _Pools()
REGISTRY.register(pools)
