"""Tocsin's own metrics: counters, gauges and histograms of one process, collected as plain samples.

One registry per process (`REGISTRY`), metrics are defined at module level beside the code that moves them. Names:
`tocsin_<stage>_<noun>_<unit|total>`. Thread-safe; an update is one lock and one dictionary write.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

DURATION_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Sample:
    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with its samples, as `/metrics` and the store need it."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


class _Metric:
    kind = "untyped"

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.help = help_text
        self.label_names = tuple(labels)
        self._lock = threading.Lock()
        self._values: dict[tuple[str, ...], float] = {}
        if not labels:
            self._values[()] = 0.0
        REGISTRY.add(self)

    def _pairs(self, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        return tuple(sorted(zip(self.label_names, values, strict=True)))

    def samples(self) -> Iterator[Sample]:
        with self._lock:
            items = list(self._values.items())
        for values, value in items:
            yield Sample(self.name, self._pairs(values), value)

    def value(self, *labels: str) -> float:
        """Current value, for tests and status pages."""
        return self._values.get(labels, 0.0)


class Counter(_Metric):
    kind = "counter"

    def inc(self, *labels: str, by: float = 1.0) -> None:
        with self._lock:
            self._values[labels] = self._values.get(labels, 0.0) + by


class Gauge(_Metric):
    """Silent until it is set: a process that never sets one must not say 0 for the process that does."""

    kind = "gauge"

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, help_text, labels)
        self._values.clear()

    def set(self, value: float, *labels: str) -> None:
        with self._lock:
            self._values[labels] = value

    def remove(self, *labels: str) -> None:
        with self._lock:
            self._values.pop(labels, None)


class Histogram(_Metric):
    kind = "histogram"

    def __init__(
        self, name: str, help_text: str, labels: Sequence[str] = (), buckets: Sequence[float] = DURATION_BUCKETS_S
    ) -> None:
        self.buckets = tuple(buckets)
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        super().__init__(name, help_text, labels)

    def observe(self, value: float, *labels: str) -> None:
        with self._lock:
            counts = self._counts.get(labels)
            if counts is None:
                counts = self._counts[labels] = [0] * (len(self.buckets) + 1)
            counts[bisect_left(self.buckets, value)] += 1
            self._sums[labels] = self._sums.get(labels, 0.0) + value

    def samples(self) -> Iterator[Sample]:
        with self._lock:
            items = [(labels, list(counts), self._sums[labels]) for labels, counts in self._counts.items()]
        for labels, counts, total in items:
            pairs = self._pairs(labels)
            cumulative = 0
            for bound, count in zip((*map(_bound_text, self.buckets), "+Inf"), counts, strict=True):
                cumulative += count
                yield Sample(f"{self.name}_bucket", tuple(sorted((*pairs, ("le", bound)))), cumulative)
            yield Sample(f"{self.name}_sum", pairs, total)
            yield Sample(f"{self.name}_count", pairs, cumulative)


def _bound_text(bound: float) -> str:
    return repr(bound)


class Registry:
    def __init__(self) -> None:
        self._metrics: dict[str, _Metric] = {}

    def add(self, metric: _Metric) -> None:
        assert metric.name not in self._metrics, f"metric {metric.name} is defined twice"
        self._metrics[metric.name] = metric

    def collect(self) -> list[Family]:
        """A snapshot of every metric, in order of definition."""
        return [Family(m.name, m.kind, m.help, tuple(m.samples())) for m in list(self._metrics.values())]


def merged(by_process: Mapping[str, Iterable[Family]]) -> list[Family]:
    """The families of several processes as one list: each name once, samples told apart by the label `process`."""
    found: dict[str, Family] = {}
    for process, families in by_process.items():
        for family in families:
            samples = tuple(_of_process(sample, process) for sample in family.samples)
            known = found.get(family.name)
            found[family.name] = Family(family.name, family.kind, family.help, (*(known.samples if known else ()), *samples))
    return list(found.values())


def _of_process(sample: Sample, process: str) -> Sample:
    pairs = dict(sample.labels) | {"process": process}
    return Sample(sample.name, tuple(sorted(pairs.items())), sample.value)


REGISTRY = Registry()
