"""Planned work: windows, once or recurring, in which alerts are recorded but nobody is told. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.alerts.index import MatcherIndex
from tocsin.model.alert import SuppressedBy, Suppression
from tocsin.model.labels import Labels
from tocsin.model.route import MaintenanceWindow


def holding(windows: Iterable[MaintenanceWindow], t_ms: int) -> tuple[MaintenanceWindow, ...]:
    """The windows that hold at `t_ms`."""
    return tuple(window for window in windows if window.occurrences.holding(t_ms) is not None)


class Maintenance:
    """The windows that hold now, ready to be asked about many alerts."""

    def __init__(self, windows: Iterable[MaintenanceWindow], now_ms: int) -> None:
        self._windows = holding(windows, now_ms)
        self._index = MatcherIndex([window.matchers for window in self._windows])

    def suppression(self, labels: Labels) -> tuple[SuppressedBy, ...]:
        found = (self._windows[number].name for number in self._index.matching(labels))
        return tuple(SuppressedBy(Suppression.MAINTENANCE, name) for name in sorted(found))
