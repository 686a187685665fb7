"""What becomes of samples over months: blocks, merging, rollups, retention; copies of a store and its tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tocsin.errors import StoreError
from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.ports import SelectHints
from tocsin.model.series import ABSENT_BITS, STALE_NAN, Batch, absent
from tocsin.tsdb import tools
from tocsin.tsdb.db import Store
from tocsin.tsdb.follower import Follower
from tocsin.tsdb.rollup import reduce_columns
from tocsin.tsdb.settings import StoreSettings

MakeStore = Callable[..., Store]
Ask = Callable[..., dict[Any, list[tuple[int, int]]]]
DAY_MS, HOUR_MS, STEP_MS = 86_400_000, 3_600_000, 60_000
DAY = 1_699_920_000_000  # a midnight in UTC
FAR_MS = 1 << 50
LABELS = [Labels({"__name__": "m", "n": str(number)}) for number in range(3)]
EVENING = DAY + 18 * HOUR_MS
SHORT = StoreSettings(min_free_bytes=0, merge_delay_ms=0, retention_ms=2 * DAY_MS, retention_rollup_ms=10 * DAY_MS)


def _live(store: Store, clock: Any, hours: int) -> None:
    """Scrapes every minute, housekeeping every half hour."""
    refs = store.refs(LABELS)
    for _ in range(hours * 60):
        clock.now += STEP_MS
        number = (clock.now - DAY) // STEP_MS
        try:
            store.append_refs(refs, clock.now, np.array([number, number % 7, 0.5]), grid_ms=STEP_MS)
        except KeyError:
            refs = store.refs(LABELS)
        if number % 30 == 0:
            store.flush()
            store.maintain()


def _settle(store: Store, clock: Any) -> None:
    """Housekeeping until nothing is left to do."""
    for _ in range(12):
        clock.now += 20_000
        store.maintain()


def test_days_become_one_block_each_and_then_rollups(make_store: MakeStore, tmp_path: Path, clock: Any, ask: Ask) -> None:
    clock.now = EVENING
    store = make_store(SHORT)
    _live(store, clock, 9)
    _settle(store, clock)
    names = [block.name for block in store.blocks.blocks]
    assert (EVENING, DAY + DAY_MS) in [(name.start_ms, name.end_ms) for name in names]
    before = ask(store, 0, FAR_MS)
    assert [len(samples) for samples in before.values()] == [9 * 60] * 3
    store.close()
    again = make_store(SHORT)
    assert ask(again, 0, FAR_MS) == before
    follower = Follower(path=tmp_path / "store", clock=clock)
    follower.open()
    assert ask(follower, 0, FAR_MS) == before
    follower.close()

    clock.now = DAY + 3 * DAY_MS + 5
    _settle(again, clock)
    assert again.blocks.blocks and min(block.name.start_ms for block in again.blocks.blocks) >= DAY + DAY_MS
    selection = again.select([Matcher("n", MatchOp.EQUAL, "0")], EVENING, EVENING + HOUR_MS, SelectHints(func="max_over_time"))
    assert "past their retention" in selection.warnings[0]
    (group,) = selection.groups
    assert group.t_ms.tolist() == [EVENING + minute * STEP_MS - 1 for minute in range(5, 61, 5)]
    assert group.values[0].tolist() == [float(18 * 60 + minute - 1) for minute in range(5, 61, 5)]
    coarse = SelectHints(func="sum_over_time", step_ms=HOUR_MS, range_ms=6 * HOUR_MS)
    (group,) = again.select([Matcher("n", MatchOp.EQUAL, "2")], EVENING, EVENING + 6 * HOUR_MS - 1, coarse).groups
    assert group.t_ms.tolist() == [EVENING + hour * HOUR_MS - 1 for hour in range(1, 7)]
    assert group.values[0].tolist() == [29.5, 30, 30, 30, 30, 30]
    assert again.label_values("n", [], EVENING, EVENING + HOUR_MS) == ["0", "1", "2"]

    clock.now = DAY + 12 * DAY_MS
    _settle(again, clock)
    assert ask(again, 0, FAR_MS) == {}, "after the rollups' retention nothing is left"


def test_rollups_reduce_columns_as_promql_would() -> None:
    nan = float("nan")
    values = np.array([[1, 4, nan, 2], [nan, nan, 5, STALE_NAN], [3, 0, 0, 0]], np.float64)
    values[2, 1:] = absent(3)
    number = np.array([7, 7, 7, 9])
    expected = {
        "min": [[1, None, 2], [5, None, None], [3, None, None]],
        "max": [[4, None, 2], [5, None, None], [3, None, None]],
        "sum": [[nan, None, 2], [nan, None, None], [3, None, None]],
        "count": [[3, None, 1], [3, None, None], [1, None, None]],
        "last": [[nan, None, 2], [5, None, None], [3, None, None]],
    }
    for how, rows in expected.items():
        found = reduce_columns(values, number, how)
        for row, wanted in zip(found, rows, strict=True):
            for cell, want in zip(row, wanted, strict=True):
                is_hole = np.array([cell]).view(np.uint64)[0] == ABSENT_BITS
                assert is_hole == (want is None), how
                if want is not None:
                    np.testing.assert_equal(cell, want)


def test_the_size_limit_drops_the_oldest_blocks_first(make_store: MakeStore, clock: Any) -> None:
    clock.now = DAY
    store = make_store(StoreSettings(min_free_bytes=0))
    _live(store, clock, 12)
    _settle(store, clock)
    assert len(store.blocks.blocks) > 3
    newest = store.blocks.blocks[-1].name
    store.settings = StoreSettings(
        min_free_bytes=0, max_bytes=store.files.total_bytes() + store.wal_bytes() + 3 * store.blocks.blocks[0].size()
    )
    _settle(store, clock)
    names = [block.name for block in store.blocks.blocks]
    assert newest in names and len(names) < 4


def test_old_samples_join_the_day_they_belong_to(make_store: MakeStore, clock: Any, ask: Ask) -> None:
    clock.now = EVENING
    store = make_store(StoreSettings(min_free_bytes=0))
    _live(store, clock, 8)
    _settle(store, clock)
    old = Batch([LABELS[0], LABELS[1]], np.array([EVENING + 90_500, DAY - 5 * DAY_MS]), np.array([0.25, 0.75]))
    assert store.append(old).accepted == 2
    expected = ask(store, -FAR_MS, FAR_MS)
    assert (EVENING + 90_500) in dict(expected[LABELS[0]]) and (DAY - 5 * DAY_MS) in dict(expected[LABELS[1]])
    clock.now += 30 * HOUR_MS
    _settle(store, clock)
    assert ask(store, -FAR_MS, FAR_MS) == expected
    assert store.stats()["loose_samples"] == 0
    days = [block.name.start_ms // DAY_MS for block in store.blocks.blocks]
    assert len(days) == len(set(days)), "one block a day"


async def test_a_snapshot_is_a_store_of_its_own(make_store: MakeStore, tmp_path: Path, clock: Any, ask: Ask) -> None:
    clock.now = DAY
    store = make_store(StoreSettings(min_free_bytes=0))
    _live(store, clock, 5)
    before = ask(store, 0, FAR_MS)
    await store.snapshot(tmp_path / "snapshot")
    _live(store, clock, 1)
    tools.restore(tmp_path / "snapshot", tmp_path / "restored")
    restored = Store(path=tmp_path / "restored", settings=StoreSettings(), clock=clock)
    restored.open()
    assert ask(restored, 0, FAR_MS) == before
    restored.close()
    with pytest.raises(StoreError, match="not empty"):
        tools.restore(tmp_path / "snapshot", tmp_path / "restored")
    with pytest.raises(StoreError, match="not a snapshot"):
        tools.restore(tmp_path, tmp_path / "elsewhere")


def test_verify_names_what_is_damaged(make_store: MakeStore, tmp_path: Path, clock: Any) -> None:
    clock.now = DAY
    store = make_store(StoreSettings(min_free_bytes=0))
    _live(store, clock, 6)
    store.append(Batch(LABELS, np.full(3, DAY + 7), np.ones(3)))
    store.close()
    folder = tmp_path / "store"
    assert tools.verify(folder) == []
    facts = tools.stats(folder)
    assert facts["bytes"]["wal"] > 0 and sum(block["samples"] for block in facts["blocks"]) > 0
    damaged = [
        next((folder / "blocks").glob("*/chunks")),
        next((folder / "blocks").glob("*/index")),
        max((folder / "head").iterdir(), key=lambda path: path.stat().st_size),
        max((folder / "wal").iterdir(), key=lambda path: path.stat().st_size),
    ]
    for path in damaged:
        good = path.read_bytes()
        at = len(good) // 2
        # More than the header of a frame, which stands twice: a flipped byte in one of the two costs nothing.
        path.write_bytes(good[:at] + bytes([byte ^ 0xFF for byte in good[at : at + 24]]) + good[at + 24 :])
        found = tools.verify(folder)
        assert [problem.part for problem in found], path
        path.write_bytes(good)


def test_what_is_exported_can_be_backfilled(make_store: MakeStore, tmp_path: Path, clock: Any, ask: Ask) -> None:
    clock.now = DAY
    store = make_store(StoreSettings(min_free_bytes=0))
    _live(store, clock, 2)
    odd = Labels({"__name__": "odd", "text": 'a "b"\\\n'})
    store.append(Batch([odd] * 3, np.array([1, 1500, -2500]), np.array([float("inf"), 1e-7, -0.5])))
    lines = list(tools.export_lines(store, [], -FAR_MS, FAR_MS))
    assert lines[-1] == "# EOF\n"
    other = Store(path=tmp_path / "other", settings=StoreSettings(), clock=clock)
    other.open()
    done = tools.backfill(other, [*(line.encode() for line in lines), b"bad line{", b"no_timestamp 1"])
    assert done.samples == 2 * 60 * 3 + 3
    assert [error.partition(":")[0] for error in done.errors] == [f"line {len(lines) + 1}", f"line {len(lines) + 2}"]
    assert ask(other, -FAR_MS, FAR_MS) == ask(store, -FAR_MS, FAR_MS)
    other.close()
