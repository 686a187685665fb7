"""An aggregation gets no more labels from the store than it looks at, and answers as with all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from tocsin.errors import ExecutionError
from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.ports import SampleReader, SelectHints
from tocsin.model.series import Selection
from tocsin.promql.engine import Engine
from tocsin.tsdb.db import Store
from tocsin.tsdb.settings import StoreSettings

BASE_MS = 1_700_000_000_000 // 7_200_000 * 7_200_000
EVERY_MS = 15_000


class StillClock:
    now = BASE_MS

    def now_ms(self) -> int:
        return self.now

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep_until_ms(self, t_ms: int) -> None:
        self.now = max(self.now, t_ms)


class AllLabels:
    """A reader that is never told what will be looked at."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, _hints: SelectHints) -> Selection:
        return self._store.select(matchers, start_ms, end_ms)


def series() -> list[Labels]:
    """Two sets of label names in one metric, a label that some lack, a metric with a type among its labels."""
    made = [
        Labels({"__name__": "hits_total", "job": f"j{n % 3}", "path": f"/{n}", **({"zone": f"z{n % 2}"} if n % 4 else {})})
        for n in range(40)
    ]
    made += [Labels({"__name__": "typed", "__type__": kind, "job": "j0"}) for kind in ("counter", "gauge")]
    return [*made, Labels({"__name__": "one_total", "job": "j1"}), Labels({"__name__": "two_total", "job": "j1"})]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two and a half hours of scrapes, of which two are in a block."""
    clock = StillClock()
    store = Store(path=tmp_path / "store", settings=StoreSettings(), clock=clock)
    store.open()
    names = series()
    refs = store.refs(names)
    random = np.random.default_rng(7)
    totals = np.zeros(len(names))
    for number in range(600):
        clock.now = BASE_MS + number * EVERY_MS
        totals = np.where(random.random(len(names)) < 0.01, 0, totals + random.integers(0, 50, len(names)))
        store.append_refs(refs, clock.now, totals, grid_ms=EVERY_MS)
    store.flush()
    clock.now += 3 * 3_600_000
    store.maintain()
    assert store.blocks.blocks
    refs = store.refs(names)
    for number in range(600, 640):
        store.append_refs(refs, BASE_MS + number * EVERY_MS + 3 * 3_600_000, totals, grid_ms=EVERY_MS)
    yield store
    store.close()


QUERIES = [
    f"{op} {by} ({inside})"
    for op in ("sum", "avg", "count", "stdvar")
    for by in ("", "by (job)", "by (job, zone)", "by (path)", "by (nowhere)", "by (__name__)", "without (path)")
    for inside in (
        "hits_total",
        "rate(hits_total[5m])",
        "max_over_time(hits_total[2m])",
        '(increase({__name__="hits_total"}[3m]))',
    )
] + [
    "quantile by (zone) (0.3, rate(hits_total[5m]))",
    "topk by (job) (1, rate(hits_total[5m]))",
    "sum by (job) (last_over_time(hits_total[5m]))",
    "sum by (job) (hits_total offset 1m) / count by (job) (hits_total)",
    "sum by (job) (typed)",
    'sum(rate({__name__=~"one_.*"}[5m]))',
]


@pytest.mark.parametrize("minutes", [9, 100, 122, 149, 339])
def test_answers_are_the_same_with_all_labels(store: Store, minutes: int) -> None:
    usual, whole = Engine(store), Engine(cast(SampleReader, AllLabels(store)))
    end_ms = BASE_MS + minutes * 60_000
    for query in QUERIES:
        found, wanted = usual.range(query, end_ms - 300_000, end_ms, 60_000), whole.range(query, end_ms - 300_000, end_ms, 60_000)
        assert found.matrix is not None and wanted.matrix is not None
        assert found.matrix.labels == wanted.matrix.labels, query
        assert found.matrix.values.view(np.uint64).tolist() == wanted.matrix.values.view(np.uint64).tolist(), query
        assert found.annotations == wanted.annotations, query
        assert found.stats.samples_read == wanted.stats.samples_read, query


def test_rows_share_labels_where_nobody_looks_at_more(store: Store) -> None:
    matchers = [Matcher("__name__", MatchOp.EQUAL, "hits_total")]
    now_ms = BASE_MS + 339 * 60_000
    (group,) = store.select(matchers, now_ms - 60_000, now_ms, SelectHints(by=("job",))).groups
    assert len(group.labels) == 40
    assert set(group.labels) == {Labels({"__name__": "hits_total", "job": f"j{n}"}) for n in range(3)}
    assert len(set(map(id, group.labels))) <= 6, "of each set of label names one object per job"


@pytest.mark.parametrize("query", ["sum(rate(typed[5m]))", 'sum(rate({__name__=~"one_total|two_total"}[5m]))'])
def test_series_that_are_the_same_without_their_name_are_still_refused(store: Store, query: str) -> None:
    with pytest.raises(ExecutionError, match="same labelset"):
        Engine(store).instant(query, BASE_MS + 339 * 60_000)
