"""Bad input of the engine's ingest: refused or stored by rule, with Prometheus's status codes; what was accepted stays."""

from __future__ import annotations

import time
from types import SimpleNamespace

import cramjam
import numpy as np
import pytest
from tests.tsdb.conftest import START_MS, HandClock, plain

from tocsin.app.ingest import RemoteWrite
from tocsin.bus.wire import IngestRequest
from tocsin.formats.protobuf_write import delimited, labels_fields, sample_fields
from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.series import Batch
from tocsin.tsdb.db import Store
from tocsin.tsdb.settings import StoreSettings

ANY = Matcher("__name__", MatchOp.NOT_EQUAL, "")
YEAR_MS = 365 * 86_400_000
GOOD = Labels({"__name__": "good"})


@pytest.fixture
def house(tmp_path):
    clock = HandClock(START_MS)
    store = Store(path=tmp_path / "store", settings=StoreSettings(min_free_bytes=0), clock=clock)
    store.open()
    yield SimpleNamespace(store=store, clock=clock, ingest=RemoteWrite(SimpleNamespace(store=store)))
    store.close()


def series(labels, *samples):
    t_ms, values = np.array([t for t, _ in samples], np.int64), np.array([float(v) for _, v in samples])
    return delimited(1, labels_fields(labels) + sample_fields(t_ms, values))


async def push(house, body, *, encoding="snappy"):
    data = bytes(cramjam.snappy.compress_raw(body)) if encoding == "snappy" else bytes(cramjam.zstd.compress(body))
    headers = {"content-type": "application/x-protobuf", "content-encoding": encoding}
    return await house.ingest.take(IngestRequest(data, headers, {}))


def kept(house):
    return {str(labels): [t for t, _ in samples] for labels, samples in plain(house.store, -YEAR_MS, START_MS * 2, ANY).items()}


@pytest.mark.parametrize("encoding", ["snappy", "zstd"])
async def test_a_decompression_bomb_is_a_413(house, encoding):
    answer = await push(house, bytes(40 << 20), encoding=encoding)
    assert answer.status == 413
    assert kept(house) == {}


async def test_a_series_of_thirty_thousand_labels_is_refused_and_the_others_stay(house):
    many = Labels({"__name__": "many", **{f"l{number}": "x" for number in range(30_000)}})
    answer = await push(house, series(GOOD, (START_MS, 1)) + series(many, (START_MS, 1)))
    assert answer.status == 400
    assert kept(house) == {"good": [START_MS]}


async def test_a_label_of_a_megabyte_is_refused_and_the_others_stay(house):
    long = Labels({"__name__": "long", "l": "x" * (1 << 20)})
    answer = await push(house, series(long, (START_MS, 1)) + series(GOOD, (START_MS, 1)))
    assert answer.status == 400
    assert kept(house) == {"good": [START_MS]}


async def test_a_series_that_stands_twice_in_a_request_is_one_series(house):
    body = series(GOOD, (START_MS, 1)) + series(GOOD, (START_MS + 1, 2)) + series(GOOD, (START_MS, 1))
    assert (await push(house, body)).status == 204
    assert kept(house) == {"good": [START_MS, START_MS + 1]}


async def test_another_value_for_the_same_moment_is_a_400_and_the_first_stays(house):
    assert (await push(house, series(GOOD, (START_MS, 1)))).status == 204
    answer = await push(house, series(GOOD, (START_MS, 2), (START_MS + 1, 3)))
    assert (answer.status, b"duplicate sample for timestamp" in answer.body) == (400, True)
    assert kept(house) == {"good": [START_MS, START_MS + 1]}


async def test_samples_of_1970_are_stored_and_those_of_next_year_refused(house):
    answer = await push(house, series(GOOD, (-5, 1), (0, 1), (START_MS, 1), (START_MS + YEAR_MS, 1)))
    assert (answer.status, b"too far in the future" in answer.body) == (400, True)
    assert kept(house) == {"good": [-5, 0, START_MS]}


async def test_a_clock_that_steps_back_and_forth_loses_nothing(house):
    refs = house.store.refs([GOOD])
    moments = []
    for step in (0, 15_000, 30_000, -3_600_000, 45_000, 60_000, 86_400_000, 75_000):
        house.clock.now = START_MS + step
        house.store.append_refs(refs, START_MS + step, np.array([float(step)]), grid_ms=15_000)
        moments.append(START_MS + step)
    assert kept(house) == {"good": sorted(moments)}


async def test_labels_that_are_no_utf8_are_refused(house):
    bad = delimited(
        1, delimited(1, delimited(1, b"__name__") + delimited(2, b"\xff\xfe")) + sample_fields(np.array([START_MS]), np.ones(1))
    )
    assert (await push(house, bad)).status == 400


def test_a_catastrophic_regular_expression_takes_no_time(house):
    labels = [Labels({"__name__": "x", "a": "a" * 3000 + str(number)}) for number in range(50)]
    house.store.append(Batch(labels, np.full(50, START_MS), np.ones(50)))
    began = time.thread_time()
    assert house.store.select([Matcher("a", MatchOp.REGEX, "(a+)+(a|aa)*$")], 0, START_MS).groups == ()
    assert time.thread_time() - began < 20  # backtracking would not end before the sun does
