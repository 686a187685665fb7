"""Samples, series and query results as columns."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import Labels

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

# Three kinds of NaN, told apart by their bits. Arithmetic loses them; copies keep them.
STALE_BITS = 0x7FF0000000000002
"""Prometheus's staleness marker: the series ended here."""
NAN_BITS = 0x7FF8000000000001
"""An ordinary NaN value, as Prometheus stores it."""
ABSENT_BITS = 0x7FF0000000000003
"""Our own: no sample in this cell of a shared time grid."""

STALE_NAN = float(np.uint64(STALE_BITS).view(np.float64))
ABSENT_NAN = float(np.uint64(ABSENT_BITS).view(np.float64))


def absent(shape: int | tuple[int, ...]) -> Float64:
    """A float64 array filled with the absent marker (bits survive: filled as integers)."""
    return np.full(shape, ABSENT_BITS, dtype=np.uint64).view(np.float64)


def is_stale(values: Float64) -> Bool:
    return np.equal(values.view(np.uint64), np.uint64(STALE_BITS))


def is_absent(values: Float64) -> Bool:
    return np.equal(values.view(np.uint64), np.uint64(ABSENT_BITS))


def some_nan(values: Float64) -> bool:
    """Whether any may be NaN of whatever kind (infinities of both signs say so too). A sum reads them once and writes nothing."""
    with np.errstate(all="ignore"):
        return bool(np.isnan(values.sum()))


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples to append, as columns. `labels[i]` names the series of sample i.

    t_ms int64 [n], value float64 [n]. `grid_ms` is the scrape's interval when all samples of the batch share one
    scheduled time (then `t_ms` is constant), 0 for pushed or explicit-timestamp samples.
    """

    labels: Sequence[Labels]
    t_ms: Int64
    value: Float64
    grid_ms: int = 0


@dataclass(frozen=True, slots=True)
class SeriesGroup:
    """Series that share one time grid.

    labels [k], t_ms int64 [m] ascending, values float64 [k, m]. A cell without a sample holds ABSENT bits, the end of a
    series STALE bits. A series alone on its own timestamps is a group with k = 1.
    """

    labels: tuple[Labels, ...]
    t_ms: Int64
    values: Float64


@dataclass(frozen=True, slots=True)
class Ragged:
    """Series at times of their own, laid end to end: no Python object per series but its labels.

    labels [k], starts int64 [k + 1], t_ms int64 [n], values float64 [n]: series i has the samples starts[i] <= j <
    starts[i + 1], in the order of time. Nothing is ABSENT in here; STALE marks the end of a series as everywhere.
    """

    labels: tuple[Labels, ...]
    starts: Int64
    t_ms: Int64
    values: Float64

    def part(self, first: int, last: int) -> Ragged:
        """Series first <= i < last, without a copy."""
        begin, end = int(self.starts[first]), int(self.starts[last])
        return Ragged(
            self.labels[first:last], self.starts[first : last + 1] - begin, self.t_ms[begin:end], self.values[begin:end]
        )

    def groups(self) -> tuple[SeriesGroup, ...]:
        """The same as groups; series with equal times share one."""
        shared: dict[bytes, list[int]] = {}
        bounds = self.starts.tolist()
        for place in range(len(self.labels)):
            shared.setdefault(self.t_ms[bounds[place] : bounds[place + 1]].tobytes(), []).append(place)
        return tuple(
            SeriesGroup(
                tuple([self.labels[place] for place in places]),
                self.t_ms[bounds[places[0]] : bounds[places[0] + 1]],
                np.stack([self.values[bounds[place] : bounds[place + 1]] for place in places]),
            )
            for places in shared.values()
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """What a store answers to one selector. A series stands in one group only, or in `ragged`."""

    shared: tuple[SeriesGroup, ...]
    warnings: tuple[str, ...] = ()
    ragged: Ragged | None = None

    @property
    def groups(self) -> tuple[SeriesGroup, ...]:
        """All series as groups: for those who look at each by itself."""
        return self.shared if self.ragged is None else (*self.shared, *self.ragged.groups())

    @property
    def series_count(self) -> int:
        count = sum([len(group.labels) for group in self.shared])
        return count if self.ragged is None else count + len(self.ragged.labels)


class ValueType(enum.StrEnum):
    SCALAR = "scalar"
    VECTOR = "vector"
    MATRIX = "matrix"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class Annotations:
    """Notes on a result: texts as Prometheus words them, with positions."""

    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vector:
    """One value per series at one instant. labels [k], values float64 [k], t_ms int64 [k] (sample or evaluation time)."""

    labels: tuple[Labels, ...]
    values: Float64
    t_ms: Int64


@dataclass(frozen=True, slots=True)
class Matrix:
    """Result of a range query: labels [k], t_ms int64 [m] (the steps), values float64 [k, m].

    A cell without a point holds ABSENT bits; an ordinary NaN is a value.
    """

    labels: tuple[Labels, ...]
    t_ms: Int64
    values: Float64


@dataclass(frozen=True, slots=True)
class RawSeries:
    """A range-vector result (`metric[5m]`): one series with its own samples, t_ms int64 [m], values float64 [m]."""

    labels: Labels
    t_ms: Int64
    values: Float64


@dataclass(frozen=True, slots=True)
class QueryStats:
    """What a query touched, and how long its parts took."""

    samples_read: int = 0
    samples_peak: int = 0
    series_read: int = 0
    steps: int = 1
    counted_ms: range = range(0)
    counts: Int64 | None = field(default=None, compare=False)
    """Samples read by step, [len(counted_ms)]."""
    timings_s: dict[str, float] = field(default_factory=dict, compare=False)
    """Seconds by Prometheus's name of the part."""

    @property
    def read_at(self) -> list[tuple[int, int]]:
        """Samples read by step: (ms, count)."""
        return [] if self.counts is None else list(zip(self.counted_ms, self.counts.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Answer of the engine. Exactly one of the value fields is set, as `type` says.

    VECTOR: `vector`; SCALAR: `scalar` at `t_ms`; STRING: `text` at `t_ms`; MATRIX: `matrix` (range query) or `raw`
    (range selector at one instant).
    """

    type: ValueType
    t_ms: int = 0
    vector: Vector | None = None
    scalar: float = 0.0
    text: str = ""
    matrix: Matrix | None = None
    raw: tuple[RawSeries, ...] | None = None
    annotations: Annotations = field(default_factory=Annotations)
    stats: QueryStats = field(default_factory=QueryStats)
