"""What the log tells of new series: read without label sets, entered by table, the same as if they had been."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.model.labels import Labels
from tocsin.tsdb.db import Store
from tocsin.tsdb.index import Index
from tocsin.tsdb.newseries import unpack_series
from tocsin.tsdb.records import pack_series

MakeStore = Callable[..., Store]
_NAMES = st.sampled_from(["__name__", "a", "b", "job", "A", "zone"])
_TEXTS = st.sampled_from(["x", "y", "a", "__name__", "up", "é"])
_LABELS = st.lists(st.dictionaries(_NAMES, _TEXTS, max_size=5).map(Labels), max_size=20, unique=True)


@settings(deadline=None)
@given(_LABELS, st.data())
def test_they_are_found_by_their_labels_as_if_entered_one_by_one(labels: list[Labels], data: st.DataObject) -> None:
    slots = data.draw(st.permutations(range(len(labels))))
    refs = [(slot + 7) << 32 | slot for slot in slots]
    series = unpack_series(pack_series(refs, labels))
    index, other = Index(), Index()
    index.define_anew(series)
    index.settle()
    other.define(labels, ids=[slot + 7 for slot in slots], slots=slots)
    assert index.refs(index.find(labels)).tolist() == refs
    assert index.labels(np.array(slots, np.int64)) == tuple(labels)
    assert {(one.metric, one.names, one.count) for one in index.tables} == {
        (one.metric, one.names, one.count) for one in other.tables
    }
    assert index.next_id == other.next_id


def test_some_of_them() -> None:
    labels = [Labels({"__name__": f"m{i % 2}", **{f"l{j}": str(j) for j in range(i)}}) for i in range(5)]
    series = unpack_series(pack_series([i << 32 | i for i in range(1, 6)], labels)).only(
        np.array([True, False, True, False, True])
    )
    index = Index()
    index.define_anew(series)
    assert index.labels(np.array([1, 3, 5])) == tuple(labels[::2])


@pytest.mark.parametrize("byte", [8, 12 + 8 + 2], ids=["fewer numbers than pairs", "a text that is not there"])
def test_numbers_that_do_not_fit_are_refused(byte: int) -> None:
    data = bytearray(pack_series([1 << 32], [Labels({"__name__": "m", "a": "b"})]))
    data[byte] = 2 if byte == 8 else 200
    with pytest.raises(ValueError):
        unpack_series(bytes(data))


def test_tables_are_written_when_many_series_have_come_and_no_more_do(make_store: MakeStore, clock: Any, tmp_path: Path) -> None:
    store = make_store()
    labels = [Labels({"__name__": "m", "i": str(i)}) for i in range(6_000)]
    store.append_refs(store.refs(labels), clock.now, np.ones(6_000), grid_ms=15_000)
    for _ in range(3):
        store.maintain()
        assert not (tmp_path / "store" / "tables").exists()
        clock.now += 4_000
    store.maintain()
    (tables,) = (tmp_path / "store" / "tables").iterdir()
    for _ in range(3):
        clock.now += 20_000
        store.maintain()
    store.abandon()
    store = make_store()
    assert [tables] == list((tmp_path / "store" / "tables").iterdir())
    refs = store.refs(labels)
    assert len(np.unique(refs)) == store.head.index.series_count == 6_000
    clock.now += 60_000
    store.maintain()
    assert [tables] == list((tmp_path / "store" / "tables").iterdir()), "a start that knows all does not write them again"
