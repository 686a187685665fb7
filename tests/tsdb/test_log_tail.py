"""Reading the log for somebody else: everything once, in order, across segments, restarts and a slow reader."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.tsdb.conftest import START_MS

from tocsin.model.labels import Labels
from tocsin.model.series import Batch
from tocsin.tsdb.outgoing import Outgoing
from tocsin.tsdb.settings import StoreSettings

LABELS = [Labels({"__name__": "m", "n": str(number)}) for number in range(3)]
SETTINGS = replace(StoreSettings(), min_free_bytes=0)


def append(store, clock, rounds):
    """Scrapes of three series and a push, 15 s apart; what was appended as (text, t, value)."""
    out = []
    for _ in range(rounds):
        clock.now += 15_000
        number = float((clock.now - START_MS) // 15_000)
        store.append_refs(store.refs(LABELS), clock.now, np.arange(3.0) + number, grid_ms=15_000)
        store.append(Batch([LABELS[0]], np.array([clock.now - 7]), np.array([-number])))
        out += [(str(labels), clock.now, place + number) for place, labels in enumerate(LABELS)]
        out.append((str(LABELS[0]), clock.now - 7, -number))
        store.flush()
    return out


def read(store, tail, at_least=10**9):
    found = tail.read(at_least)
    names = Outgoing(store).labels_of(found.refs)
    return [
        (str(names[r]), t, v) for r, t, v in zip(found.refs.tolist(), found.t_ms.tolist(), found.values.tolist(), strict=True)
    ]


def roll(store, clock):
    clock.now += 15 * 60_000
    store.maintain()


@pytest.mark.parametrize("at_least", [1, 5, 10**9])
def test_everything_comes_once_and_in_order(make_store, clock, at_least):
    store = make_store(SETTINGS)
    append(store, clock, 2)
    tail = Outgoing(store).tail(None)
    want = []
    for _ in range(3):
        want += append(store, clock, 3)
        roll(store, clock)
    want += append(store, clock, 2)
    got = []
    while some := read(store, tail, at_least):
        assert len(some) < at_least + 4 or at_least > 100
        got += some
    assert got == want
    got = read(store, tail)
    assert got == []
    want = append(store, clock, 1)
    assert read(store, tail) == want


def test_a_slow_reader_goes_on_after_a_kill_where_it_was(make_store, clock, tmp_path):
    store = make_store(SETTINGS)
    tail = Outgoing(store).tail(None)
    append(store, clock, 2)
    first = read(store, tail, 5)
    place = tail.place
    want = append(store, clock, 0)
    for _ in range(4):
        want += append(store, clock, 70)
        roll(store, clock)
    store.abandon()
    store = make_store(SETTINGS)
    tail = Outgoing(store).tail(place)
    rest = []
    while some := read(store, tail, 100):
        rest += some
    assert len(first) + len(rest) == 8 + len(want)
    assert rest[-len(want) :] == want
    assert tail.lost_segments == 0
    assert sorted((tmp_path / "store" / "held").glob("*.wal"))


def test_the_backlog_is_bounded_and_said_to_be_lost(make_store, clock, tmp_path):
    store = make_store(replace(SETTINGS, backlog_bytes=1))
    tail = Outgoing(store).tail(None)
    for _ in range(6):
        want = append(store, clock, 70)
        roll(store, clock)
    assert not list((tmp_path / "store" / "held").glob("*.wal"))
    want += append(store, clock, 1)
    got = read(store, tail)
    assert tail.lost_segments > 0
    assert got[-4:] == want[-4:]
    tail.close()
    assert store.tails == []


def test_a_place_of_another_log_means_from_now_on(make_store, clock):
    store = make_store(SETTINGS)
    tail = Outgoing(store).tail((999, 5))
    want = append(store, clock, 1)
    assert read(store, tail) == want
