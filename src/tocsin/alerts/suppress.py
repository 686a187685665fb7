"""What keeps an alert quiet now: silences, maintenance windows, inhibition. Pure; also what the API's `status` shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tocsin.alerts.inhibit import Inhibitions, InhibitRules
from tocsin.alerts.rows import KnownAlert
from tocsin.alerts.silence import Silencer
from tocsin.model.alert import SuppressedBy, Suppression
from tocsin.model.labels import Labels
from tocsin.model.route import Silence


class Suppressor:
    """Everything that suppresses at one instant, ready to be asked about many alerts."""

    def __init__(self, rules: InhibitRules, silences: Iterable[Silence], firing: Mapping[str, Labels], now_ms: int) -> None:
        """`firing` are the labels of every firing alert by fingerprint; inhibition needs them, silences do not."""
        self._silencer = Silencer(silences, now_ms)
        self._inhibitions = Inhibitions(rules, firing.items())

    def causes(self, labels: Labels) -> tuple[SuppressedBy, ...]:
        return self._silencer.suppression(labels) + self._inhibitions.suppression(labels)


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
        causes = suppressor.causes(entry.alert.labels)
        if causes != entry.suppressed_by:
            changed.append(Shift(entry.fingerprint, entry.suppressed_by, causes))
    return changed
