"""Why an alert was told, or was not: the stored trace from its rule through what held it to its groups. For `tocsin why`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.alerts import rows
from tocsin.alerts.explain import causes_text
from tocsin.alerts.group import Group
from tocsin.alerts.rows import KnownAlert
from tocsin.model.event import Event
from tocsin.model.labels import Matcher, all_match
from tocsin.state import events
from tocsin.state.schema import alert_states, episodes

_NOT_TOLD_YET = ("pending", "clearing")


@dataclass(frozen=True, slots=True)
class Trace:
    """One alert. `incidents` are those that its firings belonged to, the newest first."""

    known: KnownAlert
    groups: tuple[Group, ...]
    events: tuple[Event, ...]
    incidents: tuple[int, ...]

    def lines(self, now_ms: int) -> list[str]:
        """The stations in the order of the way."""
        alert = self.known.alert
        state = "fires" if alert.firing(now_ms) else "has ended"
        out = [f"rule: {alert.source or 'the API'}; {state}"]
        out.append(f"held by: {causes_text(self.known.suppressed_by) or 'nothing'}")
        for group in self.groups:
            told = f"told {len(group.notified_firing)} firing" if group.notified_firing else "nobody told yet"
            out.append(f"group: {group.group_key} -> {group.receiver} ({told})")
        out.append(f"outcome: {self.known.explanation or 'not looked at yet'}")
        if self.incidents:
            out.append(f"incidents: {', '.join(f'#{number}' for number in self.incidents)}")
        return out


def traces(connection: Connection, matchers: Sequence[Matcher]) -> list[Trace]:
    """What is known of every alert that the matchers cover, ended ones of the last half hour included."""
    found = [k for k in rows.read_all_alerts(connection).values() if all_match(matchers, k.alert.labels)]
    keys = rows.read_groups_of(connection, (known.fingerprint for known in found))
    groups = rows.read_groups(connection, {key for of_alert in keys.values() for key in of_alert})
    return [
        Trace(
            known,
            tuple(groups[key] for key in keys.get(known.fingerprint, ()) if key in groups),
            tuple(events.read(connection, subject=f"alert:{known.fingerprint}")),
            _incidents(connection, known.fingerprint),
        )
        for known in found
    ]


def pending(connection: Connection, matchers: Sequence[Matcher]) -> list[tuple[dict[str, str], str, str]]:
    """(labels, phase, reason) of what a rule has seen and does not tell yet: it waits for its hold, or is damped."""
    table = alert_states.c
    query = sa.select(table.labels, table.phase, table.reason).where(table.phase.in_(_NOT_TOLD_YET))
    return [(row.labels, row.phase, row.reason) for row in connection.execute(query) if all_match(matchers, row.labels)]


def _incidents(connection: Connection, fingerprint: str) -> tuple[int, ...]:
    query = sa.select(episodes.c.incident).where(episodes.c.fingerprint == fingerprint, episodes.c.incident > 0)
    numbers = connection.execute(query.order_by(episodes.c.id.desc()).limit(20)).scalars()
    return tuple(dict.fromkeys(numbers))
