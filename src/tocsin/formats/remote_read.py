"""Prometheus remote read: a protobuf request of several queries; the answer as samples, or as a stream of XOR chunks.

    SAMPLES               snappy(prometheus.ReadResponse)
    STREAMED_XOR_CHUNKS   frames: length uvarint | CRC-32C of the message u32 (big-endian) | prometheus.ChunkedReadResponse

Source: Prometheus `prompb/remote.proto`, `storage/remote/codec.go`, `chunked.go`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cramjam
import numpy as np
import re2

from tocsin.formats import xor_chunk
from tocsin.formats.crc32c import crc32c
from tocsin.formats.protobuf import BYTES, VARINT, BodyError, fields, signed, varint
from tocsin.formats.protobuf_write import delimited, labels_fields, number, sample_fields, to_varint
from tocsin.formats.remote_write import decompress
from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.ports import SelectHints
from tocsin.model.series import Float64, Int64

MAX_REQUEST = 32 << 20
"""Bytes of a decompressed request, as in Prometheus."""
MAX_FRAME = 1 << 20
"""Bytes of a frame after which the next one begins, as in Prometheus; one chunk more may stand in it."""
SAMPLES_TYPE = "application/x-protobuf"
CHUNKS_TYPE = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
_OPS = (MatchOp.EQUAL, MatchOp.NOT_EQUAL, MatchOp.REGEX, MatchOp.NOT_REGEX)
_MAX_QUERIES = 1000
_XOR = 1
_TOGETHER = 100_000
"""Samples encoded at once."""

Series = tuple[Labels, Int64, Float64]
"""Labels and the samples that are there: times ascending, values."""


class ResponseType(enum.IntEnum):
    SAMPLES = 0
    STREAMED_XOR_CHUNKS = 1


@dataclass(frozen=True, slots=True)
class ReadQuery:
    """Series that pass every matcher, within [start, end]. The hints say what they are wanted for."""

    start_ms: int
    end_ms: int
    matchers: tuple[Matcher, ...]
    hints: SelectHints


@dataclass(frozen=True, slots=True)
class ReadRequest:
    queries: tuple[ReadQuery, ...]
    response_type: ResponseType


def decode_request(body: bytes) -> ReadRequest:
    """A body as sent (snappy). Raises BodyError."""
    data = decompress(body, "snappy", max_bytes=MAX_REQUEST)
    queries, accepted = [], []
    try:
        for field, wire, start, end in fields(data, 0, len(data)):
            if field == 1 and wire == BYTES:
                queries.append(_query(data, start, end))
                if len(queries) > _MAX_QUERIES:
                    raise BodyError(400, f"a request may hold {_MAX_QUERIES} queries")
            elif field == 2:
                accepted += _enums(data, wire, start, end)
    except (IndexError, UnicodeDecodeError) as error:
        raise BodyError(400, f"the body is not a prometheus.ReadRequest: {error}") from None
    return ReadRequest(tuple(queries), _negotiated(accepted))


def _enums(data: bytes, wire: int, start: int, end: int) -> list[int]:
    """Numbers of a repeated field, packed or one by one."""
    if wire == VARINT:
        return [varint(data, start)[0]]
    found = []
    while wire == BYTES and start < end:
        value, start = varint(data, start)
        found.append(value)
    return found


def _negotiated(accepted: Sequence[int]) -> ResponseType:
    """The first type that we have too; senders from before there were types name none."""
    for one in accepted:
        if one in (ResponseType.SAMPLES, ResponseType.STREAMED_XOR_CHUNKS):
            return ResponseType(one)
    if not accepted:
        return ResponseType.SAMPLES
    ours = [kind.name for kind in ResponseType]
    raise BodyError(400, f"server does not support any of the requested response types: {list(accepted)}; supported: {ours}")


def _query(data: bytes, start: int, end: int) -> ReadQuery:
    start_ms = end_ms = 0
    matchers, hints = [], SelectHints()
    for field, wire, first, stop in fields(data, start, end):
        if field == 1 and wire == VARINT:
            start_ms = signed(varint(data, first)[0])
        elif field == 2 and wire == VARINT:
            end_ms = signed(varint(data, first)[0])
        elif field == 3 and wire == BYTES:
            matchers.append(_matcher(data, first, stop))
        elif field == 4 and wire == BYTES:
            hints = _hints(data, first, stop)
    return ReadQuery(start_ms, end_ms, tuple(matchers), hints)


def _matcher(data: bytes, start: int, end: int) -> Matcher:
    kind, texts = 0, {2: "", 3: ""}
    for field, wire, first, stop in fields(data, start, end):
        if field == 1 and wire == VARINT:
            kind = varint(data, first)[0]
        elif field in texts and wire == BYTES:
            texts[field] = data[first:stop].decode()
    if kind >= len(_OPS):
        raise BodyError(400, "invalid matcher type")
    try:
        return Matcher(texts[2], _OPS[kind], texts[3])
    except re2.error as error:
        raise BodyError(400, f"the matcher for {texts[2]!r} is not a regular expression: {error}") from None


def _hints(data: bytes, start: int, end: int) -> SelectHints:
    numbers, func = {1: 0, 7: 0}, ""
    for field, wire, first, stop in fields(data, start, end):
        if field in numbers and wire == VARINT:
            numbers[field] = signed(varint(data, first)[0])
        elif field == 2 and wire == BYTES:
            func = data[first:stop].decode()
    return SelectHints(func=func, step_ms=numbers[1], range_ms=numbers[7])


# -- answers -------------------------------------------------------------------------------------------------------------


def encode_samples(results: Iterable[Iterable[Series]]) -> bytes:
    """The body of a SAMPLES answer: one result per query, in order."""
    out = []
    for result in results:
        series = [delimited(1, labels_fields(labels) + sample_fields(t_ms, values)) for labels, t_ms, values in result]
        out.append(delimited(1, b"".join(series)))
    return bytes(cramjam.snappy.compress_raw(b"".join(out)))


def encode_chunks(query: int, series: Iterable[Series]) -> Iterator[bytes]:
    """The frames of one query of a STREAMED_XOR_CHUNKS answer, a series per frame at most; series come sorted by labels."""
    waiting: list[Series] = []
    samples = 0
    for one in series:
        waiting.append(one)
        samples += len(one[1])
        if samples >= _TOGETHER:
            yield from _frames(query, waiting)
            waiting, samples = [], 0
    yield from _frames(query, waiting)


def _frames(query: int, series: Sequence[Series]) -> Iterator[bytes]:
    encoded = iter(_chunks(series))
    for labels, t_ms, _ in series:
        named = labels_fields(labels)
        chunks: list[bytes] = []
        size = len(named)
        for _ in range(0, len(t_ms), xor_chunk.SAMPLES_PER_CHUNK):
            chunk = next(encoded)
            if chunks and size + len(chunk) > MAX_FRAME:
                yield _frame(query, named, chunks)
                chunks, size = [], len(named)
            chunks.append(chunk)
            size += len(chunk)
        yield _frame(query, named, chunks)


def _chunks(series: Sequence[Series]) -> list[bytes]:
    """`Chunk` fields of all series, one after the other, encoded in one go."""
    if not series:
        return []
    ends = np.cumsum([len(t_ms) for _, t_ms, _ in series])
    each = xor_chunk.SAMPLES_PER_CHUNK
    starts = np.concatenate([np.arange(end - len(one[1]), end, each) for end, one in zip(ends.tolist(), series, strict=True)])
    t_ms, values = np.concatenate([one[1] for one in series]), np.concatenate([one[2] for one in series])
    lasts = np.append(starts[1:], len(t_ms)) - 1
    columns = zip(xor_chunk.encode(t_ms, values, starts), t_ms[starts].tolist(), t_ms[lasts].tolist(), strict=True)
    return [delimited(2, number(1, low) + number(2, high) + number(3, _XOR) + delimited(4, data)) for data, low, high in columns]


def _frame(query: int, named: bytes, chunks: list[bytes]) -> bytes:
    message = delimited(1, named + b"".join(chunks)) + number(2, query)
    return to_varint(len(message)) + crc32c(message).to_bytes(4, "big") + message
