"""Exemplars: the newest of all series in a ring, by Prometheus's rules; they survive the end of the process."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tsdb.conftest import START_MS

from tocsin.model.exemplar import Exemplar
from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.tsdb.exemplars import OUT_OF_ORDER, TOO_LONG, ExemplarStore, pack, unpack
from tocsin.tsdb.follower import Follower
from tocsin.tsdb.settings import StoreSettings

A, B = Labels({"__name__": "m", "a": "1"}), Labels({"__name__": "m", "a": "2"})
ALL = [[Matcher("__name__", MatchOp.EQUAL, "m")]]
SETTINGS = replace(StoreSettings(), max_exemplars=4)


def one(number, t_ms=None, **kwargs):
    return Exemplar(Labels({"trace_id": f"t{number}"}), float(number), START_MS + number if t_ms is None else t_ms, **kwargs)


def found(reader, start_ms=0, end_ms=START_MS * 2):
    return {str(series): [e.labels["trace_id"] for e in own] for series, own in reader.exemplars(ALL, start_ms, end_ms)}


@pytest.mark.parametrize(
    ("second", "answer"),
    [
        (one(1), ""),
        (one(1, START_MS + 2), None),
        (one(0), OUT_OF_ORDER),
        (one(1, START_MS), OUT_OF_ORDER),
        (replace(one(1), value=0.5), OUT_OF_ORDER),
        (replace(one(1), value=1.5), None),
        (replace(one(2), labels=Labels({"trace_id": "x" * 130})), TOO_LONG),
    ],
    ids=["same", "same later", "older", "same earlier", "smaller at once", "larger at once", "long"],
)
def test_what_is_kept(second, answer):
    store = ExemplarStore(4)
    assert store.add(A, one(1)) is None
    assert store.add(A, second) == answer


def test_without_a_time_of_its_own_an_exemplar_is_seen_again_not_kept_again():
    store = ExemplarStore(4)
    store.add(A, one(1, timed=False))
    assert store.add(A, one(1, START_MS + 9, timed=False)) == ""


def test_the_oldest_of_all_series_goes_first(make_store):
    store = make_store(SETTINGS)
    store.append_exemplars([(A, one(1)), (B, one(2)), (A, one(3)), (B, one(4)), (B, one(5))])
    assert found(store) == {'m{a="1"}': ["t3"], 'm{a="2"}': ["t2", "t4", "t5"]}
    assert found(store, START_MS + 3, START_MS + 4) == {'m{a="1"}': ["t3"], 'm{a="2"}': ["t4"]}


def test_they_survive_a_kill_and_a_new_segment(make_store, tmp_path, clock):
    store = make_store(SETTINGS)
    store.append_exemplars([(A, one(1)), (B, one(2))])
    clock.now += 16 * 60_000
    store.maintain()  # a new segment, and the file
    store.append_exemplars([(A, one(3))])
    store.flush()
    follower = Follower(path=tmp_path / "store", clock=clock)
    follower.open()
    store.append_exemplars([(B, one(4))])
    store.flush()
    follower.step()
    expected = {'m{a="1"}': ["t1", "t3"], 'm{a="2"}': ["t2", "t4"]}
    assert found(follower) == expected
    follower.close()
    store.abandon()
    for segment in sorted((tmp_path / "store" / "wal").iterdir())[:-1]:
        segment.unlink()
    assert found(make_store(SETTINGS)) == expected


def test_without_the_feature_nothing_is_kept(make_store):
    store = make_store()
    assert store.append_exemplars([(A, one(1))]) == {}
    assert found(store) == {}


@given(st.floats(), st.dictionaries(st.text(min_size=1), st.text(min_size=1), max_size=3), st.booleans())
def test_a_record_reads_back(value, labels, timed):
    capacity, ((series, back),) = unpack(pack(7, [(A, Exemplar(Labels(labels), value, -5, timed))]))
    assert (capacity, series, back.labels, back.t_ms, back.timed) == (7, A, Labels(labels), -5, timed)
    assert repr(back.value) == repr(value)


def test_a_reload_changes_how_many_are_kept_here_and_in_followers(make_store, tmp_path, clock):
    store = make_store(SETTINGS)
    store.append_exemplars([(A, one(number)) for number in range(4)])
    store.flush()
    follower = Follower(path=tmp_path / "store", clock=clock)
    follower.open()
    store.apply(replace(SETTINGS, max_exemplars=2, backlog_bytes=5))
    store.flush()
    follower.step()
    assert found(store) == found(follower) == {'m{a="1"}': ["t2", "t3"]}
    assert (store.settings.backlog_bytes, store.room.settings.backlog_bytes) == (5, 5)
    follower.close()
