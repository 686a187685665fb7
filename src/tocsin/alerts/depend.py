"""Dependencies: while a service that others stand on is in trouble, theirs is not told apart from it. Pure.

An alert is held when a service that its own depends on, directly or through others, has a firing alert at least as severe;
and for the first minute also when such an alert is only pending, so that the cause has time to show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tocsin.model.alert import Alert, SuppressedBy, Suppression
from tocsin.model.labels import Labels

SERVICE = "service"
DEPENDENCY_WAIT_MS = 60_000


def find_cycle(depends_on: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Services that depend on each other in a circle, empty if none do."""
    done: set[str] = set()
    for start in depends_on:
        path: list[str] = []
        if cycle := _visit(start, depends_on, path, done):
            return cycle
    return ()


def _visit(name: str, depends_on: Mapping[str, Sequence[str]], path: list[str], done: set[str]) -> tuple[str, ...]:
    if name in path:
        return (*path[path.index(name) :], name)
    if name in done:
        return ()
    path.append(name)
    for parent in depends_on.get(name, ()):
        if cycle := _visit(parent, depends_on, path, done):
            return cycle
    path.pop()
    done.add(name)
    return ()


class Dependencies:
    """The service graph with everything above a service worked out; built once per configuration."""

    def __init__(self, depends_on: Mapping[str, Sequence[str]], severities: Sequence[str] = ()) -> None:
        self._above = {name: tuple(_above(name, depends_on)) for name in depends_on}
        self._below = {parent for parents in self._above.values() for parent in parents}
        self._rank = {severity: rank for rank, severity in enumerate(severities)}

    def __bool__(self) -> bool:
        return any(self._above.values())

    def concerns(self, labels: Labels) -> bool:
        """Whether the coming or going of this alert may change what is held."""
        return labels.get(SERVICE) in self._below

    def above(self, labels: Labels) -> tuple[str, ...]:
        return self._above.get(labels.get(SERVICE), ())

    def rank(self, labels: Labels) -> int:
        return self._rank.get(labels.get("severity"), len(self._rank))


def _above(name: str, depends_on: Mapping[str, Sequence[str]]) -> list[str]:
    """Every service that `name` stands on, nearest first; circles are walked once."""
    found: list[str] = []
    waiting = list(depends_on.get(name, ()))
    while waiting:
        parent = waiting.pop(0)
        if parent != name and parent not in found:
            found.append(parent)
            waiting += depends_on.get(parent, ())
    return found


class Troubles:
    """What fires or pends now among the services that others depend on."""

    def __init__(self, graph: Dependencies, firing: Iterable[Labels], pending: Iterable[Labels], now_ms: int) -> None:
        self._graph = graph
        self._now_ms = now_ms
        self._firing = self._worst(firing)
        self._pending = self._worst(pending)

    def _worst(self, alerts: Iterable[Labels]) -> dict[str, int]:
        worst: dict[str, int] = {}
        for labels in alerts:
            if self._graph.concerns(labels):
                name = labels.get(SERVICE)
                worst[name] = max(worst.get(name, -1), self._graph.rank(labels))
        return worst

    def suppression(self, alert: Alert) -> tuple[SuppressedBy, ...]:
        if not (self._firing or self._pending):
            return ()
        rank = self._graph.rank(alert.labels)
        fresh = self._now_ms - alert.starts_at_ms < DEPENDENCY_WAIT_MS
        for parent in self._graph.above(alert.labels):
            if self._firing.get(parent, -1) >= rank or (fresh and self._pending.get(parent, -1) >= rank):
                return (SuppressedBy(Suppression.DEPENDENCY, parent),)
        return ()
