"""A full disk, a disk that cannot sync: samples stop or are written anew, answers go on, nothing needs a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tocsin.errors import DiskFull
from tocsin.model.labels import Labels
from tocsin.model.series import Batch
from tocsin.tsdb import upkeep
from tocsin.tsdb.db import Store
from tocsin.tsdb.disk import Disk
from tocsin.tsdb.settings import StoreSettings

FAR_MS = 1 << 50
STEP_MS = 15_000
MakeStore = Callable[..., Store]
Ask = Callable[..., dict[Any, list[tuple[int, int]]]]
ONE = Labels({"__name__": "m"})


class Trouble(Disk):
    """Full, or unable to sync, when told."""

    full = False
    syncs = True
    free = 1 << 40

    def write(self, fd: int, data: bytes) -> None:
        if self.full:
            super().write(fd, data[:5])
            raise OSError(28, "No space left on device")
        super().write(fd, data)

    def create(self, path: Path) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().create(path)

    def sync(self, fd: int) -> None:
        if not self.syncs:
            raise OSError(5, "Input/output error")
        super().sync(fd)

    def free_bytes(self, path: Path) -> int:
        return self.free


def _push(store: Store, t_ms: int, value: float) -> None:
    store.append(Batch([ONE], np.array([t_ms]), np.array([value])))


def _times(found: dict[Any, list[tuple[int, int]]]) -> list[int]:
    return [t_ms for t_ms, _ in found.get(ONE, [])]


def test_a_full_disk_stops_samples_and_recovers_without_restart(make_store: MakeStore, clock: Any, ask: Ask) -> None:
    disk = Trouble()
    store = make_store(disk=disk)
    _push(store, clock.now, 1.0)
    disk.full = True
    with pytest.raises(DiskFull, match="No space left"):
        _push(store, clock.now + 1, 2.0)
    with pytest.raises(DiskFull):
        store.append_refs(store.refs([ONE]), clock.now + 2, np.array([3.0]))
    assert _times(ask(store, 0, FAR_MS)) == [clock.now, clock.now + 1], "the head keeps answering"
    store.maintain()
    disk.full = False
    store.flush()  # what `run` tries four times a second
    _push(store, clock.now + 3, 4.0)
    store.close()
    assert _times(ask(make_store(), 0, FAR_MS)) == [clock.now, clock.now + 1, clock.now + 3]


def test_windows_that_cannot_be_sealed_stay_in_memory_until_they_can(make_store: MakeStore, clock: Any, ask: Ask) -> None:
    disk = Trouble()
    store = make_store(disk=disk)
    refs = store.refs([ONE])
    base = clock.now // STEP_MS * STEP_MS
    for number in range(200):
        clock.now = base + number * STEP_MS
        disk.full = 60 < number < 190
        store.append_refs(refs, clock.now, np.array([float(number)]), grid_ms=STEP_MS)
    expected = [base + number * STEP_MS for number in range(200)]
    assert store.head.kept
    assert _times(ask(store, 0, FAR_MS)) == expected
    store.maintain()
    assert not store.head.kept
    assert _times(ask(store, 0, FAR_MS)) == expected
    store.close()
    assert _times(ask(make_store(), 0, FAR_MS)) == expected


def test_low_room_refuses_samples_before_the_disk_is_full(make_store: MakeStore, clock: Any) -> None:
    disk = Trouble()
    store = make_store(StoreSettings(min_free_bytes=1000), disk=disk)
    disk.free = 999
    store.maintain()
    with pytest.raises(DiskFull, match="free"):
        _push(store, clock.now, 1.0)
    disk.free = 1100
    store.maintain()
    with pytest.raises(DiskFull):
        _push(store, clock.now, 1.0)
    disk.free = 1300
    store.maintain()
    _push(store, clock.now, 1.0)


def test_a_failed_cut_is_tried_again_and_leaves_nothing_behind(
    make_store: MakeStore, tmp_path: Path, clock: Any, ask: Ask
) -> None:
    disk = Trouble()
    store = make_store(StoreSettings(min_free_bytes=0), disk=disk)
    base = clock.now // STEP_MS * STEP_MS
    for number in range(10):
        store.append_refs(store.refs([ONE]), base + number * STEP_MS, np.array([1.0]), grid_ms=STEP_MS)
    store.flush()
    before = ask(store, 0, FAR_MS)
    clock.now += 6 * 3_600_000
    disk.full = True
    store.maintain()
    assert not list((tmp_path / "store" / "blocks").iterdir())
    assert ask(store, 0, FAR_MS) == before
    disk.full = False
    store.flush()
    clock.now += 61_000
    store.maintain()
    assert len(list((tmp_path / "store" / "blocks").iterdir())) == 1
    assert ask(store, 0, FAR_MS) == before


def test_a_log_that_cannot_be_synced_is_left_and_everything_open_written_anew(
    make_store: MakeStore, tmp_path: Path, clock: Any, ask: Ask
) -> None:
    disk = Trouble()
    store = make_store(disk=disk)
    base = clock.now // STEP_MS * STEP_MS
    store.append_refs(store.refs([ONE]), base, np.array([1.0]), grid_ms=STEP_MS)
    store.flush()
    before = ask(store, 0, FAR_MS)
    upkeep.drive_here(upkeep.rescue(store))
    assert store.head.segment == 2
    (tmp_path / "store" / "wal" / "00000001.wal").write_bytes(b"")  # what a power failure may leave of it
    store.close()
    assert ask(make_store(), 0, FAR_MS) == before


async def test_run_flushes_syncs_and_ends_when_cancelled(tmp_path: Path, ask: Ask) -> None:
    from tocsin.clock import SystemClock

    clock = SystemClock()
    store = Store(path=tmp_path / "store", settings=StoreSettings(flush_ms=5, fsync_ms=5), clock=clock)
    store.open()
    task = asyncio.create_task(store.run())
    store.append_refs(store.refs([ONE]), clock.now_ms() // STEP_MS * STEP_MS, np.array([1.0]), grid_ms=STEP_MS)
    while store.wal_bytes() == 0:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    store.close()
