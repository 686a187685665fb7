"""What the parts of the store hand to `assemble`: samples on a regular grid, and samples at their own times."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.series import Float64, Int64


@dataclass(frozen=True, slots=True)
class GridPiece:
    """Series ids int64 [k] with values [k, m] at times (first + j) * interval + offset, j in 0..m-1; ABSENT = none."""

    interval_ms: int
    offset_ms: int
    first: int
    ids: Int64
    values: Float64

    def within(self, start_ms: int, end_ms: int) -> GridPiece | None:
        """The columns within [start, end]; None when there are none."""
        low = max(-((self.offset_ms - start_ms) // self.interval_ms) - self.first, 0)
        high = min((end_ms - self.offset_ms) // self.interval_ms - self.first + 1, self.values.shape[1])
        if low >= high:
            return None
        if low == 0 and high == self.values.shape[1]:
            return self
        return GridPiece(self.interval_ms, self.offset_ms, self.first + low, self.ids, self.values[:, low:high])


@dataclass(frozen=True, slots=True)
class Loose:
    """Samples at their own times: ids, t_ms, values, each [n], in any order. A later one wins over an earlier one."""

    ids: Int64
    t_ms: Int64
    values: Float64


Part = GridPiece | Loose
"""Loose samples as they are read: those that turned out to be evenly spaced come as matrices."""
