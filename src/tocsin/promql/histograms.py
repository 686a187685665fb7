"""Classic histograms in a vector: series that differ in `le` only, as arrays of cumulative counts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import Bool, Float64, Int64
from tocsin.promql.frame import Frame

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$")
_INFINITY = re.compile(r"[+-]?inf(?:inity)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Histograms with the same bucket bounds. labels [g] (without `le`), bounds [b] ascending, counts and mask [g, b, s]."""

    labels: tuple[Labels, ...]
    bounds: Float64
    counts: Float64
    mask: Bool

    def where(self, flags: Bool) -> Iterator[Labels]:
        """Labels of the histograms with any flag set, flags [g, s]."""
        return (self.labels[row] for row in np.flatnonzero(flags.any(axis=1)).tolist())


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the buckets stand: rows [g, b] of the vector; `extra` are further rows (group, bucket, row) of equal bounds."""

    labels: tuple[Labels, ...]
    bounds: Float64
    rows: Int64
    extra: tuple[tuple[int, int, int], ...]


def collect(buckets: Frame) -> tuple[list[Histogram], tuple[Labels, ...]]:
    """The histograms of a vector, and the rows whose `le` is missing or not a number."""
    layouts, malformed = _layouts(buckets.labels)
    mask = buckets.mask()
    found = []
    for layout in layouts:
        counts, present = buckets.values[layout.rows], mask[layout.rows]
        for group, bucket, row in layout.extra:
            counts[group, bucket] = np.where(present[group, bucket], counts[group, bucket], 0.0)
            counts[group, bucket] += np.where(mask[row], buckets.values[row], 0.0)
            present[group, bucket] |= mask[row]
        found.append(Histogram(layout.labels, layout.bounds, counts, present))
    return found, malformed


@lru_cache(maxsize=256)
def _layouts(rows: tuple[Labels, ...]) -> tuple[tuple[_Layout, ...], tuple[Labels, ...]]:
    histograms: dict[Labels, dict[float, list[int]]] = {}
    malformed = []
    for row, labels in enumerate(rows):
        bound = parse_bound(labels.get("le"))
        if bound is None:
            malformed.append(labels)
        else:
            histograms.setdefault(labels.without("le"), {}).setdefault(bound, []).append(row)
    by_bounds: dict[tuple[float, ...], list[Labels]] = {}
    for labels, members in histograms.items():
        by_bounds.setdefault(tuple(sorted(members)), []).append(labels)
    layouts = []
    for bounds, group in by_bounds.items():
        first = np.array([[histograms[labels][bound][0] for bound in bounds] for labels in group], np.int64)
        extra = tuple(
            (i, j, row)
            for i, labels in enumerate(group)
            for j, bound in enumerate(bounds)
            for row in histograms[labels][bound][1:]
        )
        layouts.append(_Layout(tuple(group), np.array(bounds), first, extra))
    return tuple(layouts), tuple(malformed)


def parse_bound(text: str) -> float | None:
    """A bucket's upper bound, None where it is no number."""
    if _NUMBER.match(text):
        return float(text)
    return math.copysign(math.inf, -1 if text[0] == "-" else 1) if _INFINITY.match(text) else None
