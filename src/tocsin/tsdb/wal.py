"""The write-ahead log: framed records in pages. Every byte is drawn in docs/formats/wal.md.

    segment 00000007.wal   page 0 (32 KiB)                         page 1
                           [magic first check][frame][frame][fra   ][magic first check][me][frame]...

    frame   [length type check][crc32 of payload][length type check] payload

The page header says where the first frame that starts in the page begins: after damage the reader goes on there. The
frame header stands twice: one flipped bit in it costs nothing, one in the payload costs that record.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tocsin.tsdb.disk import Disk

PAGE = 32 * 1024
PAGE_MAGIC = 0x4C57_4354  # "TCWL"
_PAGE_HEADER = struct.Struct("<IHH")
PAGE_HEADER = _PAGE_HEADER.size
_BODY = PAGE - PAGE_HEADER
_HALF = struct.Struct("<IBBH")
_CRC = struct.Struct("<I")
FRAME_HEADER = _HALF.size * 2 + _CRC.size
MAX_RECORD = 64 << 20
_NO_FRAME = 0xFFFF


def _half(length: int, kind: int) -> bytes:
    head = _HALF.pack(length, kind, 0, 0)
    return _HALF.pack(length, kind, 0, zlib.crc32(head[:6]) & 0xFFFF)


def _read_half(data: bytes | memoryview, at: int) -> tuple[int, int] | None:
    """(length, type) when this copy of the header is intact."""
    length, kind, zero, check = _HALF.unpack_from(data, at)
    good = zlib.crc32(data[at : at + 6]) & 0xFFFF == check and zero == 0 and length <= MAX_RECORD
    return (length, kind) if good else None


class Paginator:
    """Lays frames into pages; `position` is the size of the file so far."""

    def __init__(self) -> None:
        self.position = 0

    def lay(self, records: list[tuple[int, bytes]]) -> bytes:
        """Bytes to append for these (type, payload) records."""
        out = bytearray()
        for kind, payload in records:
            half = _half(len(payload), kind)
            frame = b"".join((half, _CRC.pack(zlib.crc32(payload)), half, payload))
            self._lay_frame(out, frame)
        return bytes(out)

    def _lay_frame(self, out: bytearray, frame: bytes) -> None:
        at = 0
        started = False
        while at < len(frame):
            room = PAGE - self.position % PAGE
            if room == PAGE:
                left = len(frame) - at
                first = PAGE_HEADER if not started else (PAGE_HEADER + left if left < _BODY else _NO_FRAME)
                out += _page_header(first)
                self.position += PAGE_HEADER
                room = _BODY
            piece = frame[at : at + room]
            out += piece
            at += len(piece)
            self.position += len(piece)
            started = True


def _page_header(first: int) -> bytes:
    return _PAGE_HEADER.pack(PAGE_MAGIC, first, (first ^ 0x5AA5) & 0xFFFF)


@dataclass(frozen=True, slots=True)
class Record:
    """One intact record."""

    kind: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes [start, end) of the file are unreadable; at least one record is lost."""

    start: int
    end: int
    problem: str


class Reader:
    """Reads a segment that may still grow. Keeps its place between calls."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.position = 0
        """Physical position of the next frame; everything before it is done."""
        self.definitions = True
        """False for segments older than the tables that were loaded."""

    def close(self) -> None:
        os.close(self._fd)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def read(self, *, final: bool) -> Iterator[Record | Gap]:
        """Records from here to the end of what is there.

        `final` = nobody writes this segment any more, so an incomplete frame at the end is a gap; else it is awaited.
        """
        data = _Body(self._fd, self.position, self.size())
        while True:
            start = data.at
            outcome = _frame(data, final=final)
            if outcome is None:
                self.position = start
                return
            if isinstance(outcome, Gap):
                if not _resync(data, start):
                    self.position = data.end
                    yield Gap(start, data.end, outcome.problem)
                    return
                yield Gap(start, data.at, outcome.problem)
            else:
                yield outcome
            self.position = data.at


class _Body:
    """The file without its page headers, read in large pieces."""

    _PIECE = 4 << 20

    def __init__(self, fd: int, at: int, end: int) -> None:
        self._fd = fd
        self.at = at
        self.end = end
        self._buffer = b""
        self._start = at

    def raw(self, at: int, count: int) -> bytes:
        """Physical bytes; short at the end of the file."""
        stop = min(at + count, self.end)
        if stop <= at:
            return b""
        if at < self._start or stop > self._start + len(self._buffer):
            self._buffer = os.pread(self._fd, min(max(stop - at, self._PIECE), self.end - at), at)
            self._start = at
        return self._buffer[at - self._start : stop - self._start]

    def take(self, count: int) -> bytes | None:
        """The next `count` body bytes; None when the file ends before (place unchanged)."""
        at, parts, missing = self.at, [], count
        while missing:
            if at % PAGE == 0:
                at += PAGE_HEADER
            piece = self.raw(at, min(missing, PAGE - at % PAGE))
            if not piece:
                return None
            parts.append(piece)
            at += len(piece)
            missing -= len(piece)
        self.at = at
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _frame(data: _Body, *, final: bool) -> Record | Gap | None:
    """The frame at the current place; None = not complete yet (or a clean end)."""
    start = data.at
    if start >= data.end or (start % PAGE == 0 and start + PAGE_HEADER >= data.end and not final):
        return None
    head = data.take(FRAME_HEADER)
    if head is None:
        return Gap(start, data.end, "the last record is incomplete") if final else None
    found = _read_half(head, 0) or _read_half(head, _HALF.size + _CRC.size)
    if found is None:
        data.at = start  # what follows may be anything, even bytes that look like a frame: go on at the next page
        return Gap(start, start, "damaged record header")
    length, kind = found
    payload = data.take(length) if length else b""
    if payload is None:
        return Gap(start, data.end, "the last record is incomplete") if final else None
    if zlib.crc32(payload) != _CRC.unpack_from(head, _HALF.size)[0]:
        # The length is trusted (its own check held), so the next record is found without a search.
        return Gap(start, data.at, "damaged record")
    return Record(kind, payload)


def _resync(data: _Body, start: int) -> bool:
    """Move to a place where a frame starts, after a gap at `start`; False when there is none."""
    if data.at > start and _plausible(data):
        return True
    page = start // PAGE + 1
    while page * PAGE + PAGE_HEADER < data.end:
        magic, first, check = _PAGE_HEADER.unpack(data.raw(page * PAGE, PAGE_HEADER))
        if magic == PAGE_MAGIC and first ^ 0x5AA5 == check and first != _NO_FRAME:
            data.at = page * PAGE + first
            return True
        page += 1
    return False


def _plausible(data: _Body) -> bool:
    """Whether a frame header (or the clean end) stands at the current place; does not move."""
    at = data.at
    if at >= data.end:
        return True
    head = data.take(FRAME_HEADER)
    data.at = at
    if head is None:
        return False
    return (_read_half(head, 0) or _read_half(head, _HALF.size + _CRC.size)) is not None


class Writer:
    """One open segment. Records wait in memory until `flush`; `sync` may run in a thread. `began`: one waits, the first."""

    def __init__(self, path: Path, disk: Disk, *, began: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self._began = began
        self._disk = disk
        self._pages = Paginator()
        self._waiting: list[tuple[int, bytes]] = []
        self.waiting_bytes = 0
        self._fd = disk.create(path)
        disk.sync_folder(path.parent)
        self.unsynced = False
        self._closing = threading.Lock()
        """`sync` and `close` may meet from two threads."""

    @property
    def size(self) -> int:
        return self._pages.position

    def add(self, kind: int, payload: bytes) -> None:
        assert len(payload) <= MAX_RECORD
        if not self._waiting:
            self._began()
        self._waiting.append((kind, payload))
        self.waiting_bytes += len(payload) + FRAME_HEADER

    def flush(self) -> None:
        """Hand what waits to the operating system: from here it survives the end of this process.

        Raises OSError; then the file is cut back to its last whole record and everything still waits.
        """
        if not self._waiting:
            return
        before = self._pages.position
        data = self._pages.lay(self._waiting)
        try:
            self._disk.write(self._fd, data)
        except OSError:
            self._pages.position = before
            try:
                self._disk.truncate(self._fd, before)
            except OSError:
                pass  # the tail is torn; readers step over it, and a new segment follows
            raise
        self._waiting.clear()
        self.waiting_bytes = 0
        self.unsynced = True

    def drop_waiting(self) -> int:
        """Give up what could not be written; answers how many records."""
        count = len(self._waiting)
        self._waiting.clear()
        self.waiting_bytes = 0
        return count

    def sync(self) -> None:
        """Make everything flushed so far durable. Raises OSError: the file must not be used any more."""
        with self._closing:
            if self._fd >= 0:
                self.unsynced = False
                self._disk.sync(self._fd)

    def close(self) -> None:
        with self._closing:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
