"""Split: chosen alerts leave an incident for one of their own, and what is said of them later goes there. Merge's reverse.

    group G ──▶ #7 {a, b, c}      split(#7, {c})      group G ──▶ #7 {a, b}
                                                         └─ c ──▶ #9 {c}   (key of #7 + "split" + n)

`extra.split_off` of the incident that owned an alert says under which key it lives now; later incidents of the group inherit it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tocsin.errors import CommandError
from tocsin.incidents import rows
from tocsin.incidents.changes import Ended
from tocsin.incidents.ledger import Ledger
from tocsin.incidents.snapshot import named
from tocsin.model.alert import Alert, Page
from tocsin.model.event import Actor
from tocsin.model.incident import Incident, IncidentState
from tocsin.model.labels import Labels
from tocsin.model.notification import NotificationKind
from tocsin.state.schema import incident_alerts

MARK = "\nsplit\n"


def split(ledger: Ledger, source: Incident, fingerprints: Sequence[str], title: str, actor: Actor) -> Incident:
    """Move alerts (of `source` and of what was merged into it) to a new incident, which pages from its first step.

    Whoever had the old one is assigned. Raises CommandError 409 for one that is over, 422 for a choice that is no split.
    """
    if not source.state.open:
        raise CommandError(409, "wrong_state", f"incident #{source.number} is {source.state.value} and cannot be split")
    alerts = rows.alert_rows(ledger.tx, rows.family(ledger.tx, source.number))
    chosen = _chosen(alerts, set(fingerprints), source)
    severity = max((row.severity for row in chosen), key=lambda word: (ledger.directory.rank(word), word))
    key = f"{source.key}{MARK}{source.number}.{source.version}"
    before = rows.extra(ledger.tx, source.number)
    kept: dict[str, Any] = {name: before[name] for name in ("group_key", "route_id", "page_reason") if name in before}
    extra = {**kept, "split_from": source.number}
    if source.acknowledged_by in ledger.directory.persons:
        extra["assignee"] = source.acknowledged_by
    fresh = _fresh(ledger, source, key=key, severity=severity, title=title or _title(chosen[0]))
    fresh = rows.insert(ledger.tx, fresh, extra=extra)
    _move(ledger.tx, chosen, fresh)
    return _tell(ledger, source, fresh, len({row.fingerprint for row in chosen}), actor)


def _chosen(alerts: Sequence[Row[Any]], wanted: set[str], source: Incident) -> list[Row[Any]]:
    """Rows of the wanted alerts, firing first. Raises CommandError 422."""
    known = {row.fingerprint for row in alerts}
    if not wanted:
        raise CommandError(422, "no_alerts", "expected `alerts`, the fingerprints of those that are to move")
    if missing := sorted(wanted - known):
        raise CommandError(422, "unknown_alert", f"incident #{source.number} has no alert {', '.join(missing)}")
    if wanted == known:
        raise CommandError(422, "nothing_left", "these are all its alerts: leave at least one where it is")
    chosen = [row for row in alerts if row.fingerprint in wanted]
    if all(row.ends_at_ms for row in chosen):
        raise CommandError(422, "nothing_fires", "all of these have ended: an incident begins with an alert that fires")
    return chosen


def _fresh(ledger: Ledger, source: Incident, *, key: str, severity: str, title: str) -> Incident:
    return Incident(
        number=0,
        key=key,
        generation=1,
        title=title,
        severity=severity,
        urgency=ledger.directory.urgency_for(ledger.service(source), severity),
        state=IncidentState.TRIGGERED,
        receiver=source.receiver,
        policy=source.policy,
        group_labels=source.group_labels,
        service=source.service,
        created_ms=ledger.now_ms,
        updated_ms=ledger.now_ms,
        trace_id=source.trace_id,
    )


def _title(row: Row[Any]) -> str:
    summary = " ".join(str(row.annotations.get("summary", "")).split())
    return (summary or named(Alert(Labels(row.labels), row.annotations, row.starts_at_ms)))[:200]


def _move(tx: Connection, chosen: Sequence[Row[Any]], fresh: Incident) -> None:
    """The rows change hands; each former owner remembers where its alerts went."""
    c = incident_alerts.c
    moved: set[str] = set()
    gone: dict[int, dict[str, str]] = {}
    for row in chosen:
        gone.setdefault(row.incident, {})[row.fingerprint] = fresh.key
        here = (c.incident == row.incident, c.fingerprint == row.fingerprint)
        if row.fingerprint in moved:  # The same alert in two merged incidents stays one.
            tx.execute(sa.delete(incident_alerts).where(*here))
        else:
            tx.execute(sa.update(incident_alerts).where(*here).values(incident=fresh.number))
        moved.add(row.fingerprint)
    for number, places in gone.items():
        rows.keep(tx, number, split_off={**rows.extra(tx, number).get("split_off", {}), **places})


def _tell(ledger: Ledger, source: Incident, fresh: Incident, count: int, actor: Actor) -> Incident:
    """Timelines of both, news to those who know the old one, pages for the new one."""
    alerts = "1 alert" if count == 1 else f"{count} alerts"
    ledger.touched.add(source.number)
    source = rows.save(ledger.tx, replace(source, updated_ms=ledger.now_ms))
    ledger.record(
        source, "split", f"{actor.name} split off {alerts} as #{fresh.number}: {fresh.title}", actor=actor, into=fresh.number
    )
    ledger.record(fresh, "split_from", f"{actor.name} split it off #{source.number}: {source.title}", actor=actor)
    if assignee := rows.extra(ledger.tx, fresh.number).get("assignee"):
        ledger.record(fresh, "assigned", f"assigned to {assignee}, who has #{source.number}", who=assignee)
    if all(row.ends_at_ms for row in rows.alert_rows(ledger.tx, rows.family(ledger.tx, source.number))):
        ledger.change(source, Ended(text=f"what still fires is #{fresh.number} now"))
    else:
        ledger.tell(source, NotificationKind.UPDATE, f"{alerts} of it are #{fresh.number} now: {fresh.title}")
    return ledger.begin(fresh)


# -- pages that come later --


def parts(ledger: Ledger, page: Page, known: Incident | None) -> tuple[Page, dict[str, Page]]:
    """The page as far as it is `known`'s own, and what of it belongs to incidents that were split off, by their keys."""
    off: Mapping[str, str] = rows.extra(ledger.tx, known.number).get("split_off", {}) if known else {}
    if not off:
        return page, {}
    homes = {key: rows.latest(ledger.tx, key) for key in set(off.values())}

    def home(alert: Alert, *, over: bool = False) -> str:
        key = off.get(alert.fingerprint, "")
        at = homes.get(key)
        return key if at is not None and (over or _keeps(ledger, at, alert)) else ""

    found: dict[str, tuple[list[Alert], list[Alert], list[Any]]] = {}
    for alert in page.firing:
        found.setdefault(home(alert), ([], [], []))[0].append(alert)
    for alert in page.resolved:
        found.setdefault(home(alert, over=True), ([], [], []))[1].append(alert)
    for muted in page.suppressed:
        found.setdefault(home(muted[0]), ([], [], []))[2].append(muted)
    pages = {
        key: replace(page, firing=tuple(firing), resolved=tuple(resolved), suppressed=tuple(suppressed))
        for key, (firing, resolved, suppressed) in found.items()
    }
    own = pages.pop("", None) or replace(page, firing=(), resolved=(), suppressed=())
    return own, pages


def _keeps(ledger: Ledger, at: Incident, alert: Alert) -> bool:
    """Whether an alert that fires is still the split incident's; once that has been over for a while, it is the group's again."""
    leader = rows.leader(ledger.tx, at)
    if leader.state.open:
        return True
    service, since_ms = ledger.service(leader), ledger.now_ms - leader.resolved_ms
    aside = rows.extra(ledger.tx, leader.number).get("put_aside", {})
    if aside.get(alert.fingerprint) == alert.starts_at_ms:
        return since_ms < service.manual_resolve_hold_ms
    return since_ms <= service.reopen_window_ms


def carried(tx: Connection, before: Incident) -> dict[str, Any]:
    """What a new incident of the same group inherits."""
    off = rows.extra(tx, before.number).get("split_off")
    return {"split_off": off} if off else {}
