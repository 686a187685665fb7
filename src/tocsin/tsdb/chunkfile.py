"""Head chunk files: sealed windows and runs of loose samples, until they are in a block.

Drawn in docs/formats/head-chunks.md. Entries are only appended; each has a checksum for its header and one for its payload,
which is looked at when the entry is first read. Read with pread, never mapped: a file that shrinks or a bad sector is an
error of one read instead of the end of the process, and the page cache is shared all the same.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cramjam
import numpy as np
from pcodec import ChunkConfig, standalone

from tocsin.model.series import Bool, Float64, Int64
from tocsin.tsdb import damage, narrow
from tocsin.tsdb.cache import Cache
from tocsin.tsdb.disk import Disk, file_name, numbered
from tocsin.tsdb.grid import Window
from tocsin.tsdb.piece import GridPiece, Loose, Part
from tocsin.tsdb.run import Run, Split
from tocsin.tsdb.table import UInt32

SUFFIX = ".chunks"
_MAGIC = 0x4B48_4354  # "TCHK"
_HEADER = struct.Struct("<IIBBHIIIqqqqqi4x")
# magic, crc of what follows up to the payload, kind, version, -, rows, payload length, payload crc,
# interval, offset, first, columns, sequence, block
_GRID, _LOOSE = 1, 2
_LOOSE_PART = 32_768
"""Samples per loose entry: reading one series decodes one entry."""


@dataclass(slots=True, eq=False)
class GridChunk:
    """A sealed window. ids uint32 [rows], 0 = free row."""

    file: int
    position: int
    length: int
    interval_ms: int
    offset_ms: int
    block: int
    first: int
    columns: int
    ids: UInt32
    checked: bool = False

    @property
    def entry(self) -> int:
        """Where its entry begins."""
        return self.position - _HEADER.size - 4 * len(self.ids)

    @property
    def start_ms(self) -> int:
        return self.first * self.interval_ms + self.offset_ms

    @property
    def end_ms(self) -> int:
        return (self.first + self.columns - 1) * self.interval_ms + self.offset_ms


@dataclass(slots=True, eq=False)
class LooseChunk:
    """Sorted loose samples. ids uint32 [rows] ascending, ends uint32 [rows] = end of each series' samples."""

    file: int
    position: int
    length: int
    start_ms: int
    end_ms: int
    ids: UInt32
    ends: UInt32
    checked: bool = False
    lowest: int = field(init=False)
    highest: int = field(init=False)
    """Of the ids."""

    def __post_init__(self) -> None:
        self.lowest, self.highest = (int(self.ids[0]), int(self.ids[-1])) if len(self.ids) else (1, 0)

    @property
    def entry(self) -> int:
        """Where its entry begins."""
        return self.position - _HEADER.size - 8 * len(self.ids)


Chunk = GridChunk | LooseChunk


class ChunkFiles:
    """The folder `head/`. Reading is thread-safe; writing belongs to the one writer."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk
        self._readers: dict[int, int] = {}
        self._decoded = Cache()
        self._retired: list[int] = []
        self._number = 0
        self._fd = -1
        self._size = 0
        self._write_lock = threading.Lock()
        self.unsynced = False
        self.distrusted: set[int] = set()
        """Files that could not be synced: the log must outlive them."""

    # -- writing -----------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        return self._size

    @property
    def number(self) -> int:
        return self._number

    def start_file(self) -> None:
        """Close the current file and begin the next."""
        self._folder.mkdir(parents=True, exist_ok=True)
        existing = numbered(self._folder, SUFFIX)
        number = existing[-1][0] + 1 if existing else 1
        fd = self._disk.create(self._folder / file_name(number, SUFFIX))
        self._disk.sync_folder(self._folder)
        with self._write_lock:
            self.close_writer()
            self._number, self._fd, self._size = number, fd, 0

    def add_window(self, window: Window) -> GridChunk:
        """Append a sealed window. Raises OSError."""
        payload = narrow.encode(window.values)
        columns = window.values.shape[1]
        file, position = self._append(
            _GRID, window.ids.tobytes(), len(window.ids), payload,
            window.interval_ms, window.offset_ms, window.first, columns, window.block,
        )  # fmt: skip
        return GridChunk(
            file, position, len(payload), window.interval_ms, window.offset_ms, window.block, window.first,
            columns, window.ids, checked=True,
        )  # fmt: skip

    def add_run(self, run: Run) -> list[LooseChunk]:
        """Append sorted loose samples, cut between series into entries of readable size. Raises OSError."""
        starts = np.flatnonzero(np.concatenate([[True], run.ids[1:] != run.ids[:-1]]))
        ends = np.append(starts[1:], len(run.ids))
        chunks, row = [], 0
        while row < len(starts):
            stop = max(row + 1, int(np.searchsorted(ends, starts[row] + _LOOSE_PART, side="right")))
            chunks.append(self._add_loose(run, starts[row:stop], ends[row:stop]))
            row = stop
        return chunks

    def _add_loose(self, run: Run, starts: Int64, ends: Int64) -> LooseChunk:
        part = slice(int(starts[0]), int(ends[-1]))
        times = bytes(standalone.simple_compress(run.t_ms[part], ChunkConfig(compression_level=4)))
        payload = struct.pack("<I", len(times)) + times + bytes(cramjam.zstd.compress(run.values[part].tobytes(), level=1))
        ids, local = run.ids[starts].astype(np.uint32), (ends - starts[0]).astype(np.uint32)
        low, high = int(run.t_ms[part].min()), int(run.t_ms[part].max())
        file, position = self._append(_LOOSE, ids.tobytes() + local.tobytes(), len(ids), payload, 0, 0, low, high, 0)
        return LooseChunk(file, position, len(payload), low, high, ids, local, checked=True)

    def _append(
        self, kind: int, rows_bytes: bytes, rows: int, payload: bytes,
        interval: int, offset: int, first: int, second: int, block: int,
    ) -> tuple[int, int]:  # fmt: skip
        """Write one entry; answers its file and the position of its payload."""
        check = zlib.crc32(payload)
        head = _HEADER.pack(_MAGIC, 0, kind, 1, 0, rows, len(payload), check, interval, offset, first, second, 0, block)
        head_check = zlib.crc32(rows_bytes, zlib.crc32(head[8:]))
        entry = b"".join((head[:4], struct.pack("<I", head_check), head[8:], rows_bytes, payload))
        with self._write_lock:
            try:
                self._disk.write(self._fd, entry)
            except OSError:
                # A torn entry that cannot be cut off stays behind: readers search past it.
                with contextlib.suppress(OSError):
                    self._disk.truncate(self._fd, self._size)
                self._size = os.fstat(self._fd).st_size
                raise
            position = self._size + len(entry) - len(payload)
            self._size += len(entry)
            self.unsynced = True
        return self._number, position

    def sync(self) -> None:
        if self.unsynced:
            self.unsynced = False
            try:
                self._disk.sync(self._fd)
            except OSError:
                self.distrusted.add(self._number)
                raise

    def close_writer(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # noted as distrusted
                self.sync()
            os.close(self._fd)
            self._fd = -1

    # -- reading -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        self.close_writer()
        for fd in (*self._readers.values(), *self._retired):
            os.close(fd)
        self._readers.clear()
        self._retired.clear()

    def remove(self, number: int) -> None:
        (self._folder / file_name(number, SUFFIX)).unlink(missing_ok=True)

    def retire_missing(self) -> None:
        """Let go of files that were deleted. A reader may be in the middle of one, so it is closed a cut later."""
        for fd in self._retired:
            os.close(fd)
        there = {number for number, _ in self.files()}
        self._retired = [self._readers.pop(number) for number in list(self._readers) if number not in there]

    def files(self) -> list[tuple[int, Path]]:
        return numbered(self._folder, SUFFIX)

    def total_bytes(self) -> int:
        return sum(path.stat().st_size for _, path in self.files())

    def _read(self, number: int, position: int, length: int) -> bytes:
        fd = self._readers.get(number)
        if fd is None:
            fd = os.open(self._folder / file_name(number, SUFFIX), os.O_RDONLY | os.O_CLOEXEC)
            other = self._readers.setdefault(number, fd)
            if other != fd:  # another thread was first
                os.close(fd)
                fd = other
        return os.pread(fd, length, position)

    def _payload(self, chunk: Chunk) -> bytes | None:
        try:
            before = 0 if chunk.checked else self._before(chunk)
            entry = self._read(chunk.file, chunk.position - before, before + chunk.length)
        except OSError as error:
            damage.report("head", file_name(chunk.file, SUFFIX), str(error), position=chunk.position)
            return None
        if chunk.checked:
            return entry
        data = entry[before:]
        if len(data) != chunk.length or zlib.crc32(data) != _HEADER.unpack_from(entry)[7]:
            damage.report("head", file_name(chunk.file, SUFFIX), "checksum of a chunk", position=chunk.position)
            return None
        chunk.checked = True
        return data

    @staticmethod
    def _before(chunk: Chunk) -> int:
        """Bytes of the entry before its payload."""
        return _HEADER.size + len(chunk.ids) * (4 if isinstance(chunk, GridChunk) else 8)

    def intact(self, chunk: Chunk) -> bool:
        """Check the payload now."""
        return self._payload(chunk) is not None

    def read_grid(self, chunk: GridChunk, rows: Int64, *, low: int, high: int) -> GridPiece | None:
        """Rows of a chunk, scrape numbers low..high; None when it is damaged or holds nothing there."""
        low, high = max(low, chunk.first), min(high, chunk.first + chunk.columns - 1)
        data = self._payload(chunk) if high >= low else None
        if data is None:
            return None
        values = narrow.decode(data, rows)[:, low - chunk.first : high + 1 - chunk.first]
        return GridPiece(chunk.interval_ms, chunk.offset_ms, low, chunk.ids[rows].astype(np.int64), values)

    def read_loose(self, chunk: LooseChunk, wanted: Int64, start_ms: int, end_ms: int) -> list[Part]:
        """Samples of series `wanted` (sorted ids, at least one) within [start, end]."""
        at = np.minimum(np.searchsorted(chunk.ids, wanted), len(chunk.ids) - 1)
        if not (chunk.ids[at] == wanted).any():
            return []
        key = file_name(chunk.file, SUFFIX), chunk.position
        split: Split | None = self._decoded.get(key)
        if split is None:
            samples = self.loose_samples(chunk)
            if samples is None:
                return []
            split = Run(samples.ids, samples.t_ms, samples.values).split
            self._decoded.put(key, split, split.nbytes)
        return split.read(wanted, start_ms, end_ms)

    def loose_samples(self, chunk: LooseChunk) -> Loose | None:
        """All samples of a chunk, sorted by (id, t); None when it is damaged."""
        data = self._payload(chunk)
        if data is None:
            return None
        ends = chunk.ends.astype(np.int64)
        return Loose(np.repeat(chunk.ids.astype(np.int64), np.diff(ends, prepend=0)), *_decode_loose(data))

    def scan(self, number: int, start: int = 0) -> Iterator[Chunk]:
        """Entries of a file from byte `start` on; a damaged header is searched over, and reported."""
        path = self._folder / file_name(number, SUFFIX)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return
        at = start
        while at + _HEADER.size <= size:
            found = self._entry(number, at, size)
            if found is None:
                damage.report("head", path.name, "damaged chunk header", position=at)
                at = self._search(number, at + 1, size)
            else:
                chunk, at = found
                yield chunk

    def entry(self, number: int, at: int) -> Chunk | None:
        """The entry at this place; None when there is no intact one."""
        try:
            size = (self._folder / file_name(number, SUFFIX)).stat().st_size
            found = self._entry(number, at, size) if at + _HEADER.size <= size else None
        except OSError:
            return None
        return found[0] if found else None

    def _entry(self, number: int, at: int, size: int) -> tuple[Chunk, int] | None:
        head = self._read(number, at, _HEADER.size)
        magic, check, kind, version, _, rows, length, _, interval, offset, first, second, _, block = _HEADER.unpack(head)
        per_row = 4 if kind == _GRID else 8
        position = at + _HEADER.size + rows * per_row
        if magic != _MAGIC or version != 1 or kind not in (_GRID, _LOOSE) or position + length > size:
            return None
        listed = self._read(number, at + _HEADER.size, rows * per_row)
        if zlib.crc32(listed, zlib.crc32(head[8:])) != check:
            return None
        ids = np.frombuffer(listed, np.uint32, rows)
        if kind == _GRID:
            chunk: Chunk = GridChunk(number, position, length, interval, offset, block, first, second, ids)
        else:
            chunk = LooseChunk(number, position, length, first, second, ids, np.frombuffer(listed, np.uint32, rows, 4 * rows))
        return chunk, position + length

    def _search(self, number: int, at: int, size: int) -> int:
        """The next place that looks like an entry."""
        magic = struct.pack("<I", _MAGIC)
        while at < size:
            piece = self._read(number, at, 1 << 20)
            found = piece.find(magic)
            while found >= 0:
                if at + found + _HEADER.size <= size and self._entry(number, at + found, size) is not None:
                    return at + found
                found = piece.find(magic, found + 1)
            at += max(len(piece) - 3, 1)
        return size


def _decode_loose(data: bytes) -> tuple[Int64, Float64]:
    (times,) = struct.unpack_from("<I", data)
    t_ms: Int64 = standalone.simple_decompress(data[4 : 4 + times])
    return t_ms, np.frombuffer(bytes(cramjam.zstd.decompress(data[4 + times :])), np.float64)


def rows_of(chunk: GridChunk, local_rows: Int64, ids: Int64) -> Bool:
    """Which of the block's rows held these ids when the window was sealed."""
    inside = local_rows < len(chunk.ids)
    held: Bool = inside & (chunk.ids[np.where(inside, local_rows, 0)] == ids)
    return held
