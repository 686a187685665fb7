"""What the parts of one dispatcher step share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from tocsin.alerts import rows
from tocsin.alerts.route import RouteTree
from tocsin.alerts.rows import KnownAlert
from tocsin.alerts.suppress import Rules
from tocsin.model.alert import PageReason, Suppression
from tocsin.model.event import Event
from tocsin.model.ports import PageSink
from tocsin.model.route import Routing

ACTOR = "system:dispatch"


@dataclass(slots=True)
class Work:
    """One step: the transaction, what decides, and what has come of it so far."""

    tx: Connection
    tree: RouteTree
    routing: Routing
    rules: Rules
    sink: PageSink
    now_ms: int
    seen_ms: int
    """When the dispatcher last said it was alive; 0 = never."""
    events: list[Event] = field(default_factory=list)
    sentences: dict[str, str] = field(default_factory=dict)
    """fingerprint -> why it was told or not, where that is news."""
    released: dict[str, tuple[Suppression, ...]] = field(default_factory=dict)
    """fingerprint -> what covered it until this step."""
    pages: list[PageReason] = field(default_factory=list)
    taken: int = 0
    alerts: dict[str, KnownAlert] = field(default_factory=dict)
    """Alerts read or written in this step, as their rows stand now."""

    def read_alerts(self, fingerprints: Iterable[str]) -> dict[str, KnownAlert]:
        """Alerts by fingerprint; each is read from its row once per step."""
        wanted = set(fingerprints)
        self.alerts.update(rows.read_alerts(self.tx, wanted - self.alerts.keys()))
        return {fp: self.alerts[fp] for fp in wanted if fp in self.alerts}

    def read_all_alerts(self) -> dict[str, KnownAlert]:
        self.alerts.update(rows.read_all_alerts(self.tx, but=self.alerts.keys()))
        return dict(sorted(self.alerts.items()))

    def write_alerts(self, known: Mapping[str, KnownAlert]) -> None:
        self.alerts.update(known)
        rows.write_alerts(self.tx, list(known.values()))

    def note(self, verb: str, fingerprint: str, text: str, *, cause: str = "", **data: object) -> None:
        """A line on the alert's timeline, written at the end of the step."""
        self.events.append(Event(self.now_ms, ACTOR, verb, f"alert:{fingerprint}", text, data, cause=cause))

    def severest(self, severity: str) -> bool:
        return bool(self.routing.severities) and severity == self.routing.severities[-1]
