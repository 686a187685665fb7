"""New series as the log tells of them: label texts once, each series as numbers of texts; no label set is made to enter them.

The index wants them by table: those of one metric with one set of label names, their values as a matrix.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson

from tocsin.model.labels import METRIC_NAME
from tocsin.model.series import Bool, Int64

_HEAD = struct.Struct("<III")


@dataclass(frozen=True, slots=True)
class Shape:
    """Series of one metric with the same label names."""

    metric: str
    names: tuple[str, ...]
    places: Int64
    """Which of the new series, [k]."""
    values: Int64
    """Numbers of their label values in `NewSeries.texts`, [k, len(names)]."""


@dataclass(frozen=True, slots=True)
class NewSeries:
    """References int64 [n], pairs of each int64 [n], numbers of names and values in turn int64 [2 * pairs], texts."""

    refs: Int64
    counts: Int64
    numbers: Int64
    texts: list[str]

    def only(self, wanted: Bool) -> NewSeries:
        """Some of them, bool [n]."""
        if wanted.all():
            return self
        return NewSeries(self.refs[wanted], self.counts[wanted], self.numbers[np.repeat(wanted, 2 * self.counts)], self.texts)

    def shapes(self) -> Iterator[Shape]:
        """All of them, by table."""
        texts, numbers = self.texts, self.numbers
        metric_number = texts.index(METRIC_NAME) if METRIC_NAME in texts else -1
        starts = np.concatenate([[0], np.cumsum(2 * self.counts)])
        listed, bounds = numbers.tolist(), starts.tolist()
        # The only walk over single series; one slice and one look-up each.
        found: dict[tuple[int, ...], list[int]] = {}
        metrics = self._metrics(metric_number)
        for place, metric in enumerate(metrics):
            found.setdefault((metric, *listed[bounds[place] : bounds[place + 1] : 2]), []).append(place)
        for (metric, *names), places in found.items():
            at = np.array(places, np.int64)
            values = numbers[starts[at][:, None] + np.arange(1, 2 * len(names), 2)]
            labels = [column for column, name in enumerate(names) if name != metric_number]
            yield Shape(texts[metric] if metric >= 0 else "", tuple([texts[names[c]] for c in labels]), at, values[:, labels])

    def _metrics(self, metric_number: int) -> list[int]:
        """Number of the metric name of each, -1 for those without one."""
        out = np.full(len(self.refs), -1, np.int64)
        at = np.flatnonzero(self.numbers[::2] == metric_number)
        out[np.repeat(np.arange(len(self.refs)), self.counts)[at]] = self.numbers[1::2][at]
        return out.tolist()


def unpack_series(data: bytes) -> NewSeries:
    """The other side of `records.pack_series`. Raises ValueError for numbers that do not fit each other."""
    count, _, length = _HEAD.unpack_from(data)
    at = _HEAD.size
    refs = np.frombuffer(data, np.int64, count, at)
    at += 8 * count
    counts = np.frombuffer(data, np.uint16, count, at).astype(np.int64)
    at += 2 * count
    numbers = np.frombuffer(data, np.uint32, length, at).astype(np.int64)
    texts = orjson.loads(data[at + 4 * length :])
    if 2 * int(counts.sum()) != length or (length and int(numbers.max()) >= len(texts)):
        raise ValueError("labels of new series do not fit each other")
    return NewSeries(refs, counts, numbers, texts)
