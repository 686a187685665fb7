"""A block of Prometheus's store, read: series, float chunks, tombstones. Index versions 1 and 2.

    <ulid>/meta.json  index  tombstones  chunks/000001 ...

    index   magic u32, version u8 | symbols | series | ... | postings offsets | table of contents: six offsets u64, CRC-32C
    series  length uvarint | labels: count, (name, value)... as numbers of symbols | chunks: count, (from, span, place)... | CRC
    chunk   length uvarint | encoding u8 | data | CRC-32C

Everything is big-endian. What is damaged is left out and counted.
Source: Prometheus `tsdb/docs/format/{index,chunks,tombstones}.md`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tocsin.formats.crc32c import crc32c
from tocsin.model.labels import Labels

_INDEX_MAGIC, _CHUNKS_MAGIC, _TOMBSTONES_MAGIC = 0xBAAAD700, 0x85BD40DD, 0x0130BA30
_CONTENTS = 6 * 8 + 4
_XOR = 1
_HISTOGRAMS = (2, 3)
_MOST_SYMBOL = 1 << 26


class BlockError(ValueError):
    """The folder is not a readable block; says which file and why."""


@dataclass(frozen=True, slots=True)
class Series:
    """`chunks` are XOR chunks in order of time; `deleted` are spans [first ms, last ms]."""

    labels: Labels
    chunks: tuple[bytes, ...]
    deleted: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class Left:
    """What was left out."""

    histogram_chunks: int = 0
    damaged_chunks: int = 0
    damaged_series: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class PrometheusBlock:
    """One block folder. Raises BlockError when it cannot be read at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta = _meta(folder)
        self.left = Left()
        self._index = _Index(folder)
        self._tombstones = _tombstones(folder)
        self._segments: dict[int, bytes | None] = {}

    def series(self) -> Iterator[Series]:
        """Every series with its float chunks; those without any are left out."""
        for ref, place in self._index.places():
            try:
                labels, entries = self._index.series(place)
            except (BlockError, IndexError, UnicodeDecodeError, KeyError) as error:
                self.left.damaged_series += 1
                self.left.reasons[f"series: {error}"] += 1
                continue
            chunks = [chunk for entry in entries if (chunk := self._chunk(entry)) is not None]
            if chunks:
                yield Series(labels, tuple(chunks), tuple(self._tombstones.get(ref, ())))

    def _chunk(self, place: int) -> bytes | None:
        try:
            encoding, data = self._read_chunk(place >> 32, place & 0xFFFFFFFF)
        except (BlockError, IndexError) as error:
            self.left.damaged_chunks += 1
            self.left.reasons[f"chunk: {error}"] += 1
            return None
        if encoding in _HISTOGRAMS:
            self.left.histogram_chunks += 1
            return None
        if encoding != _XOR:
            self.left.damaged_chunks += 1
            self.left.reasons[f"chunk: encoding {encoding} does not exist"] += 1
            return None
        return data

    def _read_chunk(self, number: int, at: int) -> tuple[int, bytes]:
        segment = self._segment(number)
        size, start = _uvarint(segment, at)
        end = start + 1 + size
        if end + 4 > len(segment):
            raise BlockError(f"{number + 1:06d} ends within a chunk")
        if crc32c(segment[start:end]) != int.from_bytes(segment[end : end + 4], "big"):
            raise BlockError(f"checksum in {number + 1:06d}")
        return segment[start], segment[start + 1 : end]

    def _segment(self, number: int) -> bytes:
        if number not in self._segments:
            try:
                data: bytes | None = (self.folder / "chunks" / f"{number + 1:06d}").read_bytes()
            except OSError:
                data = None
            # Chunks stand in the order of series: of the files before, nothing is needed again.
            self._segments = {number: data}
        found = self._segments[number]
        if found is None or int.from_bytes(found[:4], "big") != _CHUNKS_MAGIC:
            raise BlockError(f"{number + 1:06d} is missing or no chunk file")
        return found


class _Index:
    def __init__(self, folder: Path) -> None:
        try:
            data = (folder / "index").read_bytes()
        except OSError as error:
            raise BlockError(f"{folder / 'index'}: {error.strerror}") from None
        if len(data) < 5 + _CONTENTS or int.from_bytes(data[:4], "big") != _INDEX_MAGIC:
            raise BlockError(f"{folder / 'index'} is not an index of Prometheus")
        self._version = data[4]
        if self._version not in (1, 2):
            raise BlockError(f"{folder / 'index'}: version {self._version} of the index is not known")
        contents = data[-_CONTENTS:]
        if crc32c(contents[:-4]) != int.from_bytes(contents[-4:], "big"):
            raise BlockError(f"{folder / 'index'}: the table of contents is damaged")
        offsets = [int.from_bytes(contents[at : at + 8], "big") for at in range(0, 48, 8)]
        self._data = data
        try:
            self._symbols = self._read_symbols(offsets[0])
            self._postings = self._all_postings(offsets[5])
        except (IndexError, UnicodeDecodeError) as error:
            raise BlockError(f"{folder / 'index'}: {error}") from None

    def _section(self, at: int) -> tuple[int, int]:
        """Start and end of a section's content; its checksum holds."""
        size = int.from_bytes(self._data[at : at + 4], "big")
        start, end = at + 4, at + 4 + size
        if end + 4 > len(self._data) or crc32c(self._data[start:end]) != int.from_bytes(self._data[end : end + 4], "big"):
            raise BlockError("a section of the index is damaged")
        return start, end

    def _read_symbols(self, at: int) -> dict[int, str]:
        """Texts by number, or in version 1 by their place in the file."""
        start, end = self._section(at)
        count, place = int.from_bytes(self._data[start : start + 4], "big"), start + 4
        symbols = {}
        for number in range(count):
            size, first = _uvarint(self._data, place)
            if first + size > end or size > _MOST_SYMBOL:
                raise BlockError("a symbol runs over its section")
            symbols[place if self._version == 1 else number] = self._data[first : first + size].decode()
            place = first + size
        return symbols

    def _all_postings(self, at: int) -> list[int]:
        """Numbers of all series: the postings of the empty name and value."""
        start, end = self._section(at)
        count, place = int.from_bytes(self._data[start : start + 4], "big"), start + 4
        for _ in range(count):
            keys, place = _uvarint(self._data, place)
            texts = []
            for _ in range(keys):
                size, first = _uvarint(self._data, place)
                texts.append(self._data[first : first + size])
                place = first + size
            offset, place = _uvarint(self._data, place)
            if place > end:
                raise BlockError("the table of postings is damaged")
            if texts == [b"", b""]:
                first, stop = self._section(offset)
                return [int.from_bytes(self._data[one : one + 4], "big") for one in range(first + 4, stop, 4)]
        return []

    def places(self) -> Iterator[tuple[int, int]]:
        """(number of a series, its place in the file)"""
        for ref in self._postings:
            yield ref, ref * 16 if self._version == 2 else ref

    def series(self, place: int) -> tuple[Labels, list[int]]:
        """Labels, and where the chunks stand."""
        data = self._data
        size, at = _uvarint(data, place)
        end = at + size
        if end + 4 > len(data) or crc32c(data[at:end]) != int.from_bytes(data[end : end + 4], "big"):
            raise BlockError("checksum")
        count, at = _uvarint(data, at)
        pairs = []
        for _ in range(count):
            name, at = _uvarint(data, at)
            value, at = _uvarint(data, at)
            pairs.append((self._symbols[name], self._symbols[value]))
        count, at = _uvarint(data, at)
        chunks: list[int] = []
        for number in range(count):
            _, at = _uvarint(data, at)  # from and span: the chunk says it itself
            _, at = _uvarint(data, at)
            raw, at = _uvarint(data, at)
            chunks.append(raw if not number else chunks[-1] + ((raw >> 1) ^ -(raw & 1)))
            if at > end:
                raise BlockError("chunk entries run over the series")
        return Labels(pairs), chunks


def _meta(folder: Path) -> dict[str, Any]:
    try:
        meta = orjson.loads((folder / "meta.json").read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise BlockError(f"{folder / 'meta.json'}: {error}") from None
    if not isinstance(meta, dict) or meta.get("version") != 1:
        raise BlockError(f"{folder / 'meta.json'}: only version 1 is known")
    return meta


def _tombstones(folder: Path) -> dict[int, list[tuple[int, int]]]:
    """Deleted spans by number of the series. Raises BlockError: without them, deleted samples would come back."""
    try:
        data = (folder / "tombstones").read_bytes()
    except OSError:
        return {}
    if len(data) < 9 or int.from_bytes(data[:4], "big") != _TOMBSTONES_MAGIC or data[4] != 1:
        raise BlockError(f"{folder / 'tombstones'} is not a tombstones file of version 1")
    end = len(data) - 4
    if crc32c(data[5:end]) != int.from_bytes(data[end:], "big"):
        raise BlockError(f"{folder / 'tombstones'}: checksum")
    found: dict[int, list[tuple[int, int]]] = {}
    at = 5
    while at < end:
        ref, at = _uvarint(data, at)
        low, at = _uvarint(data, at)
        high, at = _uvarint(data, at)
        found.setdefault(ref, []).append(((low >> 1) ^ -(low & 1), (high >> 1) ^ -(high & 1)))
    return found


def _uvarint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(10):
        byte = data[at + count]
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return value, at + count + 1
    raise BlockError("a number has more than ten bytes")
