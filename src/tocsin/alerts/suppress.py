"""What keeps an alert quiet now: silences, maintenance, inhibition, dependencies. Pure; also what the API's `status` shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tocsin.alerts.depend import Dependencies, Troubles
from tocsin.alerts.inhibit import Inhibitions, InhibitRules
from tocsin.alerts.maintenance import Maintenance
from tocsin.alerts.rows import KnownAlert
from tocsin.alerts.silence import Silencer
from tocsin.model.alert import Alert, SuppressedBy, Suppression
from tocsin.model.labels import Labels
from tocsin.model.route import MaintenanceWindow, Routing, Silence


@dataclass(frozen=True, slots=True)
class Rules:
    """What of a configuration suppresses, prepared once."""

    inhibit: InhibitRules
    windows: tuple[MaintenanceWindow, ...]
    graph: Dependencies

    @classmethod
    def of(cls, routing: Routing) -> Rules:
        graph = Dependencies(routing.depends_on, routing.severities)
        return cls(InhibitRules(routing.inhibit_rules), routing.maintenance, graph)

    @property
    def need_others(self) -> bool:
        """Whether suppression of one alert depends on what else fires."""
        return bool(self.inhibit) or bool(self.graph)

    def concerns_others(self, labels: Labels) -> bool:
        """Whether the coming or going of this alert may change the suppression of others."""
        return self.graph.concerns(labels) or bool(self.inhibit.sources(labels))


class Suppressor:
    """Everything that suppresses at one instant, ready to be asked about many alerts."""

    def __init__(
        self,
        rules: Rules,
        silences: Iterable[Silence],
        firing: Mapping[str, Labels],
        now_ms: int,
        *,
        pending: Iterable[Labels] = (),
    ) -> None:
        """`firing` are the labels of every firing alert by fingerprint, `pending` those of rules that may fire soon."""
        self._silencer = Silencer(silences, now_ms)
        self._maintenance = Maintenance(rules.windows, now_ms)
        self._inhibitions = Inhibitions(rules.inhibit, firing.items())
        self._troubles = Troubles(rules.graph, firing.values(), pending, now_ms) if rules.graph else None

    def causes(self, alert: Alert) -> tuple[SuppressedBy, ...]:
        labels = alert.labels
        planned = self._silencer.suppression(alert) + self._maintenance.suppression(labels)
        troubles = self._troubles.suppression(alert) if self._troubles else ()
        return planned + self._inhibitions.suppression(labels) + troubles


@dataclass(frozen=True, slots=True)
class Shift:
    """How the suppression of one alert changed."""

    fingerprint: str
    before: tuple[SuppressedBy, ...]
    after: tuple[SuppressedBy, ...]

    @property
    def released(self) -> tuple[Suppression, ...]:
        """The kinds that ended, if nothing covers the alert any more."""
        return () if self.after else tuple(dict.fromkeys(cause.kind for cause in self.before))


def shifts(known: Iterable[KnownAlert], suppressor: Suppressor) -> list[Shift]:
    """The alerts whose stored causes are no longer the true ones."""
    changed = []
    for entry in known:
        causes = suppressor.causes(entry.alert)
        if causes != entry.suppressed_by:
            changed.append(Shift(entry.fingerprint, entry.suppressed_by, causes))
    return changed
