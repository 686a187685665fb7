"""Deleted samples: gone for every reader at once, after a kill, and after compaction; what is written later stays."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.series import Batch
from tocsin.tsdb import tools
from tocsin.tsdb.follower import Follower
from tocsin.tsdb.settings import StoreSettings

DAY_MS, HOUR_MS, STEP_MS = 86_400_000, 3_600_000, 60_000
DAY = 1_699_920_000_000  # a midnight in UTC
FAR_MS = 1 << 50
LABELS = [Labels({"__name__": "m", "n": str(number)}) for number in range(4)]
PUSHED = Labels({"__name__": "pushed", "n": "1"})
SETTINGS = replace(StoreSettings(), min_free_bytes=0, merge_delay_ms=0)
ONE = Matcher("n", MatchOp.EQUAL, "1")
ANY = Matcher("__name__", MatchOp.NOT_EQUAL, "")


def live(store, clock, hours, *, every=30):
    """Scrapes every minute, a push every ten, housekeeping every half hour."""
    for _ in range(hours * 60):
        clock.now += STEP_MS
        number = (clock.now - DAY) // STEP_MS
        store.append_refs(store.refs(LABELS), clock.now, np.arange(4.0) + number, grid_ms=STEP_MS)
        if number % 10 == 0:
            store.append(Batch([PUSHED], np.array([clock.now - 7]), np.array([float(number)])))
        if number % every == 0:
            store.flush()
            store.maintain()


def settle(store, clock):
    for _ in range(12):
        clock.now += 20_000
        store.maintain()


def delete(store, start_ms, end_ms, *matchers):
    asyncio.run(store.delete_series([list(matchers)], start_ms, end_ms))


def kept(before, start_ms, end_ms, *matchers):
    """The model: what is left of an answer."""
    out = {}
    for labels, samples in before.items():
        hit = all(matcher.matches(labels) for matcher in matchers)
        left = [one for one in samples if not (hit and start_ms <= one[0] <= end_ms)]
        if left:
            out[labels] = left
    return out


@pytest.fixture
def store(make_store, clock):
    clock.now = DAY
    return make_store(SETTINGS)


def test_it_is_gone_everywhere_at_once_and_for_good(store, make_store, clock, ask, tmp_path):
    live(store, clock, 7)
    span = (DAY + HOUR_MS, DAY + 6 * HOUR_MS)
    follower = Follower(path=tmp_path / "store", clock=clock)
    follower.open()
    before = ask(store, 0, FAR_MS, ANY)
    assert len(before) == 5
    delete(store, *span, ONE)
    want = kept(before, *span, ONE)
    assert ask(store, 0, FAR_MS, ANY) == want
    follower.step()
    assert ask(follower, 0, FAR_MS, ANY) == want
    store.abandon()
    store = make_store(SETTINGS)
    assert ask(store, 0, FAR_MS, ANY) == want
    asyncio.run(store.clean_tombstones())
    assert ask(store, 0, FAR_MS, ANY) == want
    settle(store, clock)
    follower.step()
    assert ask(follower, 0, FAR_MS, ANY) == want
    clock.now = DAY + 30 * HOUR_MS
    settle(store, clock)
    assert ask(store, 0, FAR_MS, ANY) == want
    assert store.tombstones.listed == ()
    assert len(store.blocks.blocks) == 1
    follower.close()


def test_what_is_written_later_for_that_time_stays(store, clock, ask):
    live(store, clock, 1)
    delete(store, 0, FAR_MS, ONE)
    late = Batch([PUSHED, LABELS[1]], np.array([DAY + 600_001, DAY + 600_000]), np.array([1.0, 2.0]))
    store.append(late)
    expected = {PUSHED: [DAY + 600_001], LABELS[1]: [DAY + 600_000]}
    found = ask(store, 0, FAR_MS, ONE)
    assert {labels: [t for t, _ in samples] for labels, samples in found.items()} == expected
    live(store, clock, 4)
    assert [t for t, _ in ask(store, 0, DAY + HOUR_MS, ONE)[LABELS[1]]] == [DAY + 600_000]


def test_the_lists_of_names_forget_what_is_gone_as_a_whole(store, clock):
    live(store, clock, 4)
    delete(store, 0, FAR_MS, Matcher("__name__", MatchOp.EQUAL, "pushed"))
    assert store.series([[ANY]], 0, FAR_MS) == LABELS
    assert store.label_values("__name__", [], 0, FAR_MS) == ["m"]
    delete(store, 0, FAR_MS, ANY)
    assert store.series([[ANY]], 0, FAR_MS) == []


def test_a_kill_before_the_tombstone_deletes_nothing_and_loses_nothing(store, make_store, clock, ask):
    live(store, clock, 3)
    store.flush()
    before = ask(store, 0, FAR_MS, ANY)

    class Killed(Exception):
        pass

    def die(*_):
        raise Killed

    store.tombstones.write = die
    with pytest.raises(Killed):
        delete(store, 0, FAR_MS, ONE)
    store.abandon()
    assert ask(make_store(SETTINGS), 0, FAR_MS, ANY) == before


def test_rollups_of_deleted_days_are_cleaned_too(make_store, clock, ask):
    clock.now = DAY + 12 * HOUR_MS
    settings = replace(SETTINGS, retention_ms=2 * DAY_MS, retention_rollup_ms=20 * DAY_MS)
    store = make_store(settings)
    live(store, clock, 5)
    clock.now = DAY + 26 * HOUR_MS
    settle(store, clock)
    clock.now = DAY + 5 * DAY_MS
    settle(store, clock)
    assert store.blocks.blocks == []
    before = ask(store, 0, FAR_MS, ANY)
    assert LABELS[1] in before
    delete(store, DAY, DAY + 14 * HOUR_MS, ONE)
    left = ask(store, 0, FAR_MS, ANY)
    assert [t for t, _ in left[LABELS[1]]] == [t for t, _ in before[LABELS[1]] if t > DAY + 14 * HOUR_MS + 300_000 - 1]
    assert left[LABELS[0]] == before[LABELS[0]]
    asyncio.run(store.clean_tombstones())
    settle(store, clock)
    assert ask(store, 0, FAR_MS, ANY) == left
    assert store.tombstones.listed == ()


def test_a_snapshot_of_blocks_alone_can_be_restored(store, clock, ask, tmp_path):
    live(store, clock, 7)
    asyncio.run(store.snapshot(tmp_path / "snap", with_head=False))
    assert {path.name for path in (tmp_path / "snap").iterdir()} <= {"blocks", "rollups", "tombstones", "exemplars"}
    blocks_end = max(block.name.end_ms for block in store.blocks.blocks)
    tools.restore(tmp_path / "snap", tmp_path / "other")
    other = type(store)(path=tmp_path / "other", settings=SETTINGS, clock=clock)
    other.open()
    strange = Labels({"__name__": "new"})
    other.append(Batch([strange], np.array([clock.now]), np.array([5.0])))
    found = ask(other, 0, FAR_MS, ANY)
    want = ask(store, 0, blocks_end - 1, ANY)
    assert {labels: samples for labels, samples in found.items() if labels != strange} == want
    assert len(found[strange]) == 1
    other.close()
