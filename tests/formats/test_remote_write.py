"""Remote write bodies: versions 1.0 and 2.0, what is left out, what is refused, and bombs."""

from __future__ import annotations

import contextlib
import struct

import cramjam
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.formats.remote_write import (
    PROTO_V1,
    PROTO_V2,
    BodyError,
    Decoder,
    WriteRequest,
    decompress,
    encode,
)
from tocsin.model.labels import Labels
from tocsin.model.series import STALE_NAN, Batch


def varint(value: int) -> bytes:
    out = bytearray()
    value &= 0xFFFFFFFFFFFFFFFF
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def label(name: str, value: str) -> bytes:
    return field(1, field(1, name.encode()) + field(2, value.encode()))


def sample(value: float, t_ms: int) -> bytes:
    return field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(t_ms))


def decode(data: bytes, proto: str = PROTO_V1) -> WriteRequest:
    return Decoder().decode(data, proto)


T = 1_700_000_000_123


@given(
    series=st.lists(
        st.tuples(
            st.dictionaries(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=200), max_size=4),
            st.lists(st.tuples(st.integers(-(2**62), 2**62), st.floats()), max_size=4),
        ),
        max_size=6,
    )
)
@settings(max_examples=60, deadline=None)
def test_what_is_encoded_is_decoded(series: list[tuple[dict[str, str], list[tuple[int, float]]]]) -> None:
    labels, times, values = [], [], []
    for pairs, samples in series:
        one = Labels({**pairs, "__name__": "m"})
        for t_ms, value in samples:
            labels.append(one)
            times.append(t_ms)
            values.append(value)
    batch = Batch(labels, np.array(times, np.int64), np.array(values, np.float64))
    found = decode(decompress(encode(batch), "snappy"))
    assert list(found.batch.labels) == labels
    assert found.batch.t_ms.tolist() == times
    assert found.batch.value.view(np.uint64).tolist() == batch.value.view(np.uint64).tolist()


def test_staleness_markers_keep_their_bits() -> None:
    body = field(1, label("__name__", "m") + sample(STALE_NAN, T))
    assert decode(body).batch.value.view(np.uint64).tolist() == [0x7FF0000000000002]


def test_unusual_samples_stand_between_usual_ones() -> None:
    zero_time = field(2, b"\x09" + struct.pack("<d", 5.0))
    reversed_fields = field(2, b"\x10" + varint(T) + b"\x09" + struct.pack("<d", 6.0))
    body = field(1, label("__name__", "m") + sample(1, T) + zero_time + sample(2, -1) + reversed_fields + sample(3, 10**15))
    batch = decode(body).batch
    assert batch.value.tolist() == [1, 5, 2, 6, 3]
    assert batch.t_ms.tolist() == [T, 0, -1, T, 10**15]


def test_metadata_histograms_and_exemplars_of_version_one() -> None:
    metadata = field(3, b"\x08\x01" + field(2, b"m_total") + field(4, b"Help.") + field(5, b"s"))
    body = field(1, label("__name__", "m") + sample(1, T) + field(3, b"") + field(4, b"")) + metadata
    found = decode(body)
    assert found.metadata == (("m_total", "counter", "Help.", "s"),)
    assert (found.histograms, [str(series) for series, _ in found.exemplars]) == (1, ["m"])


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        (label("a", "b"), "no metric name"),
        (label("__name__", "m") + label("a", "1") + label("a", "2"), "duplicated label a"),
        (label("__name__", "m") + label("", "1"), "empty label name"),
    ],
)
def test_a_bad_series_is_left_out_and_named_while_the_others_stay(labels: bytes, error: str) -> None:
    good = field(1, label("__name__", "good") + sample(1, T))
    found = decode(field(1, labels + sample(1, T) + sample(2, T + 1)) + good)
    assert [one["__name__"] for one in found.batch.labels] == ["good"]
    assert len(found.errors) == 1 and error in found.errors[0]


def v2(symbols: list[str], *series: bytes) -> bytes:
    return b"".join(field(4, one.encode()) for one in symbols) + b"".join(field(5, one) for one in series)


def refs(*numbers: int) -> bytes:
    return field(1, b"".join(map(varint, numbers)))


def test_version_two_resolves_symbols_and_metadata() -> None:
    symbols = ["", "__name__", "m_total", "host", "a", "Help.", "seconds"]
    metadata = field(5, b"\x08\x01\x18\x05\x20\x06")
    found = decode(v2(symbols, refs(1, 2, 3, 4) + sample(1.5, T) + sample(2.5, T + 1) + metadata), PROTO_V2)
    assert found.batch.labels[0] == Labels({"__name__": "m_total", "host": "a"})
    assert found.batch.value.tolist() == [1.5, 2.5]
    assert found.metadata == (("m_total", "counter", "Help.", "seconds"),)


def test_version_two_leaves_out_references_beyond_the_symbols() -> None:
    found = decode(v2(["", "__name__", "m"], refs(1, 9) + sample(1, T), refs(1, 2) + sample(2, T)), PROTO_V2)
    assert found.batch.value.tolist() == [2.0]
    assert "do not fit" in found.errors[0]


def test_version_two_needs_the_empty_symbol_first() -> None:
    with pytest.raises(BodyError, match="empty string"):
        decode(v2(["__name__", "m"], refs(0, 1) + sample(1, T)), PROTO_V2)


@pytest.mark.parametrize("encoding", ["snappy", "zstd"])
def test_a_decompression_bomb_is_refused_by_its_size(encoding: str) -> None:
    data = bytes(8 << 20)
    body = bytes(cramjam.snappy.compress_raw(data) if encoding == "snappy" else cramjam.zstd.compress(data))
    assert decompress(body, encoding) == data
    with pytest.raises(BodyError) as refused:
        decompress(body, encoding, max_bytes=1 << 20)
    assert refused.value.status == 413


def test_a_stream_that_declares_no_size_stops_at_the_limit() -> None:
    compressor = cramjam.zstd.Compressor()
    compressor.compress(bytes(4 << 20))
    body = bytes(compressor.finish())
    with pytest.raises(BodyError) as refused:
        decompress(body, "zstd", max_bytes=1 << 20)
    assert refused.value.status == 413
    assert len(decompress(body, "zstd", max_bytes=4 << 20)) == 4 << 20


def test_a_lying_snappy_length_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(BodyError) as refused:
        decompress(varint(30 << 20) + b"abc", "snappy")
    assert refused.value.status == 400


@pytest.mark.parametrize(("body", "encoding", "status"), [(b"", "snappy", 400), (b"junk", "zstd", 400), (b"x", "br", 415)])
def test_what_cannot_be_decompressed_is_refused(body: bytes, encoding: str, status: int) -> None:
    with pytest.raises(BodyError) as refused:
        decompress(body, encoding)
    assert refused.value.status == status


def test_an_unknown_message_is_refused() -> None:
    with pytest.raises(BodyError) as refused:
        decode(b"", "prometheus.ReadRequest")
    assert refused.value.status == 415


@given(data=st.binary(max_size=200), proto=st.sampled_from([PROTO_V1, PROTO_V2]))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_request_or_an_error(data: bytes, proto: str) -> None:
    with contextlib.suppress(BodyError):
        decode(data, proto)


@given(cut=st.integers(0, 400), place=st.integers(0, 400), value=st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_mutated_requests_are_a_request_or_an_error(cut: int, place: int, value: int) -> None:
    body = bytearray(
        b"".join(field(1, label("__name__", "m") + label("n", str(n)) + sample(n, T + n)) for n in range(8))
        + field(3, b"\x08\x01" + field(2, b"m"))
    )
    if place < len(body):
        body[place] = value
    try:
        found = decode(bytes(body[: len(body) - cut]))
    except BodyError:
        return
    assert len(found.batch.labels) == len(found.batch.t_ms) == len(found.batch.value)
