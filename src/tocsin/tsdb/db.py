"""The store: the core's side of the metric database. It writes; `follower.Follower` reads the same files elsewhere."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tocsin.clock import Clock, until_woken
from tocsin.errors import DiskFull, StoreError
from tocsin.log import get_log
from tocsin.metrics import Counter, Gauge, Histogram
from tocsin.model.labels import Labels, Matcher
from tocsin.model.ports import AppendResult
from tocsin.model.series import Batch, Float64, Int64
from tocsin.tsdb import checkpoint, compact, deletion, exemplars, limits, records, rollup, upkeep
from tocsin.tsdb.block import BlockName
from tocsin.tsdb.chunkfile import ChunkFiles
from tocsin.tsdb.disk import SYSTEM_DISK, Disk, file_name, numbered
from tocsin.tsdb.exemplars import Named
from tocsin.tsdb.grid import Window
from tocsin.tsdb.head import Head
from tocsin.tsdb.index import SLOT_MASK
from tocsin.tsdb.layout import Layouts
from tocsin.tsdb.load import WAL_SUFFIX, recover
from tocsin.tsdb.loose import RUNS_SAMPLES
from tocsin.tsdb.query import Reading
from tocsin.tsdb.records import Kind
from tocsin.tsdb.replay import settle_and_place
from tocsin.tsdb.room import Room
from tocsin.tsdb.settings import StoreSettings
from tocsin.tsdb.tail import Place, Tail
from tocsin.tsdb.wal import Writer
from tocsin.tsdb.workshop import Shelf

_log = get_log("tsdb")
HEAD_SERIES = Gauge("tocsin_head_series", "Series in the head.")
FSYNC_SECONDS = Histogram("tocsin_wal_fsync_duration_seconds", "Duration of fsyncs of the write-ahead log.")
STORE_BYTES = Gauge("tocsin_store_bytes", "Bytes of the store on disk.", ("part",))
APPENDED = Counter("tocsin_samples_appended_total", "Samples that were taken into the store.")
EXEMPLARS_TOTAL = Counter("tocsin_exemplars_total", "Exemplars that were kept.")

_KNOWN_REFS = 200_000
_UNKNOWN = -2
_LOOK_MS = 1000
_NOTHING_LOGGED_MS = 5000
_GRACE_MS = 15_000
_REST_MS = 60_000
_MEASURE_MS = 30_000
DUPLICATE = "duplicate sample for timestamp"
FUTURE = "out of bounds: too far in the future"
REFUSED_SERIES = "series refused by a limit"


class Store(Reading):
    """SampleReader and SampleWriter over one folder. Writes come from one thread, selects from any.

    A pushed batch (`append` without a grid) is in the operating system's hands when the call returns; scrapes are after
    `flush`, at most `flush_ms` later.
    """

    def __init__(self, *, path: Path, settings: StoreSettings, clock: Clock, disk: Disk = SYSTEM_DISK) -> None:
        super().__init__(Head(self._seal), ChunkFiles(path / "head", disk), path)
        self.path = path
        self.settings = settings
        self._clock = clock
        self.disk = disk
        self._wal: Writer | None = None
        self._logged = asyncio.Event()
        self._layouts = Layouts()
        self._known_refs: dict[Labels, int] = {}
        self._lock_fd = -1
        self._one_job = asyncio.Lock()
        """Housekeeping and snapshots take turns."""
        self._segment_began_ms = 0
        self._tabled = checkpoint.Tabled()
        self._measured_ms = 0
        self.merged: set[BlockName] = set()
        """Blocks whose content is in a larger one already; they are about to be deleted."""
        self.tails: list[Tail] = []
        """Who reads the log; it is kept for them."""
        self.tombstones_due = True
        """Whether some of them may have nothing left to hide."""
        self._later: list[tuple[int, Callable[[], None]]] = []
        self.loose_batch = 0
        self.room = Room(path, settings, disk)
        self.cut_looked_ms = -1
        """The end of the last span for which it was decided whether the head is cut."""
        self._quiet_until_ms = 0
        """After housekeeping failed, it rests until then."""

    # -- life --------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Load what is there and get ready to write. Raises StoreError when another process has the store."""
        for folder in (self.path, self.path / "wal"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock_fd)
            raise StoreError(f"the store {self.path} is in use by another Tocsin") from error
        began = self._clock.monotonic_s()
        self.files.start_file()
        self.blocks.folder.mkdir(exist_ok=True, mode=0o700)
        for blocks in (self.blocks, self.rollups):
            blocks.sweep()
            blocks.refresh()
        self.tombstones.refresh()
        replayed, self._tabled.next_id = recover(self.head, self.files, self.path)
        if not numbered(self.path / "tables", checkpoint.SUFFIX):
            # Blocks without a head (a snapshot of blocks alone): their ids must not be given again.
            self.head.index.next_id = max(self.head.index.next_id, *(block.last_id() + 1 for block in self.blocks.blocks), 1)
        self.head.exemplars.resize(self.settings.max_exemplars)
        self.start_segment()
        HEAD_SERIES.set(self.head.index.series_count)
        took = round(self._clock.monotonic_s() - began, 3)
        _log.info("store opened", series=self.head.index.series_count, replayed_samples=replayed, seconds=took)

    def apply(self, settings: StoreSettings) -> None:
        """These settings count from now on."""
        if settings.max_exemplars != self.settings.max_exemplars:
            self.head.exemplars.resize(settings.max_exemplars)
            self.log(Kind.EXEMPLARS, exemplars.pack(settings.max_exemplars, []))
        self.settings = self.room.settings = settings

    def close(self) -> None:
        """Write everything out. A store that is not closed recovers on the next open."""
        if self._wal is not None:
            try:
                self.flush()
                self._wal.sync()
                self.must_write()
            except (OSError, DiskFull) as error:
                _log.error("the last samples could not be written", error=str(error))
            self._wal.close()
            self._wal = None
        self.files.close()
        self.blocks.close()
        self.rollups.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def abandon(self) -> None:
        """Let go of every file without writing anything more, as the end of the process does."""
        if self._wal is not None:
            self._wal.drop_waiting()
        self.close()

    def start_segment(self) -> Writer | None:
        """Go on in a new WAL segment; answers the writer of the old one, still open. Raises OSError."""
        number = 1 + max((number for number, _ in numbered(self.path / "wal", WAL_SUFFIX)), default=0)
        path = self.path / "wal" / file_name(number, WAL_SUFFIX)
        old, self._wal = self._wal, Writer(path, self.disk, began=self._logged.set)
        self.head.segment = number
        self._segment_began_ms = self._clock.now_ms()
        return old

    def log(self, kind: Kind, payload: bytes) -> None:
        """Put a record into the WAL."""
        if self._wal is not None:
            self._wal.add(kind, payload)

    # -- SampleWriter ------------------------------------------------------------------------------------------------

    def refs(self, labels: Sequence[Labels]) -> Int64:
        """References of series, created where new; -1 where a limit refuses the series. int64 [n]."""
        index = self.head.index
        with self.head.lock:
            slots = index.find(labels)
            missing = np.flatnonzero(slots < 0)
            if len(missing):
                self._create([labels[place] for place in missing.tolist()])
                slots[missing] = index.find([labels[place] for place in missing.tolist()])
            return index.refs(slots)

    def _create(self, labels: Sequence[Labels]) -> None:
        index = self.head.index
        room = self.settings.max_series - index.series_count
        wanted = [one for one in dict.fromkeys(labels) if limits.refusal(one, self.settings) is None]
        if len(wanted) > room:
            limits.say_full(self.settings.max_series)
            wanted = wanted[: max(room, 0)]
        if not wanted:
            return
        wal = self._writable()
        refs = []
        free = index.free_slots
        for number in range(len(wanted)):
            slot = free[-1 - number] if number < len(free) else index.slot_count + number - len(free)
            refs.append((index.next_id + number) << 32 | slot)
        self.head.define(refs, wanted)
        _twice(wal, Kind.SERIES, records.pack_series(refs, wanted))
        HEAD_SERIES.set(index.series_count)

    def append_refs(self, refs: Int64, t_ms: int, values: Float64, *, grid_ms: int = 0) -> AppendResult:
        """One scrape: n values at one instant. Raises KeyError for a reference that is no longer known."""
        wal = self._writable()
        if t_ms > self._clock.now_ms() + self.settings.future_ms:
            return AppendResult(0, {FUTURE: len(refs)})
        with self.head.lock:
            layout = self._layouts.find(refs, self.head.index, self.head.epoch)
            if grid_ms > 0:
                placed = settle_and_place(self.head, layout, grid_ms, t_ms % grid_ms)
                if placed is not None:
                    _twice(wal, Kind.PLACED, records.pack_placed(placed))
            if layout.segment != self.head.segment and not self.room.trouble:
                layout.segment = self.head.segment
                _twice(wal, Kind.LAYOUT, records.pack_layout(layout.number, layout.refs))
            refused = self.head.write_scrape(layout, t_ms, grid_ms, values)
            # After the write, because a window that the scrape closed is logged before it.
            if not self.room.trouble:
                wal.add(Kind.SCRAPE, records.pack_scrape(layout.number, t_ms, grid_ms, values))
        APPENDED.inc(by=len(refs) - refused)
        return AppendResult(len(refs) - refused, {DUPLICATE: refused} if refused else {})

    def append(self, batch: Batch) -> AppendResult:
        """Samples with their labels. Raises DiskFull when the disk is found to be full; later ones stay in memory."""
        self._writable()
        if not len(batch.t_ms):
            return AppendResult(0, {})
        refs = self._refs_of(batch.labels)
        t_ms, values, refused = batch.t_ms, batch.value, {}
        keep = (refs >= 0) & (t_ms <= self._clock.now_ms() + self.settings.future_ms)
        if not keep.all():
            if (refs < 0).any():
                refused[REFUSED_SERIES] = int((refs < 0).sum())
            if len(refs) - int(keep.sum()) > refused.get(REFUSED_SERIES, 0):
                refused[FUTURE] = len(refs) - int(keep.sum()) - refused.get(REFUSED_SERIES, 0)
            refs, t_ms, values = refs[keep], t_ms[keep], values[keep]
        if not len(refs):
            return AppendResult(0, refused)
        if batch.grid_ms > 0 and (t_ms == t_ms[0]).all():
            result = self.append_refs(refs, int(t_ms[0]), values, grid_ms=batch.grid_ms)
            return AppendResult(result.accepted, {**refused, **result.refused})
        duplicates = self._append_loose(refs, t_ms.astype(np.int64), np.ascontiguousarray(values, np.float64))
        if duplicates:
            refused[DUPLICATE] = duplicates
        APPENDED.inc(by=len(refs) - duplicates)
        return AppendResult(len(refs) - duplicates, refused)

    def _refs_of(self, labels: Sequence[Labels]) -> Int64:
        """References of labels that come again and again: one dictionary look-up each."""
        known = self._known_refs
        refs = np.array([known.get(one, _UNKNOWN) for one in labels], np.int64)
        missing = np.flatnonzero(refs == _UNKNOWN)
        if len(missing):
            fresh = list(dict.fromkeys([labels[place] for place in missing.tolist()]))
            if len(known) + len(fresh) > _KNOWN_REFS:
                known.clear()
            found = dict(zip(fresh, self.refs(fresh).tolist(), strict=True))
            # A refusal is not remembered: there may be room the next time.
            known.update((one, ref) for one, ref in found.items() if ref >= 0)
            refs[missing] = [found[labels[place]] for place in missing.tolist()]
        return refs

    def _append_loose(self, refs: Int64, t_ms: Int64, values: Float64) -> int:
        wal = self._writable()
        with self.head.lock:
            duplicates = self.head.write_loose(refs & SLOT_MASK, refs >> 32, t_ms, values)
            if not self.room.trouble:
                wal.add(Kind.SAMPLES, records.pack_samples(refs, t_ms, values))
        self.flush()
        return duplicates

    def set_metadata(self, metric: str, kind: str, help_text: str, unit: str = "") -> None:
        """Remember TYPE, HELP and UNIT of a metric; cheap when unchanged."""
        entry = (kind, help_text, unit)
        if self.head.metadata.get(metric) != entry:
            self.head.metadata[metric] = entry
            if self._wal is not None:
                self._wal.add(Kind.METADATA, records.pack_metadata(metric, *entry))

    def append_exemplars(self, listed: Sequence[Named]) -> dict[str, int]:
        """Keep exemplars of series; those that are there already are passed over. Answers the refused ones by reason."""
        own = self.head.exemplars
        kept, refused = own.add_all(listed) if own.capacity else ([], {})
        if kept and self._wal is not None and not self.room.trouble:
            EXEMPLARS_TOTAL.inc(by=len(kept))
            for record in exemplars.records(own.capacity, kept):
                self._wal.add(Kind.EXEMPLARS, record)
        return refused

    # -- durability --------------------------------------------------------------------------------------------------

    def _writable(self) -> Writer:
        if self._wal is None:
            raise StoreError("the store is not open")
        return self._wal

    def flush(self) -> None:
        """Hand all that is logged so far to the operating system. Raises DiskFull when that fails the first time."""
        assert self._wal is not None
        if self.room.full:
            return
        try:
            self._wal.flush()
        except OSError as error:
            self.room.failed(error)
            raise DiskFull(self.room.trouble) from error

    def must_write(self) -> None:
        """For a sender that keeps its samples until they are safe here. Raises DiskFull."""
        if self.room.trouble:
            raise DiskFull(self.room.trouble)

    async def run(self) -> None:
        """Flush, sync, close windows, compact, drop old blocks; until cancelled."""
        synced_ms = 0
        async with asyncio.TaskGroup() as group:
            group.create_task(self._maintain())
            while True:
                if (wal := self._wal) and not wal.waiting_bytes and not wal.unsynced:
                    await until_woken(self._clock, self._logged, self._clock.now_ms() + _NOTHING_LOGGED_MS)
                self._logged.clear()
                now_ms = self._clock.now_ms()
                await self._clock.sleep_until_ms(now_ms + self.settings.flush_ms)
                try:
                    self.flush()
                except DiskFull:
                    continue
                if now_ms - synced_ms >= self.settings.fsync_ms:
                    synced_ms = now_ms
                    await self._sync()

    async def _maintain(self) -> None:
        while True:
            await self._clock.sleep_until_ms(self._clock.now_ms() + _LOOK_MS)
            try:
                async with self._one_job:
                    for job in self.due_jobs():
                        await upkeep.drive(job)
            except (OSError, StoreError) as error:
                self._rest(error)

    def maintain(self) -> None:
        """Do now, in this thread, what `run` would do in the background."""
        try:
            for job in self.due_jobs():
                upkeep.drive_here(job)
        except (OSError, StoreError) as error:
            self._rest(error)

    async def snapshot(self, target: Path, *, with_head: bool = True) -> None:
        """A consistent copy of everything, or of the blocks alone, for `tools.restore`. Raises StoreError, OSError."""
        async with self._one_job:
            await upkeep.drive(upkeep.snapshot(self, target, with_head=with_head))

    async def delete_series(self, sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> None:
        """Delete samples within [start, end] of series that pass one of the matcher lists; readers know when this returns
        (followers a moment later). Raises StoreError, OSError."""
        async with self._one_job:
            await upkeep.drive(deletion.delete(self, sets, start_ms, end_ms))

    async def clean_tombstones(self) -> None:
        """Free the room of deleted samples that are in blocks. Raises OSError."""
        async with self._one_job:
            await upkeep.drive(deletion.clean(self))

    def shelf(self) -> Shelf:
        """For work that makes blocks."""
        return Shelf(self.path, self.disk, self.files, self.blocks, self.rollups, self.tombstones)

    def next_sequence(self) -> int:
        """For the next block; no rollup of another block has it."""
        return max(self.blocks.next_sequence(), self.rollups.last_sequence() + 1)

    def sync_log(self) -> None:
        """Make everything flushed so far durable. Raises OSError."""
        self.files.sync()
        if self._wal is not None:
            self._wal.sync()

    def _rest(self, error: Exception) -> None:
        self._quiet_until_ms = self._clock.now_ms() + _REST_MS
        _log.error("housekeeping of the store failed; it is tried again in a minute", error=str(error))

    def due_jobs(self) -> Iterator[upkeep.Job]:
        """What has to be done about now."""
        now_ms = self._clock.now_ms()
        upkeep.close_idle(self, now_ms)
        due = [what for when, what in self._later if when <= now_ms]
        self._later = [entry for entry in self._later if entry[0] > now_ms]
        for what in due:
            what()
        self.room.look()
        if now_ms >= self._measured_ms + _MEASURE_MS:
            self._measured_ms = now_ms
            yield upkeep.measure(self, STORE_BYTES)
        gone = compact.expired(self, now_ms)
        if gone:
            compact.drop(self, gone)
        if self.room.trouble:
            self.room.bound(self.head)
            if self.room.returns(now_ms):
                yield upkeep.rescue(self)
            elif self.room.full:
                return
        if now_ms < self._quiet_until_ms:
            return
        assert self._wal is not None
        if self.head.kept:
            upkeep.write_kept(self)
        aged, next_id = now_ms - self._segment_began_ms >= self.settings.segment_ms, self.head.index.next_id
        if aged or self._wal.size >= self.settings.segment_bytes or self._tabled.outdated(next_id, now_ms):
            yield upkeep.roll(self)
            self._tabled.next_id = next_id
        elif self.head.loose.sample_count >= RUNS_SAMPLES:
            yield upkeep.seal_loose(self)
        end_ms = compact.cut_end_ms(self, now_ms)
        if end_ms is not None:
            yield compact.cut(self, end_ms)
            self.tombstones_due = True
        if self.tombstones_due and self.tombstones.listed:
            self.tombstones_due = False
            yield deletion.forget_obsolete(self)
        blocks = compact.due_merge(self, now_ms)
        if blocks:
            yield compact.merge(self, blocks)
        else:
            yield from rollup.jobs(self, now_ms)

    def later(self, what: Callable[[], None]) -> None:
        """Do this when followers have had time to hear of it: files they may still read are deleted so."""
        self._later.append((self._clock.now_ms() + _GRACE_MS, what))

    def leave(self, refs: Int64) -> None:
        """Series without a sample in the head leave it; blocks still know them."""
        with self.head.lock:
            refs = self.head.still_idle(refs)
            if not len(refs):
                return
            self.head.forget(refs)
            self._known_refs.clear()
            self.log(Kind.GONE, records.pack_refs(refs))
        HEAD_SERIES.set(self.head.index.series_count)

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def wal_bytes(self) -> int:
        return sum(path.stat().st_size for _, path in numbered(self.path / "wal", WAL_SUFFIX))

    async def _sync(self) -> None:
        if (wal := self._wal) is None or not wal.unsynced:
            return
        began = self._clock.monotonic_s()
        try:
            await asyncio.to_thread(wal.sync)
        except OSError as error:
            # What a failed fsync left in the page cache may be gone: never trust this file again.
            _log.error("the log could not be synced; everything open is written anew", error=str(error))
            await upkeep.drive(upkeep.rescue(self))
        FSYNC_SECONDS.observe(self._clock.monotonic_s() - began)

    def end_of_log(self) -> Place:
        return self.head.segment, self._wal.size if self._wal is not None else 0

    def _seal(self, window: Window) -> None:
        """A window is full: to the chunk file, and a note in the log."""
        if self.room.full:
            self.head.kept.append(window)
            return
        try:
            self.write_window(window)
        except OSError as error:
            _log.error("a closed window stays in memory", error=str(error))
            self.head.kept.append(window)

    def write_window(self, window: Window) -> None:
        """Raises OSError."""
        chunk = self.files.add_window(window)
        self.head.add_chunk(chunk)
        if self._wal is not None:
            sealed = records.Sealed(chunk.file, chunk.entry, chunk.interval_ms, chunk.block, chunk.first, chunk.columns)
            self._wal.add(Kind.SEALED, records.pack_sealed(sealed))

    def stats(self) -> Mapping[str, object]:
        """Facts for status pages."""
        return {
            "series": self.head.index.series_count,
            "symbols": len(self.head.index.symbols),
            "tables": len(self.head.index.tables),
            "loose_samples": self.head.loose.sample_count,
            "head_chunk_bytes": self.files.total_bytes(),
            "wal_segment": self.head.segment,
            "unwritten": self.room.trouble,
        }


def _twice(wal: Writer, kind: Kind, payload: bytes) -> None:
    """Definitions stand twice: other records hang on them, and one damaged byte must not cost those."""
    wal.add(kind, payload)
    wal.add(kind, payload)
