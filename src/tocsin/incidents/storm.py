"""A storm: more new incidents of one service than anybody can read become one incident that absorbs the rest.

Nothing is dropped: an absorbed group is an incident of its own (merged), its alerts count for the storm, and each message that it
would have caused is a row of the outbox, bundled into the storm's.
"""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from tocsin.incidents import policy as escalation
from tocsin.incidents import receivers, rows
from tocsin.incidents.incident import STORM_NEWS
from tocsin.incidents.ledger import Ledger
from tocsin.incidents.people import Service
from tocsin.model.incident import Incident, IncidentState
from tocsin.model.notification import NotificationKind, NotificationState
from tocsin.state import outbox
from tocsin.state.prepared import Prepared
from tocsin.state.schema import incidents, timers

_NEWS_EVERY_MS = 30_000
_NEWS = Prepared(sa.select(timers.c.id).where(timers.c.subject == sa.bindparam("of"), timers.c.kind == STORM_NEWS).limit(1))
_RECENT = Prepared(
    sa.select(sa.func.count().label("found")).where(
        incidents.c.receiver == sa.bindparam("for_receiver"),
        incidents.c.service == sa.bindparam("of_service"),
        incidents.c.created_ms > sa.bindparam("since"),
        incidents.c.state != IncidentState.MERGED.value,
        incidents.c.key != sa.bindparam("but"),
    )
)


def storm_for(ledger: Ledger, fresh: Incident, service: Service) -> Incident | None:
    """The storm that absorbs `fresh` (a new incident, not stored yet): an open one, or a new one when too many came."""
    key = f"{fresh.receiver}\nstorm\n{service.name}"
    known = rows.latest(ledger.tx, key)
    if known is not None and known.state.open:
        return known
    since_ms = ledger.now_ms - ledger.directory.storm_window_ms
    count = int(_RECENT.scalar(ledger.tx, for_receiver=fresh.receiver, of_service=service.name, since=since_ms, but=key))
    count += receivers.count_joined(ledger.tx, receiver=fresh.receiver, service=service.name, since_ms=since_ms)
    if count < ledger.directory.max_incidents_per_service:
        return None
    title = f"Storm: {count} incidents{f' of {service.name}' if service.name else ''} at once, this one takes all others"
    generation = known.generation + 1 if known else 1
    storm = replace(fresh, number=0, key=key, title=title, generation=generation)
    return rows.insert(ledger.tx, storm, extra={"group_key": key, "storm": True})


def is_storm(ledger: Ledger, incident: Incident) -> bool:
    return bool(rows.extra(ledger.tx, incident.number).get("storm"))


def joining(fresh: Incident) -> Incident:
    """A new incident that a storm absorbs, to be stored as merged into it."""
    return replace(fresh, state=IncidentState.MERGED, next_escalation_at_ms=0)


def absorb(ledger: Ledger, storm: Incident, child: Incident, *, first: bool) -> None:
    """`child` is stored with its alerts as merged into the storm; what it would have sent is bundled. `first`: of all."""
    ledger.record(child, "merged", f"absorbed by the storm #{storm.number}", cause="storm")
    ledger.touched.update((child.number, storm.number))
    _bundle(ledger, child, storm)
    if first and storm.version == 1:
        ledger.begin(storm)
    else:
        _announce(ledger, storm)


def _bundle(ledger: Ledger, child: Incident, storm: Incident) -> None:
    """A row for each message that is not sent."""
    step = child.policy.steps[0] if child.policy.steps else None
    plan = escalation.reach(step.targets if step else (), child, ledger.directory, ledger.now_ms, why="step 1")
    notes = []
    for recipient in plan.told:
        note = ledger.notification(child, NotificationKind.PAGE, recipient, {})
        reason = f"in one message with the storm #{storm.number}"
        notes.append(replace(note, state=NotificationState.BUNDLED, state_reason=reason))
    outbox.enqueue(ledger.tx, notes)


def _announce(ledger: Ledger, storm: Incident) -> None:
    """Tell those who know that it grows, at most every half minute."""
    if _NEWS.first(ledger.tx, of=f"incident:{storm.number}") is None:
        rows.start_timer(ledger.tx, storm.number, STORM_NEWS, ledger.now_ms + _NEWS_EVERY_MS)
