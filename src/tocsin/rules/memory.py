"""A small store in memory: what rule unit tests and simulations of rules run against."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tocsin.model.labels import METRIC_NAME, Labels, Matcher, all_match
from tocsin.model.ports import AppendResult, SelectHints
from tocsin.model.series import Batch, Selection, SeriesGroup

_FAR_MS = 2**62
_NO_HINTS = SelectHints()


class MemoryStore:
    """Samples by label set. `horizon_ms` hides everything later: time has not come that far yet."""

    def __init__(self) -> None:
        self.horizon_ms = _FAR_MS
        self._series: dict[Labels, tuple[list[int], list[float]]] = {}
        self._by_name: dict[str, list[Labels]] = {}

    # -- writing ------------------------------------------------------------------------------------------------------

    def load(self, labels: Labels, t_ms: Sequence[int], values: Sequence[float]) -> None:
        """A whole series, times ascending."""
        times, held = self._of(labels)
        times.extend(t_ms)
        held.extend(values)

    def append(self, batch: Batch) -> AppendResult:
        """Samples older than the newest of their series are refused; one at the same time replaces it."""
        refused = 0
        for labels, t_ms, value in zip(batch.labels, batch.t_ms.tolist(), batch.value, strict=True):
            times, values = self._of(labels)
            if times and times[-1] > t_ms:
                refused += 1
            elif times and times[-1] == t_ms:
                values[-1] = value
            else:
                times.append(t_ms)
                values.append(value)
        return AppendResult(len(batch.labels) - refused, {"out of order": refused} if refused else {})

    def _of(self, labels: Labels) -> tuple[list[int], list[float]]:
        held = self._series.get(labels)
        if held is None:
            held = self._series[labels] = ([], [])
            self._by_name.setdefault(labels.get(METRIC_NAME), []).append(labels)
        return held

    def has_metric(self, name: str) -> bool:
        return name in self._by_name

    # -- reading ------------------------------------------------------------------------------------------------------

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: SelectHints = _NO_HINTS) -> Selection:
        shared: dict[tuple[int, ...], list[tuple[Labels, list[float]]]] = {}
        for labels in self._matching(matchers):
            times, values = self._series[labels]
            low, high = self._window(times, start_ms, end_ms)
            if low < high:
                shared.setdefault(tuple(times[low:high]), []).append((labels, values[low:high]))
        return Selection(
            tuple(
                SeriesGroup(
                    tuple(labels for labels, _ in rows),
                    np.array(times, dtype=np.int64),
                    np.array([values for _, values in rows], dtype=np.float64),
                )
                for times, rows in shared.items()
            )
        )

    def _window(self, times: list[int], start_ms: int, end_ms: int) -> tuple[int, int]:
        return bisect_left(times, start_ms), bisect_right(times, min(end_ms, self.horizon_ms))

    def _matching(self, matchers: Sequence[Matcher]) -> list[Labels]:
        names = [matcher.value for matcher in matchers if matcher.name == METRIC_NAME and matcher.op == "="]
        candidates: Iterable[Labels] = self._by_name.get(names[0], ()) if names else self._series
        return sorted(labels for labels in candidates if all_match(matchers, labels))

    def series(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[Labels]:
        found = {
            labels
            for selector in matchers
            for labels in self._matching(selector)
            if (window := self._window(self._series[labels][0], start_ms, end_ms))[0] < window[1]
        }
        return sorted(found)[: limit or None]

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[str]:
        return sorted({name for labels in self.series(matchers or [()], start_ms, end_ms) for name in labels})[: limit or None]

    def label_values(
        self, name: str, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0
    ) -> list[str]:
        found = {labels.get(name) for labels in self.series(matchers or [()], start_ms, end_ms)} - {""}
        return sorted(found)[: limit or None]

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        return {}
