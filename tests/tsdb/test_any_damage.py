"""Any byte of any file of a store may be wrong: it opens, answers, and what it answers was written."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tsdb.conftest import START_MS, HandClock, plain

from tocsin.model.exemplar import Exemplar
from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.series import Batch
from tocsin.tsdb.db import Store
from tocsin.tsdb.follower import Follower
from tocsin.tsdb.settings import StoreSettings

pytestmark = pytest.mark.slow
ANY = Matcher("__name__", MatchOp.NOT_EQUAL, "")
LABELS = [Labels({"__name__": "m", "n": str(number), "text": "ü" * number}) for number in range(6)]
SETTINGS = replace(StoreSettings(), min_free_bytes=0, merge_delay_ms=0, max_exemplars=10)
FAR_MS = 1 << 50


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A store with every kind of file, and what is in it."""
    clock = HandClock(START_MS)
    store = Store(path=tmp_path_factory.mktemp("kept") / "store", settings=SETTINGS, clock=clock)
    store.open()
    for step in range(5 * 60):
        clock.now += 60_000
        store.append_refs(store.refs(LABELS), clock.now, np.arange(6.0) * step, grid_ms=60_000)
        if step % 20 == 0:
            store.append(Batch([LABELS[0]], np.array([clock.now - 77]), np.array([-1.0])))
            store.append_exemplars([(LABELS[0], Exemplar(Labels({"trace_id": "t"}), float(step), clock.now))])
            store.maintain()
    asyncio.run(store.delete_series([[Matcher("n", MatchOp.EQUAL, "5")]], START_MS, START_MS + 3_600_000))
    store.flush()
    everything = plain(store, 0, FAR_MS, ANY)
    store.abandon()
    files = sorted(path.relative_to(store.path) for path in store.path.rglob("*") if path.is_file() and path.stat().st_size)
    assert {"wal", "head", "tables", "blocks", "tombstones", "exemplars"} <= {path.parts[0] for path in files}
    return store.path, files, everything, clock.now


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_store_with_any_damage_opens_and_invents_nothing(kept, tmp_path_factory, data):
    path, files, everything, now_ms = kept
    copy = tmp_path_factory.mktemp("damaged") / "store"
    shutil.copytree(path, copy)
    file = copy / data.draw(st.sampled_from(files))
    content = bytearray(file.read_bytes())
    kind = data.draw(st.sampled_from(["flip", "cut", "zero", "noise", "gone"]))
    at = data.draw(st.integers(0, max(len(content) - 1, 0)))
    if kind == "gone":
        file.unlink()
    else:
        noise = {"flip": bytes([content[at] ^ 1 << data.draw(st.integers(0, 7))]), "cut": b"", "zero": bytes(64)}
        piece = noise.get(kind) if kind in noise else data.draw(st.binary(min_size=1, max_size=64))
        content[at : len(content) if kind == "cut" else at + len(piece)] = piece
        file.write_bytes(content)
    clock = HandClock(now_ms)
    store = Store(path=copy, settings=SETTINGS, clock=clock)
    store.open()
    try:
        follower = Follower(path=copy, clock=clock)
        follower.open()
        for reader in (store, follower):
            for labels, samples in plain(reader, 0, FAR_MS, ANY).items():
                if file.name != "tombstones":  # without its tombstone a deleted sample is there again
                    known = set(everything.get(labels, ()))
                    assert labels in LABELS
                    assert set(samples) <= known or labels == LABELS[5]
            reader.series([[ANY]], 0, FAR_MS)
            reader.exemplars([[ANY]], 0, FAR_MS)
        follower.close()
        store.append_refs(store.refs(LABELS), now_ms + 60_000, np.ones(6), grid_ms=60_000)
    finally:
        store.abandon()
        shutil.rmtree(copy.parent)
