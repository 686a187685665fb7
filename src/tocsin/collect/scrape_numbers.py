"""Numbers out of a body, many at once: what exporters write, exactly as `float` reads it.

    1.5e+06     sign, digits before the dot, digits behind it, exponent: at most 15 digits in all

A mantissa of 15 digits is a whole number below 2^53, and so is a power of ten up to 10^22: one multiplication or division
of the two is correctly rounded (Clinger, "How to read floating point numbers accurately", 1990). Digits become a number
eight at a time, each column of a word at once (Lamport, "Multiple byte processing with full-word instructions", 1975).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tocsin.model.series import Bool, Float64, Int64

SHORTEST = 16
"""Bytes that a body must have at least."""
_MOST_DIGITS = 15
_EXPONENT = 4
"""Characters of `e+06`."""
_TENS = 10.0 ** np.arange(23)
_UInt64 = npt.NDArray[np.uint64]
_ZEROS = np.uint64(0x3030303030303030)
_HIGH = np.uint64(0xF0F0F0F0F0F0F0F0)
_SIX = np.uint64(0x0606060606060606)
_DOT, _MINUS, _PLUS, _ZERO, _E = b".-+0e"


def _digit_bytes() -> _UInt64:
    """By width: which of 16 bytes, as two words, are its last ones; [17, 2]."""
    inside = np.arange(SHORTEST) >= SHORTEST - np.arange(SHORTEST + 1)[:, None]
    return np.where(inside, 0xFF, 0).astype(np.uint8).view(np.uint64)


_INSIDE = _digit_bytes()
_WORD = 8
_LAST = _INSIDE[: _WORD + 1, 1].copy()
"""By width: the last bytes of one word [9], and what stands in for the others."""
_FILL = _ZEROS & ~_LAST


def read_decimals(text: bytes, starts: Int64, ends: Int64) -> tuple[Float64, Bool]:
    """Numbers at text[starts:ends] [m] -> values [m], and whether each could be read here (else its value means nothing).

    Some 30 ns each where they are short whole numbers and 100 otherwise, beside the 160 of a slice and `float`.
    """
    values, read = _short(text, starts, ends)
    if not read.all():
        rest = np.flatnonzero(~read)
        values[rest], read[rest] = _any_kind(text, starts[rest], ends[rest])
    return values, read


def _short(text: bytes, starts: Int64, ends: Int64) -> tuple[Float64, Bool]:
    """Those that are nothing but at most eight digits: most of what changes from scrape to scrape.

    One word each, worked on in place: between two scrapes the cache forgets, and every array that is new costs more than what
    is done with it.
    """
    widths = ends - starts
    windows: npt.NDArray[np.void] = np.ndarray((len(text) - _WORD + 1,), f"V{_WORD}", text, strides=(1,))
    words = windows[np.maximum(ends - _WORD, 0)].view(np.uint64)
    fits = (widths > 0) & (widths <= _WORD) & (ends >= _WORD)
    kind = np.where(fits, widths, 0)
    words &= _LAST[kind]
    words |= _FILL[kind]
    high = words & _HIGH
    # A digit is 0x30 to 0x39: its high half is 3, also with 6 added to it.
    fits &= high == _ZEROS
    np.add(words, _SIX, out=high)
    high &= _HIGH
    fits &= high == _ZEROS
    _joined(words)
    return words.astype(np.float64), fits


def _any_kind(text: bytes, starts: Int64, ends: Int64) -> tuple[Float64, Bool]:
    chars = np.frombuffer(text, np.uint8)
    signs = chars[np.minimum(starts, len(chars) - 1)] == _MINUS
    starts = starts + signs
    stops, power, read = ends, np.zeros(len(ends), np.int64), np.ones(len(ends), np.bool_)
    raised = (chars[np.maximum(ends - _EXPONENT, 0)] == _E) & (ends - starts > _EXPONENT)
    if raised.any():
        power[raised], read[raised] = _exponents(chars, ends[raised])
        stops = ends - np.where(raised, _EXPONENT, 0)
    mantissa, whole = _whole(text, starts, stops)
    whole &= stops > starts
    if not whole.all():
        rest = np.flatnonzero(~whole)
        mantissa[rest], decimals, whole[rest] = _with_dot(text, chars, starts[rest], stops[rest])
        power[rest] -= decimals
    size = np.abs(power)
    read &= whole & (size < len(_TENS))
    values, scale = mantissa.astype(np.float64), _TENS[np.minimum(size, len(_TENS) - 1)]
    values = np.where(power < 0, values / scale, values * scale)
    return np.where(signs, -values, values), read


def _exponents(chars: npt.NDArray[np.uint8], ends: Int64) -> tuple[Int64, Bool]:
    """What `+06` says before each end, and where it says something."""
    sign, tens, ones = chars[ends - 3], chars[ends - 2] - np.uint8(_ZERO), chars[ends - 1] - np.uint8(_ZERO)
    found = tens.astype(np.int64) * 10 + ones
    return np.where(sign == _MINUS, -found, found), (tens <= 9) & (ones <= 9) & ((sign == _PLUS) | (sign == _MINUS))


def _with_dot(text: bytes, chars: npt.NDArray[np.uint8], starts: Int64, stops: Int64) -> tuple[_UInt64, Int64, Bool]:
    """Digits around a dot as one whole number, how many stand behind it, and where that is what there is."""
    near = stops[:, None] - np.arange(1, SHORTEST + 1)
    dots = stops - 1 - (chars[np.maximum(near, 0)] == _DOT).argmax(1)
    before, first = _whole(text, starts, dots)
    after, second = _whole(text, dots + 1, stops)
    decimals = np.clip(stops - dots - 1, 0, _MOST_DIGITS)
    digits = stops - starts - 1
    good = first & second & (chars[np.maximum(dots, 0)] == _DOT) & (digits > 0) & (digits <= _MOST_DIGITS)
    return before * np.power(np.uint64(10), decimals.astype(np.uint64)) + after, decimals, good


def _whole(text: bytes, starts: Int64, ends: Int64) -> tuple[_UInt64, Bool]:
    """Digits at text[starts:ends] as numbers [m] (0 for none), and where there is nothing but at most 15 digits."""
    widths = ends - starts
    windows: npt.NDArray[np.void] = np.ndarray((len(text) - SHORTEST + 1,), f"V{SHORTEST}", text, strides=(1,))
    words = windows[np.maximum(ends - SHORTEST, 0)].view(np.uint64).reshape(-1, 2)
    inside = _INSIDE[np.clip(widths, 0, SHORTEST)]
    words = (words & inside) | (_ZEROS & ~inside)
    good = (((words & _HIGH) == _ZEROS) & (((words + _SIX) & _HIGH) == _ZEROS)).view(np.uint16).ravel() == 0x0101
    good &= (widths >= 0) & (widths <= _MOST_DIGITS) & (ends >= SHORTEST)
    _joined(words)
    return words[:, 0] * np.uint64(10**8) + words[:, 1], good


def _joined(words: _UInt64) -> None:
    """Eight digits each become their number, in place. Little-endian: the first digit is the lowest byte."""
    for digits, factor, shift in _STEPS:
        words &= digits
        words *= factor
        words >>= shift


_STEPS = tuple(
    (np.uint64(digits), np.uint64(factor), np.uint64(shift))
    for digits, factor, shift in (
        (0x0F0F0F0F0F0F0F0F, 2561, 8),  # pairs
        (0x00FF00FF00FF00FF, 6553601, 16),  # fours
        (0x0000FFFF0000FFFF, 42949672960001, 32),  # eights
    )
)
