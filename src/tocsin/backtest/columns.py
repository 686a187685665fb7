"""A `Queryable` that answers instants out of whole ranges: one query for thousands of evaluations.

`fetch` evaluates an expression over a stretch of the grid once; `instant` then reads one column of it. An expression that was not
fetched, or an instant off the grid, is asked of the engine itself: slower, never different.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tocsin.errors import ExecutionError
from tocsin.model.labels import Labels
from tocsin.model.ports import Queryable
from tocsin.model.series import Bool, Float64, Int64, QueryResult, ValueType, Vector, is_absent


@dataclass(frozen=True, slots=True)
class Columns:
    """The result of one expression on a time grid: labels [k], t_ms int64 [n], values float64 [k, n], present bool [k, n]."""

    labels: tuple[Labels, ...]
    t_ms: Int64
    values: Float64
    present: Bool

    def any(self) -> Bool:
        """bool [n]: whether there is any element."""
        found: Bool = np.logical_or.reduce(self.present, axis=0, initial=False)
        return found

    def moved(self) -> Bool:
        """bool [n]: whether other series are there than at the instant before; the first instant always counts."""
        found = np.ones(self.t_ms.size, dtype=bool)
        found[1:] = np.logical_or.reduce(self.present[:, 1:] != self.present[:, :-1], axis=0, initial=False)
        return found

    def at(self, column: int) -> Vector:
        rows = np.flatnonzero(self.present[:, column])
        return Vector(
            tuple(self.labels[row] for row in rows), self.values[rows, column], np.full(rows.size, self.t_ms[column], np.int64)
        )


class ColumnQueryable:
    """Answers instants from columns where it has them."""

    def __init__(self, source: Queryable, *, points: int) -> None:
        """`points` is how many instants the source answers in one range query."""
        self._source = source
        self._points = points
        self._fetched: dict[str, dict[tuple[int, int, int], Columns]] = {}

    def fetch(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> Columns:
        """The expression at start, start + step, ... up to end; kept until `forget`. Raises QueryError."""
        grids, grid = self._fetched.setdefault(query, {}), (start_ms, end_ms, step_ms)
        if grid not in grids:
            grids[grid] = self._columns(query, *grid)
        return grids[grid]

    def forget(self) -> None:
        self._fetched.clear()

    def instant(self, query: str, t_ms: int) -> QueryResult:
        for (start_ms, end_ms, step_ms), columns in self._fetched.get(query, {}).items():
            place, rest = divmod(t_ms - start_ms, step_ms)
            if start_ms <= t_ms <= end_ms and not rest:
                return QueryResult(ValueType.VECTOR, t_ms, vector=columns.at(place))
        return self._source.instant(query, t_ms)

    def range(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> QueryResult:
        return self._source.range(query, start_ms, end_ms, step_ms)

    def _columns(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> Columns:
        pieces = []
        for first_ms in range(start_ms, end_ms + 1, self._points * step_ms):
            last_ms = min(end_ms, first_ms + (self._points - 1) * step_ms)
            pieces.append(_of(self._source.range(query, first_ms, last_ms, step_ms)))
        return pieces[0] if len(pieces) == 1 else _joined(pieces)


def _of(result: QueryResult) -> Columns:
    if result.matrix is None:
        raise ExecutionError("the expression is not an instant vector or scalar")
    matrix = result.matrix
    return Columns(matrix.labels, matrix.t_ms, matrix.values, ~is_absent(matrix.values))


def _joined(pieces: list[Columns]) -> Columns:
    """Columns one after the other, on the union of their series."""
    rows = {labels: row for row, labels in enumerate(dict.fromkeys(labels for piece in pieces for labels in piece.labels))}
    t_ms = np.concatenate([piece.t_ms for piece in pieces])
    values, present = np.zeros((len(rows), t_ms.size)), np.zeros((len(rows), t_ms.size), dtype=bool)
    start = 0
    for piece in pieces:
        places = [rows[labels] for labels in piece.labels]
        columns = slice(start, start + piece.t_ms.size)
        values[places, columns], present[places, columns] = piece.values, piece.present
        start = columns.stop
    return Columns(tuple(rows), t_ms, values, present)
