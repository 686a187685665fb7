"""Tables on disk: labels, slots and places as plain arrays, so that a start never parses a label.

Drawn in docs/formats/tables.md. Written beside each new WAL segment, under a temporary name, synced, renamed; the two
newest stay. Every section has its own checksum: damage costs the table it hits, whose series then come from the older file
or return with their next scrape.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from tocsin.tsdb import damage, sections
from tocsin.tsdb.disk import Disk, file_name, numbered
from tocsin.tsdb.head import Head
from tocsin.tsdb.records import Placed, pack_placed, unpack_placed
from tocsin.tsdb.symbols import Symbols
from tocsin.tsdb.table import UInt32

SUFFIX = ".tables"
_SYMBOLS, _TABLE, _PLACED, _METADATA, _STATE = 1, 2, 3, 4, 5
_MANY_SERIES, _QUIET_MS = 5_000, 10_000
_TABLE_HEAD = struct.Struct("<III")


@dataclass(frozen=True, slots=True)
class TableView:
    """The rows of a table at one moment; the arrays are not copied, because tables only grow or are replaced."""

    names: list[str]
    slots: UInt32
    cells: UInt32


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a checkpoint holds, captured in about a millisecond; `sections` does the work and may run in a thread."""

    state: dict[str, int]
    texts: list[str]
    ids: UInt32
    tables: list[TableView]
    placements: Callable[[], Iterator[Placed]]
    metadata: dict[str, tuple[str, str, str]]

    def sections(self) -> Iterator[tuple[int, bytes]]:
        yield _STATE, orjson.dumps(self.state)
        yield _SYMBOLS, orjson.dumps(self.texts)
        for table in self.tables:
            name = orjson.dumps(table.names)
            head = _TABLE_HEAD.pack(len(table.slots), len(table.names) - 1, len(name))
            yield _TABLE, b"".join((head, self.ids[table.slots].tobytes(), table.slots.tobytes(), table.cells.tobytes(), name))
        for placed in self.placements():
            yield _PLACED, pack_placed(placed)
        yield _METADATA, orjson.dumps(self.metadata)


class Tabled:
    """Which series the newest tables know, and whether newer tables are worth their writing."""

    def __init__(self) -> None:
        self.next_id = 1
        """Of the first series that they do not know."""
        self._seen = (0, 0)

    def outdated(self, next_id: int, now_ms: int) -> bool:
        """Many series have come since and no more do: the next start should find them in tables instead of the log."""
        if next_id != self._seen[0]:
            self._seen = (next_id, now_ms)
        return next_id - self.next_id >= _MANY_SERIES and now_ms - self._seen[1] >= _QUIET_MS


def take(head: Head) -> Snapshot:
    """Capture the tables, as of now. Call with the head's lock held."""
    index = head.index
    views = [
        TableView([table.metric, *table.names], table.slots[: table.count], table.cells[: table.count])
        for table in index.tables
        if table.count
    ]
    state = {"next_id": index.next_id, "cut_ms": int(head.cut_ms), "version": 1}
    return Snapshot(state, index.symbols.texts[:], index.ids.copy(), views, head.placements(), dict(head.metadata))


def write(folder: Path, number: int, snapshot: Snapshot, disk: Disk) -> None:
    """Write the checkpoint of WAL segment `number`. Raises OSError; then nothing has changed."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{file_name(number, SUFFIX)}.tmp"
    temporary.unlink(missing_ok=True)
    fd = disk.create(temporary)
    try:
        for kind, payload in snapshot.sections():
            disk.write(fd, sections.pack(kind, payload))
        disk.sync(fd)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    disk.rename(temporary, folder / file_name(number, SUFFIX))
    disk.sync_folder(folder)
    for _, path in numbered(folder, SUFFIX)[:-2]:
        path.unlink(missing_ok=True)


def read_newest(folder: Path, head: Head) -> int:
    """Load the newest usable checkpoint; answers the WAL segment from which definitions count, 0 when there is none."""
    for number, path in reversed(numbered(folder, SUFFIX)):
        try:
            data = path.read_bytes()
        except OSError as error:
            damage.report("tables", path.name, str(error))
            continue
        found = list(sections.unpack(data, part="tables", where=path.name))
        if any(kind == _SYMBOLS for kind, _ in found) and any(kind == _STATE for kind, _ in found):
            _load(head, found)
            return number
        damage.report("tables", path.name, "the symbols are unreadable; taking the file before")
    return 0


def _load(head: Head, found: list[tuple[int, sections.Buffer]]) -> None:
    index = head.index
    for kind, payload in found:
        if kind == _STATE:
            state = orjson.loads(payload)
            index.next_id, head.cut_ms = state["next_id"], state["cut_ms"]
        elif kind == _SYMBOLS:
            index.use_symbols(Symbols(orjson.loads(payload)))
        elif kind == _METADATA:
            head.metadata.update({metric: tuple(rest) for metric, rest in orjson.loads(payload).items()})
    tables = [_unpack_table(payload) for kind, payload in found if kind == _TABLE]
    if tables:
        index.claim(np.concatenate([ids for _, ids, _, _ in tables]), np.concatenate([slots for _, _, slots, _ in tables]))
        for names, _, slots, cells in tables:
            index.load_table(names[0], tuple(names[1:]), cells, slots)
        index.settle()
    head.widen()
    for kind, payload in found:
        if kind == _PLACED:
            head.place(unpack_placed(bytes(payload)))


def _unpack_table(data: sections.Buffer) -> tuple[list[str], UInt32, UInt32, UInt32]:
    count, columns, _ = _TABLE_HEAD.unpack_from(data)
    at = _TABLE_HEAD.size
    ids = np.frombuffer(data, np.uint32, count, at)
    slots = np.frombuffer(data, np.uint32, count, at + 4 * count)
    cells = np.frombuffer(data, np.uint32, count * columns, at + 8 * count).reshape(count, columns)
    return orjson.loads(data[at + 4 * count * (2 + columns) :]), ids, slots, cells
