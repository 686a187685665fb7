"""A `SampleReader` over series held in memory: for rule tests, backtests and the engine's own tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tocsin.model.labels import Labels, Matcher, all_match
from tocsin.model.ports import SelectHints
from tocsin.model.series import Float64, Int64, Selection, SeriesGroup, absent

_NO_HINTS = SelectHints()


class MemoryReader:
    """Series with their samples; series on the same timestamps are answered as one group."""

    def __init__(self, series: Iterable[tuple[Labels, Sequence[int], Sequence[float]]] = ()) -> None:
        self._series: dict[Labels, tuple[Int64, Float64]] = {}
        for labels, t_ms, values in series:
            self.append(labels, t_ms, values)

    def append(self, labels: Labels, t_ms: Sequence[int] | Int64, values: Sequence[float] | Float64) -> None:
        """Add samples of a series; a sample at a known instant replaces the old one."""
        times, samples = np.asarray(t_ms, np.int64), np.asarray(values, np.float64)
        if (known := self._series.get(labels)) is not None:
            times, samples = np.concatenate([known[0], times]), np.concatenate([known[1], samples])
            # The last of equal timestamps wins: unique() keeps the first of the reversed order.
            times, index = np.unique(times[::-1], return_index=True)
            samples = samples[::-1][index]
        self._series[labels] = (times, samples)

    def clear(self) -> None:
        self._series.clear()

    def forget_before(self, t_ms: int) -> None:
        """Drop samples older than t_ms."""
        for labels, (times, values) in list(self._series.items()):
            first = int(np.searchsorted(times, t_ms))
            if first == times.size:
                del self._series[labels]
            elif first:
                self._series[labels] = (times[first:], values[first:])

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: SelectHints = _NO_HINTS) -> Selection:
        by_grid: dict[bytes, list[tuple[Labels, Int64, Float64]]] = {}
        for labels, (t_ms, values) in sorted(self._series.items(), key=lambda item: item[0].pairs):
            if not all_match(matchers, labels):
                continue
            part = slice(*np.searchsorted(t_ms, [start_ms, end_ms + 1]).tolist())
            if part.stop > part.start:
                by_grid.setdefault(t_ms[part].tobytes(), []).append((labels, t_ms[part], values[part]))
        groups = []
        for members in by_grid.values():
            rows = absent((len(members), len(members[0][1])))
            for row, (_, _, values) in enumerate(members):
                rows[row] = values
            groups.append(SeriesGroup(tuple(labels for labels, _, _ in members), members[0][1], rows))
        return Selection(tuple(groups))

    def series(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[Labels]:
        found = [
            labels
            for labels, (t_ms, _) in sorted(self._series.items(), key=lambda item: item[0].pairs)
            if t_ms.size
            and t_ms[0] <= end_ms
            and t_ms[-1] >= start_ms
            and (not matchers or any(all_match(each, labels) for each in matchers))
        ]
        return found[:limit] if limit else found

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[str]:
        return names_of(self.series(matchers, start_ms, end_ms), limit)

    def label_values(
        self, name: str, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0
    ) -> list[str]:
        return values_of(name, self.series(matchers, start_ms, end_ms), limit)

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        return {}


def names_of(series: Iterable[Labels], limit: int = 0) -> list[str]:
    """The label names of these series, sorted; at most `limit` of them, 0 = all."""
    names = sorted({name for labels in series for name in labels})
    return names[:limit] if limit else names


def values_of(name: str, series: Iterable[Labels], limit: int = 0) -> list[str]:
    """The values that a label has in these series, sorted; at most `limit` of them, 0 = all."""
    values = sorted({labels.get(name) for labels in series} - {""})
    return values[:limit] if limit else values
