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
from tocsin.tsdb.follower import Follower
from tocsin.tsdb.settings import StoreSettings

FAR_MS = 1 << 50
STEP_MS = 15_000
MakeStore = Callable[..., Store]
Ask = Callable[..., dict[Any, list[tuple[int, int]]]]
ONE, TWO = Labels({"__name__": "m"}), Labels({"__name__": "m", "n": "2"})


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


def _scrape(store: Store, clock: Any, count: int, *labels: Labels) -> list[int]:
    """So many scrapes, one a step; answers their times."""
    refs, times = store.refs(labels), []
    for number in range(count):
        clock.now = (clock.now // STEP_MS + 1) * STEP_MS
        store.append_refs(refs, clock.now, np.full(len(labels), float(number)), grid_ms=STEP_MS)
        times.append(clock.now)
        if number % 10 == 0:
            store.maintain()
    return times


def _times(found: dict[Any, list[tuple[int, int]]]) -> list[int]:
    return [t_ms for t_ms, _ in found.get(ONE, [])]


def test_a_full_disk_leaves_samples_in_memory_and_recovers_without_restart(
    make_store: MakeStore, clock: Any, ask: Ask, tmp_path: Path
) -> None:
    disk = Trouble()
    store = make_store(disk=disk)
    follower = Follower(path=tmp_path / "store", clock=clock)
    follower.open()
    _push(store, clock.now, 1.0)
    disk.full = True
    with pytest.raises(DiskFull, match="No space left"):
        _push(store, clock.now + 1, 2.0)
    with pytest.raises(DiskFull):
        store.must_write()
    _push(store, clock.now + 2, 3.0)
    pushed = [clock.now, clock.now + 1, clock.now + 2]
    scraped = _scrape(store, clock, 200, ONE, TWO)
    expected = pushed + scraped
    assert _times(ask(store, 0, FAR_MS)) == expected, "the head takes samples and answers"
    store.maintain()
    follower.step()
    assert _times(ask(follower, 0, FAR_MS)) == pushed[:1]
    disk.full = False
    clock.now += 3000
    store.maintain()
    store.must_write()
    _push(store, clock.now + 3, 4.0)
    follower.step()
    follower.step()
    everything = sorted([*expected, clock.now + 3])
    assert _times(ask(follower, 0, FAR_MS)) == everything
    store.abandon()
    again = make_store()
    assert _times(ask(again, 0, FAR_MS)) == everything
    assert [t_ms for t_ms, _ in ask(again, 0, FAR_MS)[TWO]] == scraped
    follower.close()


def test_a_full_disk_and_full_memory_keep_the_newest_samples(make_store: MakeStore, clock: Any, ask: Ask) -> None:
    disk = Trouble()
    store = make_store(StoreSettings(min_free_bytes=0, unwritten_bytes=700_000), disk=disk)
    store.refs([ONE])
    disk.full = True
    with pytest.raises(DiskFull):
        store.flush()
    scraped = _scrape(store, clock, 2000, ONE)
    found = _times(ask(store, 0, FAR_MS))
    assert found[-1] == scraped[-1]
    assert found == list(range(found[0], found[-1] + 1, STEP_MS)), "no hole in what is kept"
    assert sum(window.values.nbytes for window in store.head.kept) <= 700_000


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


def test_low_room_keeps_samples_in_memory_before_the_disk_is_full(make_store: MakeStore, clock: Any, ask: Ask) -> None:
    disk = Trouble()
    store = make_store(StoreSettings(min_free_bytes=1000), disk=disk)
    disk.free = 999
    store.maintain()
    with pytest.raises(DiskFull, match="free"):
        store.must_write()
    _push(store, clock.now, 1.0)
    assert store.wal_bytes() == 0 or not _times(ask(make_reader(store, clock), 0, FAR_MS))
    disk.free = 1100
    clock.now += 3000
    store.maintain()
    assert store.stats()["unwritten"]
    disk.free = 1300
    clock.now += 3000
    store.maintain()
    assert not store.stats()["unwritten"]
    assert _times(ask(make_reader(store, clock), 0, FAR_MS)) == [clock.now - 6000]


def make_reader(store: Store, clock: Any) -> Follower:
    """What another process sees of a store."""
    follower = Follower(path=store.path, clock=clock)
    follower.open()
    return follower


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
