"""What a store remembers of where series stand never outlives the truth: every answer is that of a reader who just came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.tsdb.conftest import HandClock, plain

from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.ports import SelectHints
from tocsin.tsdb.db import Store
from tocsin.tsdb.follower import Follower

HITS = Matcher("__name__", MatchOp.EQUAL, "hits")
EVERY_MS = 15_000


def names(job: str, count: int) -> list[Labels]:
    return [Labels({"__name__": "hits", "job": job, "path": f"/{n}"}) for n in range(count)]


def same_for_all(store: Store, path: Path, clock: HandClock, start_ms: int) -> None:
    store.flush()
    fresh = Follower(path=path, clock=clock)
    fresh.open()
    for matchers in ((HITS,), (HITS, Matcher("job", MatchOp.EQUAL, "a"))):
        for reader_end in (clock.now, clock.now - 60_000):
            assert plain(store, start_ms, reader_end, *matchers) == plain(fresh, start_ms, reader_end, *matchers)
        by = store.select(matchers, start_ms, clock.now, SelectHints(by=("job",)))
        assert sum(len(group.labels) for group in by.groups) == len(plain(fresh, start_ms, clock.now, *matchers))
    fresh.close()


def test_series_that_come_move_and_leave_are_seen_at_once(
    make_store: Callable[..., Store], clock: HandClock, tmp_path: Path
) -> None:
    store, start_ms = make_store(), clock.now

    def scrape(refs: np.ndarray, every_ms: int, times: int) -> None:
        for _ in range(times):
            clock.now += every_ms
            store.append_refs(refs, clock.now, np.arange(len(refs)) + clock.now % 977.0, grid_ms=every_ms)

    scrape(store.refs(names("a", 300)), EVERY_MS, 10)
    same_for_all(store, tmp_path / "store", clock, start_ms)
    scrape(store.refs(names("b", 200)), EVERY_MS, 5)  # more series
    same_for_all(store, tmp_path / "store", clock, start_ms)
    scrape(store.refs(names("a", 300)), 10_000, 30)  # the same ones on another grid
    same_for_all(store, tmp_path / "store", clock, start_ms)
    scrape(store.refs(names("a", 300)), 10_000, 70)  # until windows are closed
    same_for_all(store, tmp_path / "store", clock, start_ms)
    scrape(store.refs(list(reversed(names("c", 90)))), 10_000, 3)
    same_for_all(store, tmp_path / "store", clock, start_ms)


def test_a_series_that_left_is_not_found(make_store: Callable[..., Store], clock: HandClock) -> None:
    store = make_store()
    refs = store.refs(names("a", 50))
    assert store.select((HITS,), 0, clock.now).series_count == 0
    store.leave(refs)
    fresh = store.refs(names("z", 3))  # slots of those that left
    store.append_refs(fresh, clock.now, np.arange(3.0), grid_ms=EVERY_MS)
    found = store.select((HITS,), 0, clock.now)
    assert sorted(labels["job"] for group in found.groups for labels in group.labels) == ["z"] * 3
