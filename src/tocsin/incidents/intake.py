"""A page of the dispatcher becomes a change of its incident: opened, updated, muted, reopened or resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tocsin.incidents import flapping, joint, receivers, rows, snapshot, split, storm
from tocsin.incidents.changes import Fired, Muted
from tocsin.incidents.ledger import Ledger
from tocsin.incidents.people import Service
from tocsin.incidents.receivers import Part
from tocsin.model.alert import Alert, Page, PageReason
from tocsin.model.event import SYSTEM, Event
from tocsin.model.incident import Incident, IncidentState
from tocsin.state import events

_New = tuple[Incident, dict[str, Any]]
"""An incident that is not stored yet, and its extra entries."""


def receive(ledger: Ledger, page: Page) -> None:
    """Write what `page` means."""
    receiver = ledger.directory.receivers.get(page.receiver)
    if receiver is not None and receiver.tells_nobody:
        # Alertmanager's idiom for "nobody": a declared receiver without anything in it.
        _note_blackhole(ledger, page)
        return
    _take(ledger, page, f"{page.receiver}\n{page.group_key}")


def _take(ledger: Ledger, page: Page, key: str) -> None:
    """The page for the incidents under `key`, and for those that people split off them."""
    known = rows.latest(ledger.tx, key)
    part = receivers.one(ledger.tx, known.number, key) if known else None
    listens = known is not None and part is not None and key != known.key
    page, elsewhere = (page, {}) if listens else split.parts(ledger, page, known)
    for other, share in elsewhere.items():
        _take(ledger, share, other)
    before = _firing_in(ledger, known) if known and (elsewhere or split.MARK in key) else None
    leader = rows.leader(ledger.tx, known) if known else None
    if known is None or leader is None or leader.state is IncidentState.RESOLVED:
        if page.firing or page.suppressed:
            # A storm that is over does not come back for one of its groups; another leader does.
            _begin_or_reopen(ledger, page, key, None if leader and storm.is_storm(ledger, leader) else leader, part)
        elif known is not None:
            _write_alerts(ledger, known, page, part=part)
            if part is not None and leader is not None:
                joint.tell_end(ledger, leader, part, _end_text(page), people=part.key == leader.key)
        return
    strangers = _strangers(ledger, known, page)
    fresh = _write_alerts(ledger, known, page, part=part)
    if part is not None and listens:
        heard = receivers.one(ledger.tx, known.number, key)
        _listen(ledger, page, leader, heard or part, strangers=strangers)
        return
    if before is not None and page.firing and _no_news(ledger, page, leader, before, known):
        return
    if page.firing:
        fired = _fired(ledger, leader, page, fresh)
        audible_again = leader.state is IncidentState.SUPPRESSED
        if flapping.fires(ledger, leader, news=strangers or fired.raised or audible_again):
            _change(ledger, leader, fired, part)
    elif page.suppressed:
        if _nothing_fires(ledger, leader, but=known):
            _change(ledger, leader, Muted(by=_muted_by(page)), part)
    elif (part is not None and known.number == leader.number) or _nothing_fires(ledger, leader):
        rows.keep(ledger.tx, leader.number, page_reason=page.reason.value)
        flapping.ends(ledger, leader, _end_text(page))


def _listen(ledger: Ledger, page: Page, leader: Incident, part: Part, *, strangers: bool) -> None:
    """The page of a group that does not lead: its own places hear of it."""
    flaps = flapping.load(ledger, leader).since_ms > 0
    if page.firing:
        if joint.will_lead(leader, part):
            flapping.fires(ledger, leader, news=True)
        joint.listen(ledger, leader, page, part, news=strangers, quiet=flaps and not strangers)
    elif page.suppressed:
        joint.cover(ledger, leader, part)
    elif _nothing_fires(ledger, leader):
        flapping.ends(ledger, leader, _end_text(page))
    elif not flaps:
        joint.tell_end(ledger, leader, part, _end_text(page))


def _change(ledger: Ledger, leader: Incident, change: Fired | Muted, part: Part | None) -> None:
    """The leading group's news: not told to the places of other groups, and their pages still go out."""
    ledger.news_of = part.key if part else ""
    ledger.change(leader, change)
    ledger.news_of = ""


def _no_news(ledger: Ledger, page: Page, leader: Incident, before: set[str], known: Incident) -> bool:
    """The group has news, but about alerts of the other part of a split."""
    if page.reason not in (PageReason.NEW_ALERTS, PageReason.SOME_RESOLVED) or leader.state is IncidentState.SUPPRESSED:
        return False
    return _firing_in(ledger, known) == before


def _strangers(ledger: Ledger, incident: Incident, page: Page) -> bool:
    """Whether alerts fire that this incident has not seen before."""
    known = {row.fingerprint for row in rows.alert_rows(ledger.tx, [incident.number])}
    return any(alert.fingerprint not in known for alert in page.firing)


def _firing_in(ledger: Ledger, incident: Incident) -> set[str]:
    return {row.fingerprint for row in rows.alert_rows(ledger.tx, [incident.number]) if not row.ends_at_ms}


def _begin_or_reopen(ledger: Ledger, page: Page, key: str, known: Incident | None, part: Part | None) -> None:
    service = ledger.directory.service_for(_labels(page))
    if part is not None and (known is None or part.incident != known.number):
        part = None
    if known is not None and _put_aside_by_person(ledger, page, known, service, part):
        return
    policy = ledger.directory.policy_for(page.receiver, service)
    others = joint.sharing(ledger, page)
    if (host := joint.host(ledger, page, policy, others)) is not None:
        joint.join(ledger, host, page, key, policy)
        return
    if known is not None and page.firing and ledger.now_ms - known.resolved_ms <= service.reopen_window_ms:
        if part is not None and part.key != known.key:
            known = joint.lead(ledger, known, part, service)
        fresh = _write_alerts(ledger, known, page, part=part)
        fired = _fired(ledger, known, page, fresh)
        if flapping.fires(ledger, known, news=fired.raised):
            ledger.change(known, fired)
        return
    incident, extra = _new(ledger, page, key, known, service)
    absorbing = storm.storm_for(ledger, incident, service) if page.firing else None
    if absorbing is not None:
        first = not rows.has_children(ledger.tx, absorbing.number)
        incident = rows.insert(ledger.tx, storm.joining(incident), extra=extra, merged_into=absorbing.number)
        _write_alerts(ledger, incident, page, new=True)
        storm.absorb(ledger, absorbing, incident, first=first)
        return
    incident = rows.insert(ledger.tx, incident, extra=extra)
    _write_alerts(ledger, incident, page, new=True)
    incident = ledger.begin(incident, muted_by="" if page.firing else _muted_by(page))
    joint.link(ledger, incident, [other for other in others if other.receiver != page.receiver])


def _new(ledger: Ledger, page: Page, key: str, previous: Incident | None, service: Service) -> _New:
    alerts = page.firing or tuple(alert for alert, _ in page.suppressed)
    severity = snapshot.worst_severity(alerts, ledger.directory)
    worst = max(alerts, key=lambda alert: ledger.directory.rank(alert.labels.get("severity", "")))
    extra: dict[str, Any] = {"group_key": page.group_key, "route_id": page.route_id, "page_reason": page.reason.value}
    flaps = flapping.Flaps()
    if previous is not None:
        extra["previous"] = previous.number
        flaps = replace(flapping.load(ledger, previous), since_ms=0)
    if page.firing:
        extra["flaps"] = flapping.as_extra(flapping.moved(flaps, firing=True, now_ms=ledger.now_ms))
    if (before := rows.latest(ledger.tx, key)) is not None:
        extra |= split.carried(ledger.tx, before)
    fresh = Incident(
        number=0,
        key=key,
        generation=previous.generation + 1 if previous else 1,
        title=snapshot.title(replace(page, firing=(worst,))),
        severity=severity,
        urgency=ledger.directory.urgency_for(service, severity),
        state=IncidentState.TRIGGERED,
        receiver=page.receiver,
        policy=ledger.directory.policy_for(page.receiver, service),
        group_labels=page.group_labels,
        service=service.name,
        created_ms=ledger.now_ms,
        updated_ms=ledger.now_ms,
        trace_id=page.trace_id,
    )
    return fresh, extra


def _put_aside_by_person(ledger: Ledger, page: Page, known: Incident, service: Service, part: Part | None) -> bool:
    """A person resolved it while alerts went on firing: those same spells do not reopen it for a while."""
    aside: dict[str, int] = rows.extra(ledger.tx, known.number).get("put_aside", {})
    if not aside or ledger.now_ms - known.resolved_ms >= service.manual_resolve_hold_ms:
        return False
    alerts = [*page.firing, *(alert for alert, _ in page.suppressed)]
    if any(aside.get(alert.fingerprint) != alert.starts_at_ms for alert in alerts):
        return False
    _write_alerts(ledger, known, page, part=part)
    text = f"{known.resolved_by} resolved #{known.number} while these alerts were firing; they have not stopped since"
    ledger.record(known, "not_notified", text, cause="put_aside")
    return True


def _fired(ledger: Ledger, incident: Incident, page: Page, fresh: int) -> Fired:
    directory = ledger.directory
    severity = snapshot.worst_severity(page.firing, directory)
    urgency = directory.urgency_for(ledger.service(incident), severity)
    raised = directory.rank(severity) > directory.rank(incident.severity)
    rows.keep(ledger.tx, incident.number, page_reason=page.reason.value)
    return Fired(
        severity=severity,
        urgency=urgency,
        raised=raised,
        more_urgent=raised and urgency.value == "high" and incident.urgency.value == "low",
        new_alerts=fresh,
        reason=page.reason,
        text=_news(page, fresh),
    )


def _news(page: Page, fresh: int) -> str:
    if page.reason is PageReason.NEW_ALERTS and fresh:
        return f"{fresh} more alert{'s' if fresh > 1 else ''}, {len(page.firing)} firing now"
    if page.reason is PageReason.SOME_RESOLVED:
        return f"{len(page.resolved)} resolved, {len(page.firing)} still firing"
    if page.reason is PageReason.REPEAT:
        return "still firing"
    return f"{len(page.firing)} firing"


def _write_alerts(ledger: Ledger, incident: Incident, page: Page, *, new: bool = False, part: Part | None = None) -> int:
    """The group as it is now; returns how many alerts are new or fire again. What the group no longer holds has ended.

    `part`: the group, where the incident has several.
    """
    ledger.touched.add(incident.number)
    if part is not None:
        fresh, _ = receivers.write_alerts(ledger.tx, incident, page, part, ledger.now_ms)
        return fresh
    at_ms = page.decided_ms or ledger.now_ms
    still_muted = [alert for alert, _ in page.suppressed]
    known = {} if new else rows.alerts_by_print(ledger.tx, incident.number)
    fresh = rows.put_alerts(ledger.tx, incident.number, [*page.firing, *still_muted], known)
    rows.put_alerts(ledger.tx, incident.number, page.resolved, known, ended_ms=at_ms)
    if new:
        return fresh
    named = [alert.fingerprint for alert in (*page.firing, *still_muted, *page.resolved)]
    rows.end_others(ledger.tx, incident.number, named, ended_ms=at_ms)
    return fresh


def _nothing_fires(ledger: Ledger, leader: Incident, *, but: Incident | None = None) -> bool:
    """No alert of the incident and of those merged into it fires (`but` left out)."""
    numbers = [n for n in rows.family(ledger.tx, leader.number) if but is None or n != but.number]
    return not any(row.ends_at_ms == 0 for row in rows.alert_rows(ledger.tx, numbers))


def _muted_by(page: Page) -> str:
    causes = {f"{cause.kind.value} by {cause.by}" if cause.by else cause.kind.value for _, by in page.suppressed for cause in by}
    return ", ".join(sorted(causes)) or "suppressed"


def _end_text(page: Page) -> str:
    if page.resolved and all(alert.timeout for alert in page.resolved):
        return "no longer reported (stale)"
    count = len(page.resolved)
    return "all alerts resolved" if count != 1 else "the alert resolved"


def _labels(page: Page) -> dict[str, str]:
    """Group labels with those that all alerts share: what services are matched against."""
    alerts: Sequence[Alert] = page.firing or tuple(alert for alert, _ in page.suppressed)
    common = dict(alerts[0].labels)
    for alert in alerts[1:]:
        common = {name: value for name, value in common.items() if alert.labels.get(name) == value}
    return {**common, **page.group_labels}


def _note_blackhole(ledger: Ledger, page: Page) -> None:
    if page.reason is not PageReason.FIRST:
        return
    text = f"nobody is told: receiver {page.receiver} has neither people nor destinations"
    for alert in page.firing:
        event = Event(ledger.now_ms, str(SYSTEM), "not_notified", f"alert:{alert.fingerprint}", text, {}, "empty_receiver")
        events.record(ledger.tx, event)
