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


@dataclass(frozen=True, slots=True)
class Loose:
    """Samples at their own times: ids, t_ms, values, each [n], in any order. A later one wins over an earlier one."""

    ids: Int64
    t_ms: Int64
    values: Float64
