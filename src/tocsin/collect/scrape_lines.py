"""Which lines of a scrape changed since the one before, found on whole bodies: no object per line.

    before   a 1\\nb 22\\nc 3\\n          cut behind each line whose width changed,
    aligned  a 1\\nb 22\\0\\0\\nc 3\\n      each piece brought to its new width,
    after    a 1\\nb 4444\\nc 3\\n        then compared byte by byte

Objects of 2,000 lines lie scattered in memory, and touching each costs more than comparing 200 KB that lie in a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tocsin.model.series import Int64

Int32 = npt.NDArray[np.int32]
_NEWLINE = 10
_WORD = 8
_WORD_BITS = 3
_NOWHERE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Body:
    """Lines of a body that ends with a line break; `ends` [n] is where the break of each line stands."""

    text: bytes
    ends: Int32

    @classmethod
    def of(cls, text: bytes) -> Body:
        if not text.endswith(b"\n"):
            text += b"\n"
        return cls(text, np.flatnonzero(np.frombuffer(text, np.uint8) == _NEWLINE).astype(np.int32))

    @property
    def starts(self) -> Int32:
        """Where each line begins, [n]."""
        starts = np.empty_like(self.ends)
        starts[0] = 0
        np.add(self.ends[:-1], 1, out=starts[1:])
        return starts

    def lines(self) -> list[bytes]:
        return self.text.split(b"\n")[:-1]


def following(before: Body, text: bytes) -> tuple[Body, Int64 | None]:
    """The body that comes after `before`, and the places of the bytes that differ; None where lines may have moved."""
    if len(text) == len(before.text) and text.endswith(b"\n"):
        at = _differing(before.text, text)
        old, new = np.frombuffer(before.text, np.uint8), np.frombuffer(text, np.uint8)
        if not ((old[at] == _NEWLINE).any() or (new[at] == _NEWLINE).any()):
            return Body(text, before.ends), at
    return Body.of(text), None


def changed(before: Body, after: Body, at: Int64 | None = None) -> tuple[Int64, Int64]:
    """Lines that differ, and where in the body of `after` each has its first differing byte, both [m].

    The bodies must have equally many lines. A line of another width always differs, at its end at the latest. `at` is what
    `following` found.
    """
    if at is None:
        shift = after.ends - before.ends
        shifts = np.flatnonzero(np.not_equal(shift, np.append(np.int32(0), shift[:-1]))) if shift.any() else _NOWHERE
        at = _differing(before.text if not len(shifts) else _aligned(before, after, shifts), after.text)
    line = after.ends.searchsorted(at.astype(np.int32))
    first = np.ones(len(line), np.bool_)
    np.not_equal(line[1:], line[:-1], out=first[1:])
    return line[first], at[first]


def _differing(old: bytes, new: bytes) -> Int64:
    """Where two bodies of one length differ, byte by byte: looked for eight at a time, of which most are equal."""
    whole = len(new) // _WORD
    a, b = np.frombuffer(old, np.uint64, whole), np.frombuffer(new, np.uint64, whole)
    words = np.flatnonzero(a != b)
    hits = np.flatnonzero((a[words] ^ b[words]).view(np.uint8))
    inside = words[hits >> _WORD_BITS] * _WORD + (hits & _WORD - 1)
    rest = whole * _WORD
    behind = [place for place in range(rest, len(new)) if old[place] != new[place]]
    return np.append(inside, behind).astype(np.int64) if behind else inside


def _aligned(before: Body, after: Body, shifts: Int64) -> bytes:
    """The body before with every line where it stands in `after`; `shifts` are the lines of another width."""
    old = [0, *(before.ends[shifts] + 1).tolist(), len(before.text)]
    new = [0, *(after.ends[shifts] + 1).tolist(), len(after.text)]
    widths = map(int.__sub__, new[1:], new)
    return b"".join(
        [
            before.text[start : min(stop, start + width)].ljust(width, b"\0")
            for start, stop, width in zip(old, old[1:], widths, strict=False)
        ]
    )
