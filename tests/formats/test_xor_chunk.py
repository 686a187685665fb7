"""XOR chunks: what is written reads back, whatever the values; damaged bytes are refused or misread, never more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.formats import xor_chunk
from tocsin.formats.crc32c import crc32c

SAMPLES = st.lists(
    st.tuples(
        st.sampled_from([1, 10, 14_999, 15_000, 15_001, 8_192, 65_536, 524_288, 10**9, 10**12]),
        st.one_of(st.floats(width=64), st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf")])),
    ),
    min_size=1,
    max_size=60,
)


@given(SAMPLES, st.integers(-(10**13), 10**13), st.integers(1, 60))
def test_what_is_written_reads_back(samples, start_ms, size):
    t_ms = start_ms + np.cumsum([gap for gap, _ in samples])
    values = np.array([value for _, value in samples])
    found = xor_chunk.decode(xor_chunk.encode(t_ms, values, np.arange(0, len(t_ms), size)))
    assert all(one is not None for one in found)
    assert np.concatenate([one[0] for one in found]).tolist() == t_ms.tolist()
    assert np.concatenate([one[1] for one in found]).view(np.uint64).tolist() == values.view(np.uint64).tolist()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    (found,) = xor_chunk.decode([data])
    assert found is None or len(found[0]) == len(found[1]) == int.from_bytes(data[:2], "big")


def test_a_cut_chunk_is_refused():
    t_ms, values = np.arange(120) * 15_000, np.random.default_rng(1).normal(size=120)
    (chunk,) = xor_chunk.encode(t_ms, values, np.array([0]))
    assert xor_chunk.decode([chunk[:-8], chunk, b"", b"\x00"])[1] is not None
    assert [one is None for one in xor_chunk.decode([chunk[:-8], b"", b"\x00", b"\xff\xff\x00"])] == [True] * 4


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_the_checksum_is_castagnolis(data, expected):
    assert crc32c(data) == expected


def test_the_checksum_of_much_is_that_of_little():
    data = np.random.default_rng(2).integers(0, 256, 100_001, np.uint8).tobytes()
    known = [0xFFFFFFFF]
    for byte in data:
        state = known[0] ^ byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
        known[0] = state
    assert crc32c(data) == known[0] ^ 0xFFFFFFFF
