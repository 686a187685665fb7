"""Loose samples that the log still has: each batch answers for its own, whatever became of the others' chunks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tocsin.model.labels import Labels
from tocsin.model.series import Batch
from tocsin.tsdb.settings import StoreSettings
from tocsin.tsdb.upkeep import drive_here, roll

SETTINGS = replace(StoreSettings(), min_free_bytes=0)
SCRAPED = [Labels({"__name__": "m", "n": str(number)}) for number in range(3)]
PUSHED = [Labels({"__name__": "pushed", "n": str(number)}) for number in range(4)]
FAR_MS = 1 << 50


def _scrape(store, clock):
    clock.now += 60_000
    store.append_refs(store.refs(SCRAPED), clock.now, np.ones(3), grid_ms=60_000)


def _push(store, clock, value):
    store.append(Batch(PUSHED, np.full(4, clock.now + 7), np.full(4, value)))


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_lost_chunk_of_one_batch_costs_nothing_that_the_log_has(make_store, clock, ask, lost):
    store = make_store(SETTINGS)
    for value in range(3):
        _scrape(store, clock)  # its window stays open, so the log keeps every segment
        _push(store, clock, float(value))
        drive_here(roll(store))
    before = ask(store, 0, FAR_MS)
    assert [len(before[labels]) for labels in PUSHED] == [3] * 4
    chunk = store.head.loose_chunks[lost]
    path = dict(store.files.files())[chunk.file]
    store.abandon()
    data = bytearray(path.read_bytes())
    data[chunk.position] ^= 0x55
    path.write_bytes(data)
    again = make_store(SETTINGS)
    assert ask(again, 0, FAR_MS) == before


def test_what_a_block_holds_is_not_taken_from_the_log_again(make_store, clock, ask):
    store = make_store(SETTINGS)
    _scrape(store, clock)
    store.append(Batch(PUSHED, np.full(4, clock.now - 86_400_000), np.ones(4)))  # of yesterday: soon in a block
    drive_here(roll(store))
    store.files.start_file()  # so that the file of the push goes when a block holds it
    _push(store, clock, 2.0)  # the series stay known
    for _ in range(30):
        _scrape(store, clock)
        store.maintain()
    assert not any(chunk.start_ms < clock.now - 80_000_000 for chunk in store.head.loose_chunks), "in a block"
    assert min(int(path.stem) for path in (store.path / "wal").iterdir()) == 1, "the log still has them"
    before = ask(store, 0, FAR_MS)
    assert [len(before[labels]) for labels in PUSHED] == [2] * 4
    store.abandon()
    again = make_store(SETTINGS)
    assert again.head.loose.sample_count == 0, "what a chunk or a block holds is not in memory, too"
    assert ask(again, 0, FAR_MS) == before
