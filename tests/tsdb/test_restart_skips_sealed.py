"""A restart does not write again what is in intact chunks, and finds the same samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.tsdb.grid import Grid
from tocsin.tsdb.settings import StoreSettings

LABELS = [Labels({"__name__": "m", "n": str(number)}) for number in range(300)]
ANY = Matcher("__name__", MatchOp.NOT_EQUAL, "")
SETTINGS = replace(StoreSettings(), min_free_bytes=0)


@pytest.mark.parametrize("joined", [False, True], ids=["steady", "a series joins"])
def test_sealed_scrapes_are_passed_by(make_store, clock, ask, monkeypatch, joined):
    store = make_store(SETTINGS)
    for step in range(150):
        clock.now += 15_000
        count = 300 if joined and step > 90 else 299
        store.append_refs(store.refs(LABELS[:count]), clock.now, np.arange(float(count)) + step, grid_ms=15_000)
    store.flush()
    before, size = ask(store, 0, 1 << 50, ANY), store.files.total_bytes()
    assert size > 0
    store.abandon()
    written = []
    write = Grid.write

    def counted(self, rows, number, *rest):
        written.append(number)
        return write(self, rows, number, *rest)

    monkeypatch.setattr(Grid, "write", counted)
    store = make_store(SETTINGS)
    assert ask(store, 0, 1 << 50, ANY) == before
    assert store.files.total_bytes() == size
    if not joined:
        assert len(written) < 100
    for _ in range(80):
        clock.now += 15_000
        store.append_refs(store.refs(LABELS[:299]), clock.now, np.ones(299), grid_ms=15_000)
    after = ask(store, 0, 1 << 50, ANY)
    assert all(len(after[labels]) == len(before[labels]) + 80 for labels in LABELS[:299])
