"""The log holds what is not in chunk files yet, and not more, however long the store runs; and what it forgot is in the files."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.tsdb.db import Store
from tocsin.tsdb.follower import Follower

Make = Callable[..., Store]
_MINUTE_MS = 60_000


def scraped(store: Store, clock: object, minutes: int, every_ms: int = 15_000) -> dict[int, float]:
    """A target of three series scraped for so long; answers what the first one was given."""
    labels = [Labels({"__name__": "m", "i": str(i)}) for i in range(3)]
    begin_ms = clock.now // every_ms * every_ms  # type: ignore[attr-defined]
    refs, given = store.refs(labels), {}
    for t_ms in range(begin_ms, begin_ms + minutes * _MINUTE_MS, every_ms):
        clock.now = t_ms  # type: ignore[attr-defined]
        store.append_refs(refs, t_ms, np.array([t_ms % 977, 1.0, 2.0]), grid_ms=every_ms)
        given[t_ms] = float(t_ms % 977)
        store.flush()
        if t_ms % _MINUTE_MS == 0:
            store.maintain()
    return given


def test_segments_go_when_their_samples_are_in_chunk_files(make_store: Make, clock: object, tmp_path: Path) -> None:
    store = make_store()
    scraped(store, clock, 6 * 60)
    segments = sorted((tmp_path / "store" / "wal").iterdir())
    assert len(segments) <= 5
    assert segments[0].name != "00000001.wal"


def test_nothing_is_lost_when_the_log_was_cut(make_store: Make, clock: object, tmp_path: Path) -> None:
    given: dict[int, float] = {}
    for _ in range(4):
        store = make_store()
        given |= scraped(store, clock, 100)
        store.abandon()
        clock.now += 15_000  # type: ignore[attr-defined]
    _holds(make_store(), given)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_gaps_intervals_and_kills_in_any_order(make_store: Make, clock: object, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    follower = Follower(path=tmp_path / "store", clock=clock)  # type: ignore[arg-type]
    store = make_store()
    follower.open()
    given: dict[str, dict[int, float]] = {}
    targets = [(f"t{i}", dice.choice([5_000, 15_000, 60_000, 300_000]), dice.randrange(1, 600)) for i in range(4)]
    refs: dict[str, np.ndarray] = {}
    asleep: dict[str, int] = {}
    begin_ms = clock.now // 300_000 * 300_000  # type: ignore[attr-defined]
    for t_ms in range(begin_ms, begin_ms + 7 * 60 * _MINUTE_MS, 5_000):
        clock.now = t_ms  # type: ignore[attr-defined]
        for name, every_ms, count in targets:
            if t_ms % every_ms or asleep.get(name, 0) > t_ms:
                continue
            if dice.random() < 0.003:
                asleep[name] = t_ms + dice.choice([1, 5, 30, 70, 200]) * every_ms
                continue
            if name not in refs:
                refs[name] = store.refs([Labels({"__name__": "m", "target": name, "i": str(i)}) for i in range(count)])
            values = np.full(count, float(t_ms % 977))
            store.append_refs(refs[name], t_ms, values, grid_ms=every_ms)
            given.setdefault(name, {})[t_ms] = float(t_ms % 977)
        store.flush()
        if t_ms % _MINUTE_MS == 0:
            store.maintain()
            follower.step()
        if dice.random() < 0.001:
            store.abandon()
            store, refs = make_store(), {}
    follower.step()
    fresh = Follower(path=tmp_path / "store", clock=clock)  # type: ignore[arg-type]
    fresh.open()
    for reader in (store, follower, fresh):
        for name, samples in given.items():
            _holds(reader, samples, Matcher("target", MatchOp.EQUAL, name))


def _holds(reader: Store | Follower, given: dict[int, float], *matchers: Matcher) -> None:
    times = sorted(given)
    selection = reader.select([Matcher("i", MatchOp.EQUAL, "0"), *matchers], times[0], times[-1])
    (group,) = selection.groups
    there = ~np.isnan(group.values[0])
    assert dict(zip(group.t_ms[there].tolist(), group.values[0][there].tolist(), strict=True)) == given
