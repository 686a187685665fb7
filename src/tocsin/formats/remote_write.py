"""Prometheus remote write: protobuf bodies of version 1.0 and 2.0 <-> `Batch`. Our own wire decoder.

Source: Prometheus Remote-Write 1.0 and 2.0 specifications (prometheus.WriteRequest, io.prometheus.write.v2.Request).
A request repeats the labels of each series; their bytes are the key of a bounded memo, so a known series costs one
dictionary look-up, and all ordinary samples of a request are decoded in one pass of numpy.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cramjam
import numpy as np

from tocsin.formats.protobuf import BYTES, BodyError, fields, signed, varint
from tocsin.formats.protobuf_write import delimited, labels_fields, sample_fields, to_varint
from tocsin.model.exemplar import Exemplar
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.series import Batch, Float64, Int64

PROTO_V1 = "prometheus.WriteRequest"
PROTO_V2 = "io.prometheus.write.v2.Request"
DEFAULT_MAX_BYTES = 32 << 20
MOST_LABEL_BYTES = 1 << 20
"""Of one series, before its labels are looked at: as objects they take a dozen times as much."""
_MEMO_BYTES = 64 << 20
_DOUBLE = struct.Struct("<d")
KINDS = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
# An ordinary sample: 0x12 0x10 | 0x09 double | 0x10 varint of 6 bytes (any instant from 2004 to 3084).
_SAMPLE_BYTES = 16
_TAIL = 2 + _SAMPLE_BYTES


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """A decoded request. `errors` name series that were left out and why; the rest is in `batch`."""

    batch: Batch
    metadata: tuple[tuple[str, str, str, str], ...] = ()
    """(metric, type, help, unit)"""
    errors: tuple[str, ...] = ()
    histograms: int = 0
    """Native histogram samples, which are not stored."""
    exemplars: tuple[tuple[Labels, Exemplar], ...] = ()
    """With the labels of their series."""


def decompress(body: bytes, encoding: str, *, max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
    """Undo `Content-Encoding` snappy (block format) or zstd. Looks at the declared length first; raises BodyError."""
    try:
        if encoding == "snappy":
            return _unsnappy(body, max_bytes)
        if encoding == "zstd":
            return _unzstd(body, max_bytes)
    except (cramjam.DecompressionError, IndexError) as error:
        raise BodyError(400, f"the body is not valid {encoding}: {error}") from error
    if encoding in ("", "identity"):
        _check_length(len(body), max_bytes)
        return body
    raise BodyError(415, f"content encoding {encoding!r} is not supported; use snappy or zstd")


def _check_length(length: int, max_bytes: int) -> None:
    if length > max_bytes:
        raise BodyError(413, f"the body has {length} bytes when decompressed; the limit is {max_bytes}")


def _unsnappy(body: bytes, max_bytes: int) -> bytes:
    length, start = varint(body, 0)
    _check_length(length, max_bytes)
    # The format cannot expand more than about 22 times per byte of a copy element.
    if length > (len(body) - start) * 64 + 64:
        raise BodyError(400, "the body is not valid snappy: it declares more than it can hold")
    return bytes(cramjam.snappy.decompress_raw(body))


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    declared = _zstd_length(body)
    if declared is not None:
        _check_length(declared, max_bytes)
    room = bytearray(min(max_bytes, declared if declared is not None else max_bytes) + 1)
    try:
        written = cramjam.zstd.decompress_into(body, room)
    except cramjam.DecompressionError as error:
        if "buffer" in str(error).lower() or "whole" in str(error).lower():
            raise BodyError(413, f"the body has more than {max_bytes} bytes when decompressed") from error
        raise
    _check_length(written, max_bytes)
    return bytes(memoryview(room)[:written])


def _zstd_length(body: bytes) -> int | None:
    """The content size that the first frame declares; None when it declares none."""
    if len(body) < 6 or body[:4] != b"\x28\xb5\x2f\xfd":
        raise BodyError(400, "the body is not valid zstd: no frame")
    flags = body[4]
    size_flag, single, dictionary = flags >> 6, flags >> 5 & 1, (0, 1, 2, 4)[flags & 3]
    size_bytes = (1 if single else 0, 2, 4, 8)[size_flag]
    at = 5 + (0 if single else 1) + dictionary
    if not size_bytes or at + size_bytes > len(body):
        return None
    return int.from_bytes(body[at : at + size_bytes], "little") + (256 if size_flag == 1 else 0)


class Decoder:
    """Decodes bodies; keeps the labels of series it has seen. Not thread-safe."""

    def __init__(self) -> None:
        self._memo: dict[bytes, Labels | str] = {}
        self._memo_bytes = 0

    def decode(self, data: bytes, proto: str = PROTO_V1) -> WriteRequest:
        """A decompressed body of the given message. Raises BodyError when the bytes are not that message."""
        try:
            if proto == PROTO_V1:
                return self._decode_v1(data)
            if proto == PROTO_V2:
                return self._decode_v2(data)
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise BodyError(400, f"the body is not a valid {proto}: {error}") from error
        raise BodyError(415, f"message {proto!r} is not supported; use {PROTO_V1} or {PROTO_V2}")

    def _decode_v1(self, data: bytes) -> WriteRequest:
        found = _Found()
        metadata = []
        at, end = 0, len(data)
        memo, places, labels_of = self._memo, found.places, found.labels
        while at < end:
            field, start, stop = _field(data, at, end)
            at = stop
            if field == 1:
                # Most series bring one ordinary sample: then what stands before its 18 bytes is a known key, or not.
                tail = stop - _TAIL
                if tail > start and data[tail] == 0x12 and data[tail + 1] == _SAMPLE_BYTES:
                    labels = memo.get(data[start:tail])
                    if labels.__class__ is Labels and data[tail + 2] == 0x09 and data[tail + 11] == 0x10:
                        places.append(tail + 3)
                        labels_of.append(labels)
                        continue
                self._series_v1(data, start, stop, found)
            elif field == 3:
                metadata.append(_metadata_v1(data, start, stop))
        return found.request(data, tuple(metadata))

    def _series_v1(self, data: bytes, start: int, end: int, found: _Found) -> None:
        at = start
        while at < end and data[at] == 0x0A:
            size = data[at + 1]
            at += 2 + size
            if size >= 0x80:
                length, at = varint(data, at - size - 1)
                at += length
        if at > end:
            raise BodyError(400, "a label runs over the end of its series")
        key = data[start:at]
        labels = self._memo.get(key)
        if len(key) > MOST_LABEL_BYTES:
            labels = f"invalid labels for series: {len(key)} bytes of labels; the limit is {MOST_LABEL_BYTES}"
        elif labels is None:
            labels = self._remember(key, _checked([_label(data, *span) for _, *span in _messages(data, start, at)]))
        exemplars = _samples(data, at, end, labels, found, histogram_field=4, label_field=1)
        if isinstance(labels, Labels):
            found.exemplars += [(labels, _exemplar_v1(data, *span)) for field, *span in exemplars if field == 3]

    def _remember(self, key: bytes, labels: Labels | str) -> Labels | str:
        cost = 6 * len(key) + 600
        if self._memo_bytes + cost > _MEMO_BYTES:
            self._memo.clear()
            self._memo_bytes = 0
        self._memo[key] = labels
        self._memo_bytes += cost
        return labels

    def _decode_v2(self, data: bytes) -> WriteRequest:
        found = _Found()
        symbols: list[str] = []
        spans = []
        for field, start, end in _messages(data, 0, len(data)):
            if field == 4:
                symbols.append(data[start:end].decode())
            elif field == 5:
                spans.append((start, end))
        if symbols and symbols[0] != "":
            raise BodyError(400, "the first symbol must be the empty string")
        metadata: dict[str, tuple[str, str, str, str]] = {}
        known: dict[bytes, Labels | str] = {}
        for start, end in spans:
            self._series_v2(data, start, end, symbols, known, metadata, found)
        return found.request(data, tuple(metadata.values()))

    def _series_v2(
        self, data: bytes, start: int, end: int, symbols: list[str], known: dict[bytes, Labels | str],
        metadata: dict[str, tuple[str, str, str, str]], found: _Found,
    ) -> None:  # fmt: skip
        at = start
        if at < end and data[at] == 0x0A:
            size, first = varint(data, at + 1)
            at = first + size
            if at > end:
                raise BodyError(400, "label references run over the end of their series")
            key = data[first:at]
        else:
            key = b""
        labels = known.get(key)
        if labels is None:
            labels = known[key] = _resolve(key, symbols)
        for field, inner, stop in _samples(data, at, end, labels, found, histogram_field=3, label_field=1):
            if field == 4 and isinstance(labels, Labels):
                found.exemplars.append((labels, _exemplar_v2(data, inner, stop, symbols)))
            elif field == 5 and isinstance(labels, Labels):
                metric = labels.get(METRIC_NAME)
                metadata[metric] = _metadata_v2(data, inner, stop, metric, symbols)


class _Found:
    """What was met so far: ordinary samples by place, the others with their values."""

    def __init__(self) -> None:
        self.labels: list[Labels] = []
        self.places: list[int] = []
        """Where the double of an ordinary sample stands; -1 - i = the i-th of `odd`."""
        self.odd: list[tuple[int, float]] = []
        self.errors: list[str] = []
        self.histograms = 0
        self.exemplars: list[tuple[Labels, Exemplar]] = []

    def request(self, data: bytes, metadata: tuple[tuple[str, str, str, str], ...]) -> WriteRequest:
        t_ms, values = _columns(data, np.array(self.places, np.int64), self.odd)
        batch = Batch(self.labels, t_ms, values)
        return WriteRequest(batch, metadata, tuple(self.errors), self.histograms, tuple(self.exemplars))


def _samples(
    data: bytes, at: int, end: int, labels: Labels | str, found: _Found, *,
    histogram_field: int, label_field: int,
) -> list[tuple[int, int, int]]:  # fmt: skip
    """Samples of a series from `at` on; answers the fields it does not know."""
    others: list[tuple[int, int, int]] = []
    good = isinstance(labels, Labels)
    if not good:
        found.errors.append(str(labels))
    count, rest = divmod(end - at, _TAIL)
    if count > 1 and not rest and good and _all_ordinary(data, at, end, count):
        found.places.extend(range(at + 3, end, _TAIL))
        found.labels.extend([labels] * count)  # type: ignore[list-item]
        return others
    while at < end:
        if data[at] == 0x12 and data[at + 1] == _SAMPLE_BYTES and data[at + 2] == 0x09 and data[at + 11] == 0x10:
            # The last byte of the varint is checked with the others, in numpy.
            place, at = at + 3, at + 2 + _SAMPLE_BYTES
            if at > end:
                raise BodyError(400, "a sample runs over the end of its series")
            if good:
                found.places.append(place)
                found.labels.append(labels)  # type: ignore[arg-type]
            continue
        field, start, stop = _field(data, at, end)
        at = stop
        if field == 2:
            if good:
                found.odd.append(_sample(data, start, stop))
                found.places.append(-len(found.odd))
                found.labels.append(labels)  # type: ignore[arg-type]
        elif field == histogram_field:
            found.histograms += 1
        elif field == label_field:
            raise BodyError(400, "labels after samples are not supported")
        else:
            others.append((field, start, stop))
    return others


def _all_ordinary(data: bytes, at: int, end: int, count: int) -> bool:
    """Whether [at, end) is nothing but ordinary samples: their fixed bytes stand 18 apart."""
    return (
        data[at:end:_TAIL] == b"\x12" * count
        and data[at + 1 : end : _TAIL] == b"\x10" * count
        and data[at + 2 : end : _TAIL] == b"\x09" * count
        and data[at + 11 : end : _TAIL] == b"\x10" * count
    )


def _columns(data: bytes, places: Int64, odd: Sequence[tuple[int, float]]) -> tuple[Int64, Float64]:
    """Times and values of samples by place."""
    t_ms, values = np.zeros(len(places), np.int64), np.zeros(len(places))
    plain = np.flatnonzero(places >= 0)
    if len(plain):
        raw = np.frombuffer(data, np.uint8)
        at = places[plain]
        values[plain] = raw[at[:, None] + np.arange(8)].view(np.float64)[:, 0]
        digits = raw[at[:, None] + np.arange(9, 15)].astype(np.int64)
        if not ((digits[:, :5] >= 0x80).all() and (digits[:, 5] < 0x80).all()):
            for place in plain.tolist():  # a varint of unusual length: read these samples one by one
                t_ms[place], values[place] = _sample(data, int(places[place]) - 1, int(places[place]) - 1 + _SAMPLE_BYTES)
        else:
            t_ms[plain] = ((digits & 0x7F) << (7 * np.arange(6))).sum(1)
    for place in np.flatnonzero(places < 0).tolist():
        t_ms[place], values[place] = odd[-int(places[place]) - 1]
    return t_ms, values


def _sample(data: bytes, start: int, end: int) -> tuple[int, float]:
    t_ms, value = 0, 0.0
    for field, wire, at, _ in fields(data, start, end):
        if field == 1 and wire == 1:
            (value,) = _DOUBLE.unpack_from(data, at)
        elif field == 2 and wire == 0:
            t_ms = signed(varint(data, at)[0])
    return t_ms, value


def _label(data: bytes, start: int, end: int) -> tuple[str, str]:
    name, value = "", ""
    for field, at, stop in _messages(data, start, end):
        if field == 1:
            name = data[at:stop].decode()
        elif field == 2:
            value = data[at:stop].decode()
    return name, value


def _checked(pairs: list[tuple[str, str]]) -> Labels | str:
    """The labels, or why they are not taken."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        return f"invalid labels for series, labels {Labels(pairs)}, duplicated label {double}"
    labels = Labels(pairs)
    if "" in names:
        return f"invalid labels for series, labels {labels}: empty label name"
    if METRIC_NAME not in labels:
        return f"invalid metric name or labels, got {labels}: no metric name"
    return labels


def _resolve(key: bytes, symbols: list[str]) -> Labels | str:
    """Labels from a packed list of symbol references: name, value, name, value, ..."""
    refs = _packed(key, 0, len(key))
    if len(refs) % 2 or any(number >= len(symbols) for number in refs):
        return "invalid labels for series: label references do not fit the symbols"
    return _checked([(symbols[name], symbols[value]) for name, value in zip(refs[::2], refs[1::2], strict=True)])


def _exemplar_v1(data: bytes, start: int, end: int) -> Exemplar:
    pairs, value, t_ms = [], 0.0, 0
    for field, wire, at, stop in fields(data, start, end):
        if field == 1 and wire == 2:
            pairs.append(_label(data, at, stop))
        elif field == 2 and wire == 1:
            (value,) = _DOUBLE.unpack_from(data, at)
        elif field == 3 and wire == 0:
            t_ms = signed(varint(data, at)[0])
    return Exemplar(Labels(pairs), value, t_ms)


def _exemplar_v2(data: bytes, start: int, end: int, symbols: list[str]) -> Exemplar:
    refs, value, t_ms = list[int](), 0.0, 0
    for field, wire, at, stop in fields(data, start, end):
        if field == 1 and wire == 2:
            refs += _packed(data, at, stop)
        elif field == 1 and wire == 0:
            refs.append(varint(data, at)[0])
        elif field == 2 and wire == 1:
            (value,) = _DOUBLE.unpack_from(data, at)
        elif field == 3 and wire == 0:
            t_ms = signed(varint(data, at)[0])
    pairs = zip(refs[::2], refs[1::2], strict=False)
    return Exemplar(Labels([(symbols[name], symbols[text]) for name, text in pairs]), value, t_ms)


def _packed(data: bytes, at: int, end: int) -> list[int]:
    found = []
    while at < end:
        number, at = varint(data, at)
        found.append(number)
    return found


def _metadata_v1(data: bytes, start: int, end: int) -> tuple[str, str, str, str]:
    kind, texts = 0, {2: "", 4: "", 5: ""}
    for field, wire, at, stop in fields(data, start, end):
        if field == 1 and wire == 0:
            kind = varint(data, at)[0]
        elif wire == 2 and field in texts:
            texts[field] = data[at:stop].decode()
    return texts[2], KINDS[kind] if kind < len(KINDS) else "unknown", texts[4], texts[5]


def _metadata_v2(data: bytes, start: int, end: int, metric: str, symbols: list[str]) -> tuple[str, str, str, str]:
    numbers = {1: 0, 3: 0, 4: 0}
    for field, wire, at, _ in fields(data, start, end):
        if wire == 0 and field in numbers:
            numbers[field] = varint(data, at)[0]
    kind = KINDS[numbers[1]] if numbers[1] < len(KINDS) else "unknown"
    texts = [symbols[numbers[which]] if numbers[which] < len(symbols) else "" for which in (3, 4)]
    return metric, kind, texts[0], texts[1]


# -- the wire format ------------------------------------------------------------------------------------------------------


def _messages(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Length-delimited fields: (field, start, end); others are skipped."""
    for field, wire, first, stop in fields(data, start, end):
        if wire == BYTES:
            yield field, first, stop


def _field(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """One field: (number, start, end) of its content."""
    key, size = data[at], data[at + 1]
    if key < 0x80 and key & 7 == 2:  # the usual case by hand: a length of one or two bytes
        if size < 0x80:
            start = at + 2
        elif data[at + 2] < 0x80:
            start = at + 3
            size = size & 0x7F | data[at + 2] << 7
        else:
            size, start = varint(data, at + 1)
        if start + size > end:
            raise BodyError(400, "a field runs over the end of its message")
        return key >> 3, start, start + size
    field, _, first, stop = next(fields(data, at, end))
    return field, first, stop


# -- encoding -------------------------------------------------------------------------------------------------------------


def encode(batch: Batch, metadata: Sequence[tuple[str, str, str, str]] = ()) -> bytes:
    """A snappy-compressed body of version 1.0; samples of equal labels that follow each other share a series."""
    out = bytearray()
    place, count = 0, len(batch.labels)
    while place < count:
        stop = place + 1
        while stop < count and batch.labels[stop] is batch.labels[place]:
            stop += 1
        samples = sample_fields(batch.t_ms[place:stop], batch.value[place:stop])
        out += delimited(1, labels_fields(batch.labels[place]) + samples)
        place = stop
    for metric, kind, help_text, unit in metadata:
        body = b"\x08" + to_varint(KINDS.index(kind) if kind in KINDS else 0)
        body += delimited(2, metric.encode()) + delimited(4, help_text.encode()) + delimited(5, unit.encode())
        out += delimited(3, body)
    return bytes(cramjam.snappy.compress_raw(bytes(out)))
