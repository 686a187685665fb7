"""Bytes that are wrong on disk cost what they hit and nothing more; the start always goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tocsin.model.labels import Labels
from tocsin.model.series import Batch
from tocsin.tsdb.damage import DAMAGED_RECORDS
from tocsin.tsdb.db import Store
from tocsin.tsdb.settings import StoreSettings

STEP_MS = 15_000
BASE_MS = 1_699_900_200_000
FAR_MS = 1 << 50
MakeStore = Callable[..., Store]
Ask = Callable[..., dict[Any, list[tuple[int, int]]]]
Answer = dict[Any, list[tuple[int, int]]]


def _damaged() -> float:
    return sum(sample.value for sample in DAMAGED_RECORDS.samples())


def _missing(before: Answer, after: Answer) -> set[tuple[Any, int]]:
    """(labels, t) that were there and are not; what is there must be unchanged."""
    lost = set()
    for labels, samples in before.items():
        known = dict(after.get(labels, []))
        for t_ms, bits in samples:
            if t_ms in known:
                assert known[t_ms] == bits, "a value changed"
            else:
                lost.add((labels, t_ms))
    for labels, samples in after.items():
        assert {t for t, _ in samples} <= {t for t, _ in before.get(labels, [])}, "a sample came from nowhere"
    return lost


def _fill(store: Store, scrapes: int, targets: int = 2) -> None:
    for number in range(scrapes):
        for target in range(targets):
            labels = [Labels({"__name__": "m", "n": str(one), "host": str(target)}) for one in range(3)]
            t_ms = BASE_MS + number * STEP_MS
            store.append_refs(store.refs(labels), t_ms, np.arange(3.0) + number, grid_ms=STEP_MS)
    store.append(Batch([Labels({"__name__": "pushed"})] * 2, np.array([5, 9]) + BASE_MS, np.array([0.5, 1.5])))


def _reopened(folder: Path, copy: Path, clock: Any, ask: Ask, change: Callable[[Path], None]) -> Answer:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    change(copy)
    store = Store(path=copy, settings=StoreSettings(), clock=clock)
    store.open()
    answer = ask(store, 0, FAR_MS)
    store.close()
    return answer


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x55
    path.write_bytes(data)


def test_a_flipped_byte_in_the_log_costs_one_scrape(make_store: MakeStore, tmp_path: Path, clock: Any, ask: Ask) -> None:
    store = make_store()
    _fill(store, 8)
    before = ask(store, 0, FAR_MS)
    store.close()
    log = next((tmp_path / "store" / "wal").iterdir()).relative_to(tmp_path / "store")
    size = (tmp_path / "store" / log).stat().st_size
    for place in range(0, size, 263):
        after = _reopened(tmp_path / "store", tmp_path / "copy", clock, ask, lambda copy, at=place: _flip(copy / log, at))
        lost = _missing(before, after)
        assert len({t_ms for _, t_ms in lost}) <= 2, f"byte {place} cost {lost}"
        assert len(lost) <= 3, f"byte {place} cost {lost}"


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_torn_log_keeps_its_beginning(make_store: MakeStore, tmp_path: Path, clock: Any, ask: Ask, keep: float) -> None:
    store = make_store()
    _fill(store, 10)
    before = ask(store, 0, FAR_MS)
    store.close()
    log = next((tmp_path / "store" / "wal").iterdir()).relative_to(tmp_path / "store")

    def tear(copy: Path) -> None:
        data = (copy / log).read_bytes()
        (copy / log).write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])

    lost = _missing(before, _reopened(tmp_path / "store", tmp_path / "copy", clock, ask, tear))
    assert len(lost) < 10 or keep != 0.99


def test_a_flipped_byte_in_a_head_chunk_costs_that_window(make_store: MakeStore, tmp_path: Path, clock: Any, ask: Ask) -> None:
    store = make_store()
    _fill(store, 140)
    clock.now += 16 * 60_000
    store.maintain()  # a new segment; the loose samples go to a chunk file
    before = ask(store, 0, FAR_MS)
    store.close()
    (path,) = [one for one in (tmp_path / "store" / "head").iterdir() if one.stat().st_size]
    chunks = path.relative_to(tmp_path / "store")
    for place in range(0, path.stat().st_size, 397):
        noted = _damaged()
        after = _reopened(tmp_path / "store", tmp_path / "copy", clock, ask, lambda copy, at=place: _flip(copy / chunks, at))
        lost = _missing(before, after)
        assert len({t_ms for _, t_ms in lost}) <= 64, f"byte {place} cost {len(lost)} samples"
        assert not lost or _damaged() > noted


def test_a_flipped_byte_in_the_tables_loses_no_sample(make_store: MakeStore, tmp_path: Path, clock: Any, ask: Ask) -> None:
    store = make_store()
    _fill(store, 5)
    clock.now += 16 * 60_000
    store.maintain()
    clock.now += 16 * 60_000
    store.maintain()
    before = ask(store, 0, FAR_MS)
    store.close()
    tables = sorted((tmp_path / "store" / "tables").iterdir())
    assert len(tables) == 2
    newest = tables[-1].relative_to(tmp_path / "store")
    for place in range(0, tables[-1].stat().st_size, 37):
        after = _reopened(tmp_path / "store", tmp_path / "copy", clock, ask, lambda copy, at=place: _flip(copy / newest, at))
        assert not _missing(before, after), f"byte {place}"


def test_a_flipped_byte_in_a_block_costs_a_chunk_or_a_table(make_store: MakeStore, tmp_path: Path, clock: Any, ask: Ask) -> None:
    store = make_store(StoreSettings(min_free_bytes=0))
    _fill(store, 30)
    clock.now = BASE_MS + 24 * 3_600_000
    store.maintain()
    before = ask(store, 0, FAR_MS)
    assert store.stats()["series"] == 0, "everything is in blocks"
    store.close()
    blocks = sorted((tmp_path / "store" / "blocks").iterdir())
    for path in (blocks[0] / "chunks", blocks[0] / "index"):
        file = path.relative_to(tmp_path / "store")
        for place in range(0, path.stat().st_size, 131):
            after = _reopened(
                tmp_path / "store", tmp_path / "copy", clock, ask, lambda copy, f=file, at=place: _flip(copy / f, at)
            )
            _missing(before, after)  # nothing changed, nothing invented
            assert "pushed" in {labels["__name__"] for labels in after} or "m" in {labels["__name__"] for labels in after}


def test_missing_files_do_not_stop_the_start(make_store: MakeStore, tmp_path: Path, clock: Any, ask: Ask) -> None:
    store = make_store()
    _fill(store, 100)
    clock.now += 16 * 60_000
    store.maintain()
    before = ask(store, 0, FAR_MS)
    store.close()
    for folder in ("wal", "head", "tables"):
        after = _reopened(tmp_path / "store", tmp_path / "copy", clock, ask, lambda copy, name=folder: shutil.rmtree(copy / name))
        _missing(before, after)
