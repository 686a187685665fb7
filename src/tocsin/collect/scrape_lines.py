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


def changed(before: Body, after: Body) -> tuple[Int64, Int64]:
    """Lines that differ, and where in the body of `after` each has its first differing byte, both [m].

    The bodies must have equally many lines. A line of another width always differs, at its end at the latest.
    """
    shifts = np.flatnonzero(np.diff(after.ends - before.ends, prepend=np.int32(0)))
    old = before.text if not len(shifts) else _aligned(before, after, shifts)
    at = np.flatnonzero(np.frombuffer(after.text, np.uint8) != np.frombuffer(old, np.uint8))
    line = np.searchsorted(after.ends, at.astype(np.int32))
    first = np.flatnonzero(np.diff(line, prepend=-1))
    return line[first], at[first]


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
