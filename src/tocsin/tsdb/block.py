"""A block on disk: an immutable folder with the samples of a span, metric by metric. Drawn in docs/formats/blocks.md.

    blocks/1700000000000-1700007200000-000042/
        index    sections: facts, groups (rows, places of chunks), texts, tables (labels of rows); all but large tables twice
        chunks   the chunks, 256 rows x 480 instants each

The name is (first ms)-(end ms, exclusive)-(sequence): of blocks that overlap the later sequence wins.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import shutil
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import orjson

from tocsin.model.labels import Labels, Matcher
from tocsin.model.series import ABSENT_BITS, Float64, Int64
from tocsin.tsdb import damage, matrix_codec, sections
from tocsin.tsdb.cache import Cache
from tocsin.tsdb.index import Index
from tocsin.tsdb.piece import GridPiece, Part
from tocsin.tsdb.run import Run, Split
from tocsin.tsdb.sections import Buffer
from tocsin.tsdb.symbols import Symbols
from tocsin.tsdb.table import UInt32

FACTS, TEXTS, TABLE, GRID, LOOSE = 1, 2, 3, 4, 5
_NAME = re.compile(r"^(\d+)-(\d+)-(\d{6,})$")
_TABLE_HEAD = struct.Struct("<III")
_GROUP_HEAD = struct.Struct("<IIIIqqq")
CHUNK = np.dtype([("position", "<u8"), ("length", "<u4"), ("crc", "<u4"), ("first", "<i8"), ("last", "<i8")])
_INDEXES_KEPT = 32
_LOST = np.uint64(ABSENT_BITS)


@dataclass(frozen=True, slots=True, order=True)
class BlockName:
    sequence: int
    start_ms: int
    end_ms: int
    """Exclusive."""

    def __str__(self) -> str:
        return f"{self.start_ms}-{self.end_ms}-{self.sequence:06d}"

    @classmethod
    def parse(cls, text: str) -> BlockName | None:
        match = _NAME.match(text)
        return cls(int(match[3]), int(match[1]), int(match[2])) if match else None


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Rows that share a grid (kind GRID) or bring their own times (kind LOOSE).

    rows uint32 [n]; GRID: chunk (i, j) holds rows edges[i]..edges[i+1] and the j-th span of COLUMNS numbers.
    LOOSE: counts uint32 [n] samples per row; chunk i holds rows edges[i]..edges[i+1].
    """

    kind: int
    interval_ms: int
    offset_ms: int
    first: int
    rows: UInt32
    edges: UInt32
    counts: UInt32
    chunks: np.ndarray[Any, np.dtype[np.void]]

    def pack(self, number: int) -> bytes:
        head = _GROUP_HEAD.pack(
            number, len(self.rows), len(self.edges), len(self.chunks), self.interval_ms, self.offset_ms, self.first
        )
        parts = (self.rows, self.edges.astype(np.uint32), self.counts.astype(np.uint32), self.chunks)
        return head + b"".join(part.tobytes() for part in parts)

    @classmethod
    def unpack(cls, kind: int, data: Buffer) -> tuple[int, Group]:
        number, rows, edges, chunks, interval, offset, first = _GROUP_HEAD.unpack_from(data)
        counts = rows if kind == LOOSE else 0
        listed = np.frombuffer(data, np.uint32, rows + edges + counts, _GROUP_HEAD.size)
        table = np.frombuffer(data, CHUNK, chunks, _GROUP_HEAD.size + listed.nbytes)
        return number, cls(
            kind, interval, offset, first, listed[:rows], listed[rows : rows + edges], listed[rows + edges :], table
        )


class Block:
    """Reads one block; the index is loaded when first needed. Thread-safe."""

    def __init__(self, path: Path, name: BlockName, cache: Cache) -> None:
        self.path = path
        self.name = name
        self._cache = cache
        self.lock = RLock()
        self.used = 0
        """When it was last read, in steps of its set."""
        self._loaded: tuple[Index, list[Group], dict[str, Any]] | None = None
        self._fd = -1
        self._size: int | None = None

    def _load(self) -> tuple[Index, list[Group], dict[str, Any]]:
        with self.lock:
            if self._loaded is None:
                self._loaded = _read_index(self.path / "index")
            return self._loaded

    @property
    def loaded(self) -> bool:
        return self._loaded is not None

    def release(self) -> None:
        """Forget the index; it is loaded again when needed."""
        with self.lock:
            self._loaded = None

    def close(self) -> None:
        with self.lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    @property
    def index(self) -> Index:
        return self._load()[0]

    @property
    def groups(self) -> list[Group]:
        return self._load()[1]

    @property
    def facts(self) -> dict[str, Any]:
        return self._load()[2]

    def size(self) -> int:
        """Bytes on disk; asked of the disk once, since a block never changes."""
        if self._size is None:
            self._size = sum(path.stat().st_size for path in self.path.iterdir())
        return self._size

    def last_id(self) -> int:
        """The highest series id."""
        ids = self.index.ids
        self.release()
        return int(ids.max(initial=0))

    def match(self, matchers: Sequence[Matcher]) -> Int64:
        """Rows that pass every matcher, ascending."""
        index = self.index
        with self.lock:
            return np.sort(index.match(matchers))

    def labels(self, rows: Int64) -> tuple[Labels, ...]:
        index = self.index
        with self.lock:
            return index.labels(rows)

    def read(self, rows: Int64, start_ms: int, end_ms: int) -> tuple[list[GridPiece], list[Part]]:
        """Samples of rows (ascending) within [start, end]."""
        index, groups, _ = self._load()
        ids = index.ids.astype(np.int64)
        pieces: list[GridPiece] = []
        loose: list[Part] = []
        for group in groups:
            at = np.minimum(np.searchsorted(group.rows, rows), len(group.rows) - 1)
            places = at[group.rows[at] == rows]
            if not len(places):
                continue
            if group.kind == GRID:
                piece = self._read_grid(group, places, ids, start_ms, end_ms)
                if piece is not None:
                    pieces.append(piece)
            else:
                loose.extend(self._read_loose(group, places, ids, start_ms, end_ms))
        return pieces, loose

    def _read_grid(self, group: Group, places: Int64, ids: Int64, start_ms: int, end_ms: int) -> GridPiece | None:
        low = max(-((group.offset_ms - start_ms) // group.interval_ms), group.first)
        across = len(group.chunks) // (len(group.edges) - 1)
        high = min((end_ms - group.offset_ms) // group.interval_ms, int(group.chunks["last"].max()))
        if high < low:
            return None
        spans_wanted = range((low - group.first) // matrix_codec.COLUMNS, (high - group.first) // matrix_codec.COLUMNS + 1)
        values = np.empty((len(places), high - low + 1))
        part = np.searchsorted(group.edges, places, side="right") - 1
        for number in np.unique(part).tolist():
            # Places ascend, and so do the parts they lie in.
            mine = slice(*np.searchsorted(part, [number, number + 1]).tolist())
            local = _as_slice(places[mine] - int(group.edges[number]))
            for span in spans_wanted:
                entry = group.chunks[number * across + span]
                first = int(entry["first"])
                left, right = max(low, first), min(high, int(entry["last"]))
                chunk = self._matrix(entry)
                cells = _LOST if chunk is None else chunk[local, left - first : right - first + 1].view(np.uint64)
                values.view(np.uint64)[mine, left - low : right - low + 1] = cells
        return GridPiece(group.interval_ms, group.offset_ms, low, ids[group.rows[places]], values)

    def _read_loose(self, group: Group, places: Int64, ids: Int64, start_ms: int, end_ms: int) -> list[Part]:
        part = np.searchsorted(group.edges, places, side="right") - 1
        out: list[Part] = []
        numbers = np.unique(part)
        edges = np.append(np.searchsorted(part, numbers), len(part)).tolist()  # places ascend, and so do their parts
        for at, number in enumerate(numbers.tolist()):
            entry = group.chunks[number]
            if int(entry["last"]) < start_ms or int(entry["first"]) > end_ms:
                continue
            found = self._split(group, number, ids)
            if found is not None:
                out += found.read(np.sort(ids[group.rows[places[edges[at] : edges[at + 1]]]]), start_ms, end_ms)
        return out

    def _matrix(self, entry: Any) -> Float64 | None:
        key = (str(self.name), int(entry["position"]))
        chunk: Float64 | None = self._cache.get(key)
        if chunk is None:
            data = self.payload(entry)
            if data is None:
                return None
            chunk = matrix_codec.decode(data)
            self._cache.put(key, chunk, chunk.nbytes)
        return chunk

    def _split(self, group: Group, number: int, ids: Int64) -> Split | None:
        entry = group.chunks[number]
        key = (str(self.name), int(entry["position"]))
        found: Split | None = self._cache.get(key)
        if found is None:
            data = self.payload(entry)
            if data is None:
                return None
            rows = slice(int(group.edges[number]), int(group.edges[number + 1]))
            found = Run.of(np.repeat(ids[group.rows[rows]], group.counts[rows]), *matrix_codec.decode_loose(data)).split
            self._cache.put(key, found, found.nbytes)
        return found

    def payload(self, entry: Any) -> bytes | None:
        """The bytes of a chunk; None (and a report) when they are damaged."""
        with self.lock:
            if self._fd < 0:
                try:
                    self._fd = os.open(self.path / "chunks", os.O_RDONLY | os.O_CLOEXEC)
                except OSError as error:
                    damage.report("block", self.path.name, str(error))
                    return None
            data = os.pread(self._fd, int(entry["length"]), int(entry["position"]))
        if zlib.crc32(data) != int(entry["crc"]) or len(data) != int(entry["length"]):
            damage.report("block", self.path.name, "checksum of a chunk", position=int(entry["position"]))
            return None
        return data


def _as_slice(rows: Int64) -> Int64 | slice:
    """Neighbouring rows as a slice, which numpy copies without looking at each."""
    if int(rows[-1]) - int(rows[0]) == len(rows) - 1:
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _read_index(path: Path) -> tuple[Index, list[Group], dict[str, Any]]:
    """Everything intact of an index file; a row whose table or texts are lost is not found by any matcher."""
    index = Index()
    groups: dict[int, Group] = {}
    facts: dict[str, Any] = {}
    texts: dict[int, str] = {0: ""}
    tables: dict[tuple[str, ...], tuple[UInt32, UInt32, UInt32]] = {}
    try:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        damage.report("block", path.parent.name, str(error))
        data = memoryview(b"")
    for kind, payload in sections.unpack(data, part="block", where=path.parent.name):
        if kind == FACTS:
            facts = orjson.loads(payload)
        elif kind == TEXTS:
            start, listed = orjson.loads(payload)
            texts.update(enumerate(listed, start))
        elif kind == TABLE:
            names, ids, rows, cells = _unpack_table(payload)
            tables.setdefault(tuple(names), (ids, rows, cells))
        elif kind in (GRID, LOOSE):
            number, group = Group.unpack(kind, payload)
            groups.setdefault(number, group)
    size = max(texts) + 1
    index.use_symbols(Symbols([texts.get(number, f"\0lost {number}") for number in range(size)]))
    intact = np.zeros(size, np.bool_)
    intact[list(texts)] = True
    kept = []
    for named, (ids, rows, cells) in tables.items():
        if not (intact.all() and (cells < size).all()):
            good = np.flatnonzero((cells < size).all(1))
            good = good[intact[cells[good]].all(1)]
            ids, rows, cells = ids[good], rows[good], cells[good]
        kept.append((named, ids, rows, cells))
    if kept:
        index.claim(np.concatenate([one[1] for one in kept]), np.concatenate([one[2] for one in kept]))
        for named, _, rows, cells in kept:
            index.load_table(named[0], named[1:], cells, rows)
    return index, [groups[number] for number in sorted(groups)], facts


def pack_table(names: list[str], ids: UInt32, rows: UInt32, cells: UInt32) -> bytes:
    name = orjson.dumps(names)
    head = _TABLE_HEAD.pack(len(rows), len(names) - 1, len(name))
    return b"".join((head, ids.tobytes(), rows.tobytes(), cells.tobytes(), name))


def _unpack_table(data: Buffer) -> tuple[list[str], UInt32, UInt32, UInt32]:
    count, columns, _ = _TABLE_HEAD.unpack_from(data)
    at = _TABLE_HEAD.size
    ids = np.frombuffer(data, np.uint32, count, at)
    rows = np.frombuffer(data, np.uint32, count, at + 4 * count)
    cells = np.frombuffer(data, np.uint32, count * columns, at + 8 * count).reshape(count, columns)
    return orjson.loads(data[at + 4 * count * (2 + columns) :]), ids, rows, cells


class BlockSet:
    """The blocks of a folder, in order of precedence. Thread-safe: readers take a list, changes replace it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = Cache()
        self.blocks: list[Block] = []
        self._step = 0
        self._retired: list[Block] = []

    def refresh(self) -> None:
        """Look at the folder again: new blocks appear, deleted ones go."""
        known = {block.name: block for block in self.blocks}
        names = []
        if self.folder.is_dir():
            names = sorted(filter(None, (BlockName.parse(path.name) for path in self.folder.iterdir())))
        self.blocks = [known.get(name) or Block(self.folder / str(name), name, self.cache) for name in names]
        # A reader may still hold a block that left: its file stays open until the next change but one.
        for block in self._retired:
            block.close()
        kept = set(names)
        self._retired = [block for name, block in known.items() if name not in kept]

    def named(self, name: BlockName) -> Block:
        """Raises FileNotFoundError."""
        for block in self.blocks:
            if block.name == name:
                return block
        raise FileNotFoundError(errno.ENOENT, "there is no such block", str(self.folder / str(name)))

    def next_sequence(self) -> int:
        return max((block.name.sequence for block in self.blocks), default=0) + 1

    def overlapping(self, start_ms: int, end_ms: int) -> list[Block]:
        """Blocks that may hold samples within [start, end]. The indexes of those long unused are let go."""
        found = [block for block in self.blocks if block.name.start_ms <= end_ms and block.name.end_ms > start_ms]
        self._step += 1
        for block in found:
            block.used = self._step
        loaded = [block for block in self.blocks if block.loaded]
        if len(loaded) > max(_INDEXES_KEPT, len(found)):
            for block in sorted(loaded, key=lambda one: one.used)[: len(loaded) - _INDEXES_KEPT]:
                block.release()
        return found

    def remove(self, blocks: Sequence[Block]) -> None:
        """Delete blocks: renamed first, so that a half-deleted one is never taken for a block."""
        for block in blocks:
            gone = self.folder / f"{block.name}.gone"
            try:
                block.path.rename(gone)
            except FileNotFoundError:
                continue
            shutil.rmtree(gone, ignore_errors=True)
        self.refresh()

    def sweep(self) -> None:
        """Remove what an interrupted write or deletion left behind."""
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                if path.suffix in (".gone", ".tmp"):
                    gone = path.with_suffix(".gone")
                    if path != gone:
                        # At one stroke: nobody who still writes there can put half of it in place.
                        shutil.rmtree(gone, ignore_errors=True)
                        path.rename(gone)
                    shutil.rmtree(gone, ignore_errors=True)

    def total_bytes(self) -> int:
        return sum(block.size() for block in self.blocks)

    def close(self) -> None:
        for block in [*self.blocks, *self._retired]:
            block.close()
