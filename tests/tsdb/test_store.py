"""The store's door: references, scrapes, pushes, what is refused, and what a selector finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tocsin.errors import StoreError
from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.series import STALE_NAN, Batch, is_absent, is_stale
from tocsin.tsdb.db import DUPLICATE, FUTURE, REFUSED_SERIES, Store
from tocsin.tsdb.follower import Follower
from tocsin.tsdb.settings import StoreSettings

MakeStore = Callable[..., Store]
Ask = Callable[..., dict[Any, list[tuple[int, int]]]]
STEP_MS = 15_000
BASE_MS = (1_700_000_000_000 - 3_600_000) // STEP_MS * STEP_MS
FAR_MS = 1 << 50


def series(count: int, metric: str = "m", **more: str) -> list[Labels]:
    return [Labels({"__name__": metric, "n": str(number), **more}) for number in range(count)]


def scrape(store: Store, labels: list[Labels], number: int, values: Any = None, *, phase: int = 0) -> Any:
    t_ms = BASE_MS + number * STEP_MS + phase
    row = np.full(len(labels), float(number)) if values is None else np.asarray(values, np.float64)
    return store.append_refs(store.refs(labels), t_ms, row, grid_ms=STEP_MS)


def equal(name: str, value: str) -> Matcher:
    return Matcher(name, MatchOp.EQUAL, value)


def bits(value: float) -> int:
    return int(np.array([value]).view(np.uint64)[0])


def test_a_series_keeps_its_reference(make_store: MakeStore) -> None:
    store = make_store()
    first = store.refs(series(10))
    again = store.refs([*series(12), *series(3)])
    assert again[:10].tolist() == first.tolist()
    assert again[12:].tolist() == first[:3].tolist()
    assert len(set(again.tolist())) == 12


def test_scrapes_of_one_phase_share_a_group_and_missed_ones_are_holes(make_store: MakeStore) -> None:
    store = make_store()
    here, there = series(3, host="a"), series(2, host="b")
    for number in range(100):
        scrape(store, here, number)
        if number % 10 != 3:
            scrape(store, there, number)
    (group,) = store.select([], 0, FAR_MS).groups
    assert group.t_ms.tolist() == [BASE_MS + number * STEP_MS for number in range(100)]
    missing = is_absent(group.values).sum(1)
    assert dict(zip(group.labels, missing.tolist(), strict=True)) == {**dict.fromkeys(here, 0), **dict.fromkeys(there, 10)}


def test_another_phase_is_another_group(make_store: MakeStore) -> None:
    store = make_store()
    for number in range(3):
        scrape(store, series(2, host="a"), number)
        scrape(store, series(2, host="b"), number, phase=500)
    groups = store.select([], 0, FAR_MS).groups
    assert sorted(int(group.t_ms[0]) % STEP_MS for group in groups) == [0, 500]


def test_the_same_value_again_is_accepted_and_another_one_is_refused(make_store: MakeStore, ask: Ask) -> None:
    store = make_store()
    labels = series(3)
    assert scrape(store, labels, 0, [1, 2, 3]).refused == {}
    assert scrape(store, labels, 0, [1, 2, 3]).accepted == 3
    result = scrape(store, labels, 0, [1, 7, 8])
    assert (result.accepted, result.refused) == (1, {DUPLICATE: 2})
    pushed = Batch([labels[0], labels[1]], np.array([BASE_MS, BASE_MS]), np.array([1.0, 9.0]))
    assert store.append(pushed).refused == {DUPLICATE: 1}
    assert list(ask(store, 0, FAR_MS).values()) == [[(BASE_MS, bits(value))] for value in (1.0, 2.0, 3.0)]


def test_a_series_that_stands_twice_in_a_scrape_is_a_duplicate(make_store: MakeStore, ask: Ask) -> None:
    store = make_store()
    one = series(1)[0]
    refs = store.refs([one, one, one])
    result = store.append_refs(refs, BASE_MS, np.array([1.0, 2.0, 1.0]), grid_ms=STEP_MS)
    assert (result.accepted, result.refused) == (2, {DUPLICATE: 1})
    assert ask(store, 0, FAR_MS) == {one: [(BASE_MS, bits(1.0))]}


def test_a_push_within_one_batch_may_contradict_itself_only_once(make_store: MakeStore, ask: Ask) -> None:
    store = make_store()
    one = series(1)[0]
    batch = Batch([one] * 4, np.array([5, 5, 3, 5]) + BASE_MS, np.array([1.0, 1.0, 4.0, 2.0]))
    assert store.append(batch).refused == {DUPLICATE: 1}
    assert ask(store, 0, FAR_MS)[one] == [(BASE_MS + 3, bits(4.0)), (BASE_MS + 5, bits(1.0))]


def test_the_future_is_refused_and_any_age_is_taken(make_store: MakeStore, ask: Ask, clock: Any) -> None:
    store = make_store()
    one = series(1)[0]
    now = clock.now
    times = np.array([now + 600_001, now + 600_000, 0, -(10**12)])
    result = store.append(Batch([one] * 4, times, np.arange(4.0)))
    assert (result.accepted, result.refused) == (3, {FUTURE: 1})
    assert store.append_refs(store.refs([one]), now + 700_000, np.array([1.0]), grid_ms=STEP_MS).refused == {FUTURE: 1}
    assert [t for t, _ in ask(store, -(1 << 50), FAR_MS)[one]] == [-(10**12), 0, now + 600_000]


def test_a_late_scrape_joins_the_grid_of_its_series(make_store: MakeStore) -> None:
    """A slow target's scrape arrives after the window it belongs to was sealed: it must not split the group."""
    store = make_store()
    fast, slow = series(2, host="fast"), series(2, host="slow")
    scrape(store, fast, 0)
    scrape(store, slow, 0)
    for number in range(1, 200):
        scrape(store, fast, number)
        scrape(store, slow, number - 1, [number - 1.0] * 2)
    (group,) = store.select([equal("host", "slow")], 0, FAR_MS).groups
    assert group.values[0].tolist() == [float(number) for number in range(199)]
    assert len(store.select([], 0, FAR_MS).groups) == 1


def test_a_pushed_sample_off_the_grid_gives_the_series_its_own_times(make_store: MakeStore) -> None:
    store = make_store()
    labels = series(3)
    for number in range(5):
        scrape(store, labels, number)
    store.append(Batch([labels[1]], np.array([BASE_MS + 7]), np.array([0.5])))
    groups = store.select([], 0, FAR_MS).groups
    assert sorted(len(group.labels) for group in groups) == [1, 2]
    (own,) = [group for group in groups if len(group.labels) == 1]
    assert own.labels == (labels[1],)
    assert own.values[0].tolist() == [0.0, 0.5, 1.0, 2.0, 3.0, 4.0]


def test_pushed_series_with_equal_times_share_a_group(make_store: MakeStore) -> None:
    store = make_store()
    labels = series(4)
    for number in range(3):
        store.append(Batch(labels, np.full(4, BASE_MS + 17 * number), np.arange(4.0)))
    (group,) = store.select([], 0, FAR_MS).groups
    assert group.values.shape == (4, 3)


def test_a_changed_interval_moves_the_series_and_loses_nothing(make_store: MakeStore, ask: Ask, clock: Any) -> None:
    store = make_store()
    labels = series(2)
    for number in range(80):
        scrape(store, labels, number)
    clock.now = BASE_MS + 80 * STEP_MS
    later = clock.now // 60_000 * 60_000 + 60_000
    for number in range(20):
        store.append_refs(store.refs(labels), later + number * 60_000, np.full(2, -float(number)), grid_ms=60_000)
        clock.now = later + number * 60_000
    found = ask(store, 0, FAR_MS)
    assert [len(samples) for samples in found.values()] == [100, 100]


def test_staleness_markers_survive_head_chunks_and_restart(make_store: MakeStore) -> None:
    store = make_store()
    labels = series(2)
    for number in range(150):
        scrape(store, labels, number, [number, STALE_NAN if number % 50 == 49 else number])
    store.close()
    again = make_store()
    (group,) = again.select([equal("n", "1")], 0, FAR_MS).groups
    assert np.flatnonzero(is_stale(group.values)[0]).tolist() == [49, 99, 149]


@pytest.mark.parametrize(
    ("matchers", "expected"),
    [
        ([equal("__name__", "m")], {"0", "1", "2"}),
        ([equal("n", "1")], {"1"}),
        ([Matcher("n", MatchOp.NOT_EQUAL, "1")], {"0", "2", ""}),
        ([Matcher("n", MatchOp.REGEX, "0|2")], {"0", "2"}),
        ([Matcher("n", MatchOp.REGEX, "")], {""}),
        ([Matcher("n", MatchOp.NOT_REGEX, "[01]")], {"2", ""}),
        ([Matcher("__name__", MatchOp.REGEX, "m.*"), equal("n", "")], {""}),
        ([equal("missing", "")], {"0", "1", "2", ""}),
        ([equal("missing", "x")], set()),
        ([equal("__name__", "nothing")], set()),
        ([Matcher("n", MatchOp.NOT_EQUAL, "never seen")], {"0", "1", "2", ""}),
        ([Matcher("n", MatchOp.NOT_EQUAL, "")], {"0", "1", "2"}),
    ],
)
def test_matchers(make_store: MakeStore, matchers: list[Matcher], expected: set[str]) -> None:
    store = make_store()
    labels = [*series(3), Labels({"__name__": "mm"})]
    scrape(store, labels, 0)
    found = {one.get("n") for group in store.select(matchers, 0, FAR_MS).groups for one in group.labels}
    assert found == expected


def test_only_series_with_samples_in_range_are_answered(make_store: MakeStore) -> None:
    store = make_store()
    for number in range(70):
        scrape(store, series(2) if number < 65 else series(1), number)
    late = BASE_MS + 66 * STEP_MS
    assert store.series([[]], late, FAR_MS) == series(1)
    assert store.label_values("n", [], late, FAR_MS) == ["0"]
    assert store.label_names([], 0, FAR_MS) == ["__name__", "n"]
    assert store.label_values("n", [], 0, FAR_MS, limit=1) == ["0"]
    assert store.select([], BASE_MS + 1, BASE_MS + 2).groups == ()


def test_limits_refuse_new_series_and_let_known_ones_go_on(make_store: MakeStore) -> None:
    store = make_store(StoreSettings(max_series=5, max_label_names=3, max_label_value_bytes=10))
    refs = store.refs(series(8))
    assert (refs >= 0).tolist() == [True] * 5 + [False] * 3
    result = store.append(Batch(series(8), np.full(8, BASE_MS), np.arange(8.0)))
    assert (result.accepted, result.refused) == (5, {REFUSED_SERIES: 3})
    assert store.refs([Labels({"a": "1", "b": "2", "c": "3", "d": "4"})]).tolist() == [-1]
    assert store.refs([Labels({"a": "x" * 11})]).tolist() == [-1]
    assert store.refs([Labels({"a": "\ud800"})]).tolist() == [-1]
    assert store.refs([Labels()]).tolist() == [-1]


def test_a_reference_of_a_series_that_left_is_a_key_error(make_store: MakeStore, clock: Any, ask: Ask) -> None:
    store = make_store(StoreSettings(min_free_bytes=0))
    labels = series(3)
    refs = store.refs(labels)
    scrape(store, labels, 0)
    clock.now += 4 * 3_600_000
    store.maintain()
    assert store.stats()["series"] == 0
    with pytest.raises(KeyError):
        store.append_refs(refs, clock.now, np.zeros(3), grid_ms=STEP_MS)
    fresh = store.refs(series(5, "other"))
    assert not set(fresh.tolist()) & set(refs.tolist()), "slots are reused, references are not"
    store.append_refs(fresh, clock.now, np.ones(5))
    back = store.refs(labels)
    store.append_refs(back, clock.now, np.full(3, 9.0))
    assert [len(ask(store, 0, FAR_MS)[one]) for one in labels] == [2, 2, 2], "before and after are one series again"
    assert len(ask(store, 0, FAR_MS)) == 8


def test_two_stores_on_one_folder_are_refused(make_store: MakeStore, tmp_path: Path, clock: Any) -> None:
    make_store()
    with pytest.raises(StoreError, match="in use by another"):
        Store(path=tmp_path / "store", settings=StoreSettings(), clock=clock).open()


def test_metadata_is_remembered_across_restart_and_followed(make_store: MakeStore, tmp_path: Path, clock: Any) -> None:
    store = make_store()
    follower = Follower(path=tmp_path / "store", clock=clock)
    follower.open()
    store.set_metadata("m", "counter", "Help.", "")
    store.flush()
    follower.step()
    assert follower.metadata() == {"m": ("counter", "Help.", "")}
    follower.close()
    store.close()
    assert make_store().metadata() == {"m": ("counter", "Help.", "")}


def test_a_follower_sees_scrapes_pushes_and_sealed_windows(make_store: MakeStore, tmp_path: Path, clock: Any, ask: Ask) -> None:
    store = make_store()
    follower = Follower(path=tmp_path / "store", clock=clock)
    follower.open()
    for number in range(100):
        clock.now = BASE_MS + number * STEP_MS
        scrape(store, series(540, host="a"), number)
        if number % 7 == 0:
            store.append(Batch(series(2, "pushed"), np.full(2, BASE_MS + number), np.ones(2)))
            store.flush()
            follower.step()
    store.flush()
    follower.step()
    assert ask(follower, 0, FAR_MS) == ask(store, 0, FAR_MS)
    assert not follower.head.kept, "the follower drops windows exactly as the store seals them"
    follower.close()


def test_a_follower_that_knows_everything_has_no_news(make_store, tmp_path, clock):
    store = make_store()
    follower = Follower(path=tmp_path / "store", clock=clock)
    follower.open()
    assert not follower.has_news()
    refs = store.refs([Labels({"__name__": "m"})])
    for number in range(40):
        clock.now += 60_000
        store.append_refs(refs, clock.now, np.array([float(number)]), grid_ms=60_000)
        store.flush()
        assert follower.has_news()
        store.maintain()
        while follower.has_news():
            follower.step()
        assert follower.lag_ms() == 0
    follower.close()
