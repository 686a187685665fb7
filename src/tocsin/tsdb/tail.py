"""The log read for somebody else: every sample that was appended, in order, from a place that survives a restart.

    wal/00000012.wal ──not needed for recovery any more, but not read yet──▶ held/00000012.wal ──read, or too much──▶ gone

A place is (segment, bytes into it). The layouts of scrapes stand in the same segment; labels come from the index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tocsin.model.series import Float64, Int64
from tocsin.tsdb import records
from tocsin.tsdb.disk import file_name, numbered
from tocsin.tsdb.load import WAL_SUFFIX
from tocsin.tsdb.records import Kind
from tocsin.tsdb.wal import Gap, Reader

HELD = "held"
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Samples:
    """Appended samples: references, times, values, each [n]."""

    refs: Int64
    t_ms: Int64
    values: Float64


class Tail:
    """One reader's place in the log. Call `read` from one thread at a time."""

    def __init__(
        self, store: Path, place: Place | None, current: Callable[[], Place], closed: Callable[[Tail], None] = lambda _tail: None
    ) -> None:
        """`place` None (or one of another log) = only what comes from now on; `current` is the end of what is written."""
        self._store = store
        self._closed = closed
        self._reader: Reader | None = None
        self._layouts: dict[int, Int64] = {}
        now = current()
        self._segment, self._skip = now if place is None or place > now else place
        self.lost_segments = 0

    @property
    def place(self) -> Place:
        """Everything before it was read."""
        return self._segment, max(self._skip, self._reader.position if self._reader else 0)

    def close(self) -> None:
        """The log is not kept for this reader any more."""
        self._leave()
        self._closed(self)

    def _leave(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def waiting_bytes(self) -> int:
        """About how much of the log is still to be read."""
        total = sum(path.stat().st_size for number, path in self._segments() if number >= self._segment)
        return max(total - self.place[1], 0)

    def _segments(self) -> list[tuple[int, Path]]:
        # In the order in which a segment moves: one that moves just now is seen twice, not missed.
        return sorted([*numbered(self._store / "wal", WAL_SUFFIX), *numbered(self._store / HELD, WAL_SUFFIX)])

    def read(self, at_least: int) -> Samples:
        """The next samples: as many as there are, or `at_least` and the rest of the record that reaches it."""
        parts: list[Samples] = []
        count = 0
        while count < at_least:
            newer = [number for number, _ in self._segments() if number > self._segment]
            if self._reader is None and not self._open(newer):
                break
            count += self._read(parts, at_least - count, final=bool(newer))
            if count < at_least and not self._next(newer):
                break
        columns = (
            [np.concatenate([getattr(part, name) for part in parts]) for name in ("refs", "t_ms", "values")] if parts else None
        )
        return Samples(*columns) if columns else Samples(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))

    def _open(self, newer: Sequence[int]) -> bool:
        for folder in ("wal", HELD):  # in the order in which a segment moves
            try:
                self._reader = Reader(self._store / folder / file_name(self._segment, WAL_SUFFIX))
            except FileNotFoundError:
                continue
            self._layouts = {}
            return True
        if newer:
            self.lost_segments += newer[0] - self._segment
            self._segment, self._skip = newer[0], 0
            return self._open([])
        return False

    def _next(self, newer: Sequence[int]) -> bool:
        """Go on to the next segment, if there is one."""
        if not newer:
            return False
        self._leave()
        self.lost_segments += newer[0] - self._segment - 1
        self._segment, self._skip = newer[0], 0
        return True

    def _read(self, parts: list[Samples], at_least: int, *, final: bool) -> int:
        assert self._reader is not None
        count = 0
        for item in self._reader.read(final=final):
            if count >= at_least:
                break  # this record comes again
            if not isinstance(item, Gap):
                found = self._samples(item.kind, item.payload)
                # What was read before a restart is gone through again, for the layouts.
                if found is not None and self._reader.position >= self._skip:
                    parts.append(found)
                    count += len(found.refs)
        return count

    def _samples(self, kind: int, payload: bytes) -> Samples | None:
        if kind == Kind.LAYOUT:
            number, refs = records.unpack_layout(payload)
            self._layouts[number] = refs
        elif kind == Kind.SAMPLES:
            return Samples(*records.unpack_samples(payload))
        elif kind == Kind.SCRAPE:
            scrape = records.unpack_scrape(payload)
            refs = self._layouts.get(scrape.layout, np.empty(0, np.int64))
            if len(refs) == len(scrape.values):
                return Samples(refs, np.full(len(refs), scrape.t_ms, np.int64), scrape.values)
        return None


def hold(store: Path, number: int, path: Path) -> None:
    """Keep a segment that recovery does not need any more for its readers."""
    (store / HELD).mkdir(exist_ok=True, mode=0o700)
    path.rename(store / HELD / file_name(number, WAL_SUFFIX))


def release(store: Path, before: int, most_bytes: int) -> int:
    """Drop held segments that everybody has read, and the oldest ones beyond `most_bytes`; answers how many of those."""
    held = numbered(store / HELD, WAL_SUFFIX)
    for number, path in held:
        if number < before:
            path.unlink(missing_ok=True)
    sizes = [(path, path.stat().st_size) for number, path in held if number >= before]
    total, dropped = sum(size for _, size in sizes), 0
    for path, size in sizes:
        if total <= most_bytes:
            break
        path.unlink(missing_ok=True)
        total -= size
        dropped += 1
    return dropped
