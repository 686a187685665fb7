"""An instant vector at every step of a query: series x steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tocsin.errors import ExecutionError
from tocsin.model.labels import Labels
from tocsin.model.series import Bool, Float64, Int64

SAME_LABELSET = "vector cannot contain metrics with the same labelset"


@dataclass(frozen=True, slots=True)
class Frame:
    """labels [k], values float64 [k, s], present bool [k, s] or None when every cell holds a value.

    The values of cells that are not present mean nothing. Rows are distinct label sets, except between a function
    and `merged`, which makes them so.
    """

    labels: tuple[Labels, ...]
    values: Float64
    present: Bool | None = None
    nameless: Bool | None = None
    """[k], with delayed name removal: rows whose name goes at the very end. None where no row does."""

    @property
    def steps(self) -> int:
        return int(self.values.shape[1])

    def mask(self) -> Bool:
        """`present` as an array."""
        return np.ones(self.values.shape, bool) if self.present is None else self.present

    def rows(self, index: Int64) -> Frame:
        """The frame of these rows, in this order."""
        present = None if self.present is None else self.present[index]
        nameless = None if self.nameless is None else self.nameless[index]
        return Frame(tuple(self.labels[i] for i in index.tolist()), self.values[index], present, nameless)

    def with_values(self, values: Float64, present: Bool | None = None) -> Frame:
        """The same series with other values."""
        return Frame(self.labels, values, present, self.nameless)

    def filled(self) -> Frame:
        """Without `present` where every cell holds a value."""
        return self if self.present is None or not self.present.all() else self.with_values(self.values)

    def compact(self) -> Frame:
        """Without rows that hold no value at all."""
        if self.present is None:
            return self if self.steps else empty(0)
        if self.present.all():
            return self.with_values(self.values)
        some = self.present.any(axis=1)
        if some.all():
            return self
        return self.rows(np.flatnonzero(some)).compact()


def empty(steps: int) -> Frame:
    return Frame((), np.empty((0, steps)))


def concatenate(frames: list[Frame], steps: int) -> Frame:
    """All rows of frames over the same steps."""
    frames = [frame for frame in frames if frame.labels]
    if not frames:
        return empty(steps)
    if len(frames) == 1:
        return frames[0]
    full = all(frame.present is None for frame in frames)
    return Frame(
        tuple(labels for frame in frames for labels in frame.labels),
        np.concatenate([frame.values for frame in frames]),
        None if full else np.concatenate([frame.mask() for frame in frames]),
        _joined_flags(frames),
    )


def _joined_flags(frames: list[Frame]) -> Bool | None:
    if all(frame.nameless is None for frame in frames):
        return None
    rows = [np.zeros(len(frame.labels), bool) if frame.nameless is None else frame.nameless for frame in frames]
    return np.concatenate(rows)


def merged(frame: Frame, *, strict: bool = False) -> Frame:
    """Rows of the same label set become one; Prometheus joins them as long as no step has two of them.

    `strict` refuses any repeated label set. Raises ExecutionError with Prometheus's text.
    """
    if len(set(frame.labels)) == len(frame.labels):
        return frame
    if strict:
        raise ExecutionError(SAME_LABELSET)
    first: dict[Labels, int] = {}
    values, present = frame.values.copy(), frame.mask().copy()
    for row, labels in enumerate(frame.labels):
        target = first.setdefault(labels, row)
        if target == row:
            continue
        if (present[target] & present[row]).any():
            raise ExecutionError(SAME_LABELSET)
        np.copyto(values[target], frame.values[row], where=present[row])
        present[target] |= present[row]
    keep = np.fromiter(first.values(), int, len(first))
    nameless = None if frame.nameless is None else frame.nameless[keep]
    return Frame(tuple(first), values[keep], present[keep], nameless)
