"""Housekeeping of the store: new log segments with their tables, loose samples to chunk files, old segments away.

A job is a generator: what it does between two `yield`s runs on the loop's thread and is short; what it yields is work for
another thread, and what that returns comes back from the `yield`. Tests drive the same jobs without threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tocsin.errors import DiskFull, StoreError
from tocsin.log import get_log
from tocsin.metrics import Gauge
from tocsin.tsdb import checkpoint, exemplars, records, tail, tombstones
from tocsin.tsdb.chunkfile import LooseChunk
from tocsin.tsdb.disk import numbered
from tocsin.tsdb.load import WAL_SUFFIX
from tocsin.tsdb.loose import Run
from tocsin.tsdb.memory import SLOTS
from tocsin.tsdb.records import Kind
from tocsin.tsdb.workshop import Work

if TYPE_CHECKING:
    from tocsin.tsdb.db import Store

_log = get_log("tsdb")
Job = Generator[Callable[[], Any], Any, None]


async def drive(job: Job) -> None:
    """Run a job: `Work` in a child, its other heavy parts in a thread."""
    try:
        work = next(job)
        while True:
            try:
                result = await (work.elsewhere() if isinstance(work, Work) else asyncio.to_thread(work))
            except OSError as error:
                work = job.throw(error)
            else:
                work = job.send(result)
    except StopIteration:
        return


def drive_here(job: Job) -> None:
    """Run a job in this thread."""
    try:
        work = next(job)
        while True:
            try:
                result = work()
            except OSError as error:
                work = job.throw(error)
            else:
                work = job.send(result)
    except StopIteration:
        return


def roll(store: Store) -> Job:
    """Start a new segment with its tables; drop segments whose samples are all in chunk files."""
    with store.head.lock:
        store.flush()
        previous = store.start_segment()
        snapshot = checkpoint.take(store.head)
    number = store.head.segment

    def write() -> None:
        if previous is not None:
            previous.sync()
            previous.close()
        checkpoint.write(store.path / "tables", number, snapshot, store.disk)
        if store.head.exemplars.capacity:
            exemplars.write_file(store.path, store.head.exemplars, store.disk)

    yield write
    yield from seal_loose(store)
    yield store.files.sync
    remove_segments(store)


def seal_loose(store: Store) -> Job:
    """Write the loose samples so far to a chunk file."""
    head = store.head
    with head.lock:
        head.loose.settle()
        runs = list(head.loose.runs)
        if not runs:
            return
        store.loose_batch += 1
        batch = store.loose_batch
        store.log(Kind.LOOSE_FROZEN, records.pack_number(batch))

    def write() -> list[LooseChunk]:
        # Runs in order of writing: of equal (id, t) the last one stays.
        joined = Run.of(*(np.concatenate([getattr(run, name) for run in runs]) for name in ("ids", "t_ms", "values")))
        chunks = store.files.add_run(joined)
        store.files.sync()
        return chunks

    chunks = yield write
    with head.lock:
        head.loose_chunks.extend(chunks)
        del head.loose.runs[: len(runs)]
        store.log(Kind.LOOSE_SEALED, records.pack_loose_sealed(batch, [(one.file, one.entry) for one in chunks]))


def measure(store: Store, gauge: Gauge) -> Job:
    """Bytes on disk by part."""

    def look() -> dict[str, int]:
        return {
            "wal": store.wal_bytes(),
            "head": store.files.total_bytes(),
            "blocks": store.blocks.total_bytes(),
            "rollups": store.rollups.total_bytes(),
        }

    for part, size in (yield look).items():
        gauge.set(size, part)


def write_kept(store: Store) -> None:
    """Windows that could not be written when they were closed. Raises OSError."""
    head = store.head
    with head.lock:
        while head.kept:
            store.write_window(head.kept[0])
            del head.kept[0]


def rescue(store: Store) -> Job:
    """The log could not be synced, or lacks samples that found no room: bring everything open to new files."""
    head = store.head
    with head.lock:
        with contextlib.suppress(DiskFull):
            store.flush()
        previous = store.start_segment()
        store.files.start_file()
        snapshot = checkpoint.take(head)
    if previous is not None:
        previous.close()
    yield lambda: checkpoint.write(store.path / "tables", head.segment, snapshot, store.disk)
    write_kept(store)
    for grid in list(head.grids.values()):
        for block in range(grid.block_count):
            with head.lock:
                head.close_window(grid, block)
            yield breathe
    yield from seal_loose(store)
    yield store.files.sync


def breathe() -> None:
    """Work for a thread that only lets the loop breathe."""


_HEAD_PARTS = ("head", "tables", "wal")


def snapshot(store: Store, target: Path, *, with_head: bool = True) -> Job:
    """A consistent copy of the store beside it: immutable files are linked, growing ones copied. Raises StoreError, OSError."""
    if target.exists() and any(target.iterdir()):
        raise StoreError(f"{target} is not empty")
    if with_head:
        yield from roll(store)
        store.flush()

    def write() -> None:
        target.mkdir(parents=True, exist_ok=True)
        for name in (tombstones.FILE, exemplars.FILE):
            if (store.path / name).is_file():
                shutil.copyfile(store.path / name, target / name)
        for part in ("blocks", "rollups", *(_HEAD_PARTS if with_head else ())):
            for source in sorted((store.path / part).rglob("*")):
                if not source.is_file() or source.suffix == ".tmp" or source.parent.suffix in (".tmp", ".gone"):
                    continue
                copy = target / source.relative_to(store.path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                _link(source, copy, copying=part in ("head", "wal"))

    yield write


def _link(source: Path, copy: Path, *, copying: bool) -> None:
    if not copying:
        try:
            copy.hardlink_to(source)
        except OSError:
            pass  # another file system
        else:
            return
    shutil.copyfile(source, copy)


def remove_segments(store: Store) -> None:
    """Delete segments that neither an open window nor one of the two newest tables needs."""
    head = store.head
    with head.lock:
        needed = [head.segment]
        for grid in head.grids.values():
            open_blocks = grid.last >= grid.low
            if open_blocks.any():
                needed.append(int(grid.segment[open_blocks].min()))
        if head.kept or store.files.distrusted & head.chunk_files():
            return  # windows in memory or in files that could not be synced: the log still answers for them
    tables = [number for number, _ in numbered(store.path / "tables", checkpoint.SUFFIX)]
    keep = min(*needed, tables[0] if tables else 0)
    wanted = min((reader.place[0] for reader in store.tails), default=keep)
    for number, path in numbered(store.path / "wal", WAL_SUFFIX):
        if number < keep and number >= wanted:
            tail.hold(store.path, number, path)
        elif number < keep:
            path.unlink(missing_ok=True)
    dropped = tail.release(store.path, wanted, store.settings.backlog_bytes)
    if dropped:
        _log.error("samples that were to be sent on are given up: the backlog is full", segments=dropped)


def close_idle(store: Store, now_ms: int) -> None:
    """Seal windows that nobody writes any more, a few at a time."""
    head = store.head
    for grid in head.grids.values():
        with head.lock:
            newest = grid.last * grid.interval_ms + grid.offset
            idle = (grid.last >= grid.low) & (newest + 2 * SLOTS * grid.interval_ms < now_ms)
            for block in np.flatnonzero(idle)[:2].tolist():
                head.close_window(grid, block)
