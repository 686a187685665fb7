"""Exemplars: the newest `capacity` of all series together, in memory, as in Prometheus (`tsdb/exemplar.go`).

They come back after a restart: the log holds them, and a file beside it those of segments that are gone.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import orjson

from tocsin.model.exemplar import Exemplar
from tocsin.model.labels import Labels, Matcher, all_match
from tocsin.tsdb import sections
from tocsin.tsdb.disk import Disk

FILE = "exemplars"
MOST_LABEL_CHARACTERS = 128
_SECTION = 1
_AT_ONCE = 500

TOO_LONG = "label length for exemplar exceeds maximum of 128 UTF-8 characters"
OUT_OF_ORDER = "out of order exemplar"

Named = tuple[Labels, Exemplar]
"""Labels of the series, and one of its exemplars."""


class ExemplarStore:
    """A ring over all series. Thread-safe."""

    def __init__(self, capacity: int = 0) -> None:
        self.capacity = capacity
        self._ring: deque[Named] = deque()
        self._by_series: dict[Labels, deque[Exemplar]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._ring)

    def resize(self, capacity: int) -> None:
        """The oldest go when there is less room."""
        with self._lock:
            self.capacity = capacity
            while len(self._ring) > capacity:
                self._drop_oldest()

    def add(self, series: Labels, exemplar: Exemplar) -> str | None:
        """Keep one. Answers why not: "" = it is there already, else a reason; None = kept."""
        if sum(len(name) + len(value) for name, value in exemplar.labels.pairs) > MOST_LABEL_CHARACTERS:
            return TOO_LONG
        with self._lock:
            if not self.capacity:
                return ""
            known = self._by_series.get(series)
            if known:
                newest = known[-1]
                if newest.same(exemplar):
                    return ""
                if _order(exemplar) < _order(newest):
                    return OUT_OF_ORDER
            if len(self._ring) >= self.capacity:
                self._drop_oldest()
            # What was dropped may have been the last one of this very series.
            self._by_series.setdefault(series, deque()).append(exemplar)
            self._ring.append((series, exemplar))
            return None

    def add_all(self, listed: Iterable[Named]) -> tuple[list[Named], dict[str, int]]:
        """Those that were kept, and the refused ones by reason."""
        kept, refused = list[Named](), dict[str, int]()
        for series, exemplar in listed:
            reason = self.add(series, exemplar)
            if reason is None:
                kept.append((series, exemplar))
            elif reason:
                refused[reason] = refused.get(reason, 0) + 1
        return kept, refused

    def _drop_oldest(self) -> None:
        series, _ = self._ring.popleft()
        own = self._by_series[series]
        own.popleft()
        if not own:
            del self._by_series[series]

    def select(self, sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[tuple[Labels, list[Exemplar]]]:
        """By series that passes one of the matcher lists, within [start, end], sorted."""
        with self._lock:
            listed = [(series, list(own)) for series, own in self._by_series.items()]
        out = []
        for series, own in listed:
            inside = [one for one in own if start_ms <= one.t_ms <= end_ms]
            if inside and any(all_match(matchers, series) for matchers in sets):
                out.append((series, inside))
        return sorted(out, key=lambda one: one[0].pairs)

    def everything(self) -> list[Named]:
        """Oldest first."""
        with self._lock:
            return list(self._ring)


def _order(exemplar: Exemplar) -> tuple[object, ...]:
    return exemplar.t_ms, exemplar.value, exemplar.labels.pairs


def pack(capacity: int, exemplars: Iterable[Named]) -> bytes:
    """A WAL record: the capacity, and per exemplar the series' labels, its own, value (hexadecimal), time, whether it had one."""
    rows = [[s.pairs, e.labels.pairs, float(e.value).hex(), e.t_ms, e.timed] for s, e in exemplars]
    return orjson.dumps([capacity, rows])


def records(capacity: int, exemplars: Sequence[Named]) -> Iterator[bytes]:
    """Records of a moderate size."""
    for start in range(0, len(exemplars), _AT_ONCE):
        yield pack(capacity, exemplars[start : start + _AT_ONCE])


def unpack(data: bytes) -> tuple[int, list[Named]]:
    capacity, rows = orjson.loads(data)
    return capacity, [
        (Labels(dict(series)), Exemplar(Labels(dict(own)), float.fromhex(value), t_ms, timed))
        for series, own, value, t_ms, timed in rows
    ]


def write_file(folder: Path, store: ExemplarStore, disk: Disk) -> None:
    """Everything to a file, a few at a time so that other threads get their turn. Raises OSError."""
    parts = [sections.pack(_SECTION, record) for record in records(store.capacity, store.everything())]
    disk.replace(folder / FILE, b"".join(parts))


def read_file(folder: Path) -> Iterator[tuple[int, list[Named]]]:
    """What `write_file` wrote; damaged parts are reported and left out."""
    try:
        data = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return
    for _, payload in sections.unpack(data, part="exemplars", where=FILE):
        yield unpack(bytes(payload))
