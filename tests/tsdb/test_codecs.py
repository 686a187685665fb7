"""The codecs of chunks: every bit pattern comes back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.model.series import ABSENT_BITS, NAN_BITS, STALE_BITS, Float64
from tocsin.tsdb import matrix_codec, narrow

_SPECIAL = np.array([ABSENT_BITS, NAN_BITS, STALE_BITS, 1 << 63, 0x7FF0 << 48, 0xFFF0 << 48, 1], np.uint64)


@st.composite
def matrices(draw: st.DrawFn) -> Float64:
    """Rows of the kinds that occur: constants, counters, gauges with decimals, noise; with special values here and there."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows, columns = draw(st.integers(1, 40)), draw(st.integers(1, 70))
    makers = (
        lambda: np.full(columns, random.normal()),
        lambda: np.cumsum(random.integers(0, 10 ** random.integers(1, 12), columns)).astype(float),
        lambda: np.round(random.normal(0, 100, columns), int(random.integers(0, 8))),
        lambda: random.normal(0, 10.0 ** random.integers(-300, 300), columns),
        lambda: np.full(columns, np.nan),
    )
    values = np.stack([makers[random.integers(len(makers))]() for _ in range(rows)])
    bits = values.view(np.uint64)
    hit = random.random((rows, columns)) < draw(st.sampled_from([0, 0, 0.02, 0.3, 1]))
    bits[hit] = random.choice(_SPECIAL, int(hit.sum()))
    return values


@given(values=matrices())
@settings(max_examples=80, deadline=None)
def test_sealed_windows_keep_every_bit(values: Float64) -> None:
    data = narrow.encode(values)
    wanted = np.random.default_rng(1).permutation(len(values))[: len(values) // 2 + 1]
    np.testing.assert_array_equal(narrow.decode(data, wanted).view(np.uint64), values.view(np.uint64)[wanted])


@given(values=matrices())
@settings(max_examples=80, deadline=None)
def test_block_chunks_keep_every_bit(values: Float64) -> None:
    data = matrix_codec.encode(values)
    np.testing.assert_array_equal(matrix_codec.decode(data).view(np.uint64), values.view(np.uint64))


@given(values=matrices())
@settings(max_examples=30, deadline=None)
def test_loose_columns_keep_every_bit(values: Float64) -> None:
    t_ms = np.cumsum(np.arange(values.size)) - 10**12
    found_t, found = matrix_codec.decode_loose(matrix_codec.encode_loose(t_ms, values.ravel()))
    np.testing.assert_array_equal(found_t, t_ms)
    np.testing.assert_array_equal(found.view(np.uint64), values.ravel().view(np.uint64))


def test_counters_and_decimals_take_about_a_byte() -> None:
    random = np.random.default_rng(7)
    counters = np.cumsum(random.integers(0, 200, (256, 480)), axis=1).astype(float)
    gauges = np.round(50 + np.cumsum(random.normal(0, 0.1, (256, 480)), axis=1), 2)
    assert len(matrix_codec.encode(counters)) / counters.size < 1.1
    assert len(matrix_codec.encode(gauges)) / gauges.size < 1.2
    assert len(narrow.encode(counters)) / counters.size < 1.5
