"""Write a block from anything that can be read by series id: the head, other blocks, an import.

Series are sorted by metric and labels and go through in batches, so that the memory needed does not depend on the block.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tocsin.model.series import ABSENT_BITS, Bool, Float64, Int64, SeriesGroup
from tocsin.tsdb import matrix_codec, sections
from tocsin.tsdb.assemble import assemble
from tocsin.tsdb.block import CHUNK, FACTS, GRID, LOOSE, TABLE, TEXTS, BlockName, Group, pack_table
from tocsin.tsdb.catalogue import Catalogue
from tocsin.tsdb.disk import Disk
from tocsin.tsdb.piece import GridPiece, Loose, Part
from tocsin.tsdb.regular import LEAST_SERIES

ReadBatch = Callable[[Int64], tuple[list[GridPiece], list[Part]]]
_CELLS = 2 << 20
"""Cells of a batch: 16 MiB of values."""
_TEXTS = 2048
"""Texts per section."""
_LOOSE_SAMPLES = 65_536
_ABSENT = np.uint64(ABSENT_BITS)
_EMPTY = np.empty(0, np.uint32)


@dataclass(frozen=True, slots=True)
class Source:
    """What a block is made from: its series, and how to read a sorted batch of ids within the span."""

    catalogue: Catalogue
    read: ReadBatch
    columns: int
    """About how many scrapes a series has in the span; for sizing batches."""


@dataclass(slots=True)
class _Output:
    fd: int
    disk: Disk
    position: int = 0
    groups: list[Group] = field(default_factory=list)
    samples: int = 0

    def chunk(self, payload: bytes, first: int, last: int) -> tuple[int, int, int, int, int]:
        self.disk.write(self.fd, payload)
        entry = (self.position, len(payload), zlib.crc32(payload), first, last)
        self.position += len(payload)
        return entry


def build(folder: Path, name: BlockName, source: Source, disk: Disk, facts: dict[str, Any]) -> bool:
    """Write, sync and put in place; False when there was nothing to write. Raises OSError; then nothing is left behind."""
    temporary = folder / f"{name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        written = _write(temporary, name, source, disk, facts)
        if written:
            disk.sync_folder(temporary)
            disk.rename(temporary, folder / str(name))
            disk.sync_folder(folder)
        return written
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(folder: Path, name: BlockName, source: Source, disk: Disk, facts: dict[str, Any]) -> bool:
    fd = disk.create(folder / "chunks")
    try:
        output = _Output(fd, disk)
        used = _write_chunks(source, name, output)
        if not output.samples:
            return False
        disk.sync(fd)
    finally:
        os.close(fd)
    facts = {**facts, "version": 1, "start_ms": name.start_ms, "end_ms": name.end_ms}
    facts |= {"series": int(used.sum()), "samples": output.samples}
    fd = disk.create(folder / "index")
    try:
        for section in _index_sections(source.catalogue, used, output.groups, facts):
            disk.write(fd, section)
        disk.sync(fd)
    finally:
        os.close(fd)
    return True


def _write_chunks(source: Source, name: BlockName, output: _Output) -> Bool:
    """Write every batch; answers which rows had samples, bool [n]."""
    step = int(np.clip(_CELLS // max(source.columns, 1), matrix_codec.ROWS, 65_536))
    every = source.catalogue.ids
    used = np.zeros(len(every), np.bool_)
    for start in range(0, len(every), step):
        order = start + np.argsort(every[start : start + step])
        ids = every[order]
        pieces, loose = source.read(ids)
        loose = [inside for part in loose if (inside := _within(part, name.start_ms, name.end_ms - 1)) is not None]
        selection = assemble(pieces, loose, _as_names)  # type: ignore[arg-type]
        grids = {(piece.interval_ms, piece.offset_ms) for piece in pieces}
        lonely: list[tuple[int, SeriesGroup, int]] = []
        for group in selection.groups:
            rows = order[np.searchsorted(ids, np.array(group.labels, np.int64))]
            used[rows] = True
            if not _write_grid(group, rows, grids, output):
                lonely.extend((row, group, place) for place, row in enumerate(rows.tolist()))
        _write_lonely(sorted(lonely, key=lambda one: one[0]), output)
    return used


def _as_names(ids: Int64) -> tuple[list[int], bool]:
    return ids.tolist(), True


def _within(part: Part, start_ms: int, end_ms: int) -> Part | None:
    if isinstance(part, GridPiece):
        return part.within(start_ms, end_ms)
    inside = (part.t_ms >= start_ms) & (part.t_ms <= end_ms)
    return Loose(part.ids[inside], part.t_ms[inside], part.values[inside])


def _write_grid(group: SeriesGroup, rows: Int64, grids: set[tuple[int, int]], output: _Output) -> bool:
    """Write a group that lies on a scrape grid, or on one that enough series share; False when it does not."""
    if len(group.t_ms) < 2:
        return False
    interval = int(group.t_ms[1] - group.t_ms[0])
    offset = int(group.t_ms[0]) % interval
    if (interval, offset) not in grids and len(group.labels) < LEAST_SERIES:
        return False
    if (np.diff(group.t_ms) != interval).any():
        return False
    order = np.argsort(rows)
    values, rows = group.values[order], rows[order]
    first = int(group.t_ms[0]) // interval
    edges = np.append(np.arange(0, len(rows), matrix_codec.ROWS), len(rows))
    entries = []
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        for left in range(0, values.shape[1], matrix_codec.COLUMNS):
            part = values[low:high, left : left + matrix_codec.COLUMNS]
            entries.append(output.chunk(matrix_codec.encode(part), first + left, first + left + part.shape[1] - 1))
    output.samples += int((np.ascontiguousarray(values).view(np.uint64) != _ABSENT).sum())
    table = np.array(entries, CHUNK)
    output.groups.append(Group(GRID, interval, offset, first, rows.astype(np.uint32), edges.astype(np.uint32), _EMPTY, table))
    return True


def _write_lonely(series: list[tuple[int, SeriesGroup, int]], output: _Output) -> None:
    """Write series with times of their own, in chunks of at most `_LOOSE_SAMPLES`."""
    if not series:
        return
    rows: list[int] = []
    counts: list[int] = []
    edges, entries = [0], []
    t_ms: list[Int64] = []
    values: list[Float64] = []
    waiting = 0

    def close() -> None:
        nonlocal waiting
        times = np.concatenate(t_ms)
        payload = matrix_codec.encode_loose(times, np.concatenate(values))
        entries.append(output.chunk(payload, int(times.min()), int(times.max())))
        edges.append(len(rows))
        t_ms.clear()
        values.clear()
        waiting = 0

    for row, group, place in series:
        there = group.values[place].view(np.uint64) != _ABSENT
        rows.append(row)
        counts.append(int(there.sum()))
        t_ms.append(group.t_ms[there])
        values.append(group.values[place][there])
        waiting += counts[-1]
        output.samples += counts[-1]
        if waiting >= _LOOSE_SAMPLES:
            close()
    if waiting:
        close()
    columns = [np.array(one, np.uint32) for one in (rows, edges, counts)]
    output.groups.append(Group(LOOSE, 0, 0, 0, columns[0], columns[1], columns[2], np.array(entries, CHUNK)))


def _index_sections(catalogue: Catalogue, used: Bool, groups: list[Group], facts: dict[str, Any]) -> list[bytes]:
    """The index; facts, groups and what is small stand at both ends, because much hangs on them."""
    fixed = [(FACTS, orjson.dumps(facts)), *((group.kind, group.pack(number)) for number, group in enumerate(groups))]
    row = 0
    tables = []
    for table in catalogue.tables:
        mine = np.flatnonzero(used[row : row + len(table.ids)])
        if len(mine):
            tables.append((table.names, table.ids[mine], (row + mine).astype(np.uint32), table.cells[mine]))
        row += len(table.ids)
    # Only the texts in use, numbered afresh; 0 stays the empty one.
    numbers = np.unique(np.concatenate([np.zeros(1, np.uint32), *(cells.ravel() for *_, cells in tables)]))
    texts = [catalogue.texts[number] for number in numbers.tolist()]
    out = []
    for start in range(0, len(texts), _TEXTS):
        out.append((TEXTS, orjson.dumps([start, texts[start : start + _TEXTS]])))
    for names, ids, rows, cells in tables:
        fresh = np.searchsorted(numbers, cells).astype(np.uint32)
        out.append((TABLE, pack_table(list(names), ids, rows, fresh)))
    small = [one for one in out if len(one[1]) <= sections.SMALL]
    ends = sections.pack_all([*fixed, *small])
    return [*ends, *(sections.pack(*one) for one in out if len(one[1]) > sections.SMALL), *ends]
