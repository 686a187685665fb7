"""One problem, one incident: groups of several receivers that hold the same firing alerts become one incident.

    chat's page ──▶ #7 (places only)     pager's page, same labels, same alerts ──▶ joins #7, whose policy it brings

One group leads: the one whose receiver has a policy, while it fires. It drives the state machine (escalation, flapping,
severity). The others listen: each page of theirs is told to their own places and to nobody else. An acknowledgement covers all;
the incident ends when nothing of any group fires.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from tocsin.incidents import policy as escalation
from tocsin.incidents import receivers, rows, snapshot, split, storm
from tocsin.incidents.changes import Adopted, Ended, Fired, HandedOver
from tocsin.incidents.ledger import Ledger
from tocsin.incidents.people import Service, destination_targets
from tocsin.incidents.receivers import Part
from tocsin.model.alert import Page, PageReason
from tocsin.model.incident import Incident, IncidentState, Policy
from tocsin.model.notification import NotificationKind
from tocsin.state import outbox
from tocsin.state.prepared import Prepared
from tocsin.state.schema import incident_alerts, incidents

_MOST_PRINTS = 500
_JOINABLE = (IncidentState.TRIGGERED.value, IncidentState.ACKNOWLEDGED.value, IncidentState.SNOOZED.value)
_i, _a = incidents.c, incident_alerts.c
_SHARING = Prepared(
    sa.select(_i.number, _i.group_labels)
    .select_from(incident_alerts)
    .join(incidents, _i.number == _a.incident)
    .where(
        _a.fingerprint.in_(sa.bindparam("prints", expanding=True)),
        _a.ends_at_ms == 0,
        # The empty text keeps the database from beginning with all open incidents: in a storm there are thousands.
        _i.state.concat("").in_(sa.bindparam("states", expanding=True)),
    )
    .order_by(_i.number)
)


# -- joining --


def sharing(ledger: Ledger, page: Page) -> list[Incident]:
    """Open incidents that are about the same group labels and at least one of the alerts that fire, the oldest first."""
    if not page.firing or len(ledger.directory.receivers) < 2:
        return []
    prints = [alert.fingerprint for alert in page.firing[:_MOST_PRINTS]]
    labels = dict(page.group_labels)
    found = _SHARING.all(ledger.tx, states=list(_JOINABLE), prints=prints)
    numbers = {row.number for row in found if dict(row.group_labels) == labels}
    return [rows.load(ledger.tx, number) for number in sorted(numbers)]


def host(ledger: Ledger, page: Page, policy: Policy, candidates: Sequence[Incident]) -> Incident | None:
    """The incident that the page's group joins: the same people would be told, or one of the two tells places only."""
    for incident in candidates:
        parts = receivers.of(ledger.tx, [incident.number])
        heard_by = {incident.receiver, *receivers.names(parts)}
        if page.receiver in heard_by or split.MARK in incident.key or storm.is_storm(ledger, incident):
            continue
        if _places_only(policy) or _places_only(incident.policy) or policy.name == incident.policy.name:
            return incident
    return None


def _places_only(policy: Policy) -> bool:
    return escalation.tells_places_only(policy) and any(step.targets for step in policy.steps)


def join(ledger: Ledger, incident: Incident, page: Page, key: str, policy: Policy) -> None:
    """A second receiver's group belongs to an open incident from here on."""
    if not receivers.of(ledger.tx, [incident.number]):
        receivers.put(ledger.tx, receivers.first_part(ledger.tx, incident))
    fresh = Part(
        incident=incident.number,
        key=key,
        receiver=page.receiver,
        group_key=page.group_key,
        route_id=page.route_id,
        reason=page.reason.value,
        policy=policy,
        firing={},
        known=frozenset(),
        joined_ms=ledger.now_ms,
    )
    known = {row.fingerprint for row in rows.alert_rows(ledger.tx, [incident.number])}
    news = any(alert.fingerprint not in known for alert in page.firing)
    _, part = receivers.write_alerts(ledger.tx, incident, page, fresh, ledger.now_ms)
    text = f"receiver {page.receiver} hears of the same alerts: one problem, one incident"
    ledger.record(incident, "receiver_joined", text, receiver=page.receiver)
    ledger.touched.add(incident.number)
    listen(ledger, incident, page, part, news=news)


def link(ledger: Ledger, incident: Incident, others: Sequence[Incident]) -> None:
    """The same alerts lead to other people as well: incidents of their own, which know of each other."""
    for other in others:
        for one, two in ((incident, other), (other, incident)):
            linked = {*rows.extra(ledger.tx, one.number).get("linked", ()), two.number}
            rows.keep(ledger.tx, one.number, linked=sorted(linked))
            text = f"the same alerts page other people as #{two.number} ({two.policy.name})"
            ledger.record(one, "linked", text, number=two.number)
            ledger.touched.add(one.number)


# -- a listening group's page, its alerts are written --


def listen(ledger: Ledger, leader: Incident, page: Page, part: Part, *, news: bool, quiet: bool = False) -> None:
    """Alerts of a group that does not lead fire. `news`: alerts that the incident did not have; `quiet`: it flaps."""
    if will_lead(leader, part):
        adopt(ledger, leader, page, part)
        return
    if not quiet:
        tell(ledger, leader, part, _news(page))
    if _places_only(leader.policy):
        _weigh(ledger, rows.load(ledger.tx, leader.number), page)
    elif news and not _places_only(part.policy) and leader.state is not IncidentState.SUPPRESSED:
        # Both lead to the same people: they hear of what they did not know.
        _fire(ledger, rows.load(ledger.tx, leader.number), page, part)


def will_lead(leader: Incident, part: Part) -> bool:
    """The group's receiver has a policy, and only places hear of the incident so far."""
    return not _places_only(part.policy) and _places_only(leader.policy)


def tell(ledger: Ledger, leader: Incident, part: Part, text: str) -> None:
    """What the places of one group hear while it fires: a page, or news where they know of it already."""
    if ledger.has_heard(leader, part.receiver):
        leader = rows.save(ledger.tx, leader)
        ledger.send(leader, NotificationKind.UPDATE, ledger.owed(leader, NotificationKind.UPDATE, receiver=part.receiver), text)
        return
    receiver = ledger.directory.receivers.get(part.receiver)
    if receiver is None:
        return
    _withdraw(ledger, leader, part, NotificationKind.RESOLVED, "fires again before its end was told")
    leader = rows.save(ledger.tx, replace(leader, updated_ms=ledger.now_ms))
    why = "which hears of the same alerts"
    plan = escalation.reach(destination_targets(receiver), leader, ledger.directory, ledger.now_ms, why=why)
    ledger.page(leader, plan, step=f"receiver {part.receiver}", text=text, of_group=True)


def tell_end(ledger: Ledger, leader: Incident, part: Part, text: str, *, people: bool = False) -> None:
    """The group is over: whoever of its own was told and has not heard of an end hears of it."""
    audience = ledger.owed(leader, NotificationKind.RESOLVED, receiver=part.receiver, people=people)
    if audience:
        leader = rows.save(ledger.tx, leader)
        ledger.send(leader, NotificationKind.RESOLVED, audience, text, of_group=True)
    _withdraw(ledger, leader, part, NotificationKind.PAGE, text, people=people)
    ledger.touched.add(leader.number)


def cover(ledger: Ledger, leader: Incident, part: Part) -> None:
    """All that a listening group holds is suppressed: its waiting pages are not sent."""
    _withdraw(ledger, leader, part, NotificationKind.PAGE, "every alert of its group is suppressed")


def settled(ledger: Ledger, leader: Incident, text: str) -> None:
    """It flapped and has settled while firing: the listening groups hear how they stand."""
    for part in receivers.of(ledger.tx, [leader.number]):
        if part.key == leader.key or part.covered:
            continue
        now = rows.load(ledger.tx, leader.number)
        if part.firing:
            tell(ledger, now, part, text)
        else:
            tell_end(ledger, now, part, "all alerts of its group resolved")


def _withdraw(ledger: Ledger, leader: Incident, part: Part, kind: NotificationKind, reason: str, *, people: bool = False) -> None:
    prefixes = [f"{receivers.PLACE}{part.receiver}/", *(["user:"] if people else [])]
    for number in rows.family(ledger.tx, leader.number):
        outbox.cancel_of(ledger.tx, number, kind=kind, prefixes=prefixes, reason=reason, now_ms=ledger.now_ms)


def _weigh(ledger: Ledger, leader: Incident, page: Page) -> None:
    """Only places hear of it: a graver alert of another group shows, and nobody is paged anew."""
    severity = snapshot.worst_severity(page.firing, ledger.directory)
    if ledger.directory.rank(severity) > ledger.directory.rank(leader.severity):
        ledger.record(leader, "severity_raised", f"severity raised from {leader.severity or 'none'} to {severity}")
        urgency = ledger.directory.urgency_for(ledger.service(leader), severity)
        rows.save(ledger.tx, replace(leader, severity=severity, urgency=urgency))


def _fire(ledger: Ledger, leader: Incident, page: Page, part: Part) -> None:
    directory = ledger.directory
    severity = snapshot.worst_severity(page.firing, directory)
    raised = directory.rank(severity) > directory.rank(leader.severity)
    urgency = directory.urgency_for(ledger.service(leader), severity)
    ledger.news_of = part.key
    urgent = raised and urgency.value == "high" and leader.urgency.value == "low"
    ledger.change(leader, Fired(severity, urgency, raised, urgent, len(page.firing), PageReason.NEW_ALERTS, _news(page)))
    ledger.news_of = ""


def _news(page: Page) -> str:
    if page.reason is PageReason.REPEAT:
        return "still firing"
    if page.reason is PageReason.SOME_RESOLVED:
        return f"{len(page.resolved)} resolved, {len(page.firing)} still firing"
    return f"{len(page.firing)} firing"


# -- who leads --


def adopt(ledger: Ledger, leader: Incident, page: Page, part: Part) -> None:
    """The group with the policy leads; paging starts at its first step unless somebody has taken the incident already."""
    service = ledger.directory.service_for({**dict(page.firing[0].labels), **page.group_labels})
    severity = snapshot.worst_severity(page.firing, ledger.directory)
    raised = ledger.directory.rank(severity) > ledger.directory.rank(leader.severity)
    held = leader.state in (IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED)
    if not held:
        urgency = ledger.directory.urgency_for(service, severity if raised else leader.severity)
        leader = replace(leader, severity=severity if raised else leader.severity, urgency=urgency)
    leader = replace(leader, service=leader.service or service.name)
    begins = f"{leader.acknowledged_by or 'somebody'} has it already" if held else "escalation starts at its first step"
    text = f"receiver {part.receiver} hears of the same alerts and leads to {part.policy.name}: {begins}"
    leader = _lead(ledger, leader, part)
    leader = ledger.change(leader, Adopted(part.key, part.receiver, part.policy, text))
    if held:
        if raised:
            _fire(ledger, leader, page, part)
        tell(ledger, rows.load(ledger.tx, leader.number), part, _news(page))


def lead(ledger: Ledger, over: Incident, part: Part, service: Service) -> Incident:
    """An incident that is over begins again with this group: it leads. The value is not stored yet."""
    policy = ledger.directory.policy_for(part.receiver, service)
    return replace(_lead(ledger, over, part), key=part.key, receiver=part.receiver, policy=policy)


def end(ledger: Ledger, incident: Incident, text: str) -> None:
    """Nothing of the leading group fires: the incident ends, or the next group that fires leads."""
    parts = receivers.of(ledger.tx, [incident.number])
    alerts = rows.alert_rows(ledger.tx, rows.family(ledger.tx, incident.number)) if parts else []
    before = next((part for part in parts if part.key == incident.key), None)
    if before is None or all(row.ends_at_ms for row in alerts):
        over = [replace(part, reason=PageReason.ALL_RESOLVED.value) for part in parts if not part.covered]
        receivers.put(ledger.tx, *over)
        if parts:
            rows.keep(ledger.tx, incident.number, page_reason=PageReason.ALL_RESOLVED.value)
        ledger.change(incident, Ended(text=text))
        receivers.put(ledger.tx, *(replace(part, firing={}) for part in over))
        return
    firing = [part for part in parts if part is not before and part.firing]
    if not firing:
        # What was merged into it fires.
        tell_end(ledger, incident, before, text)
        return
    following = min(firing, key=lambda part: (part.policy.name != before.policy.name, _places_only(part.policy)))
    same = following.policy.name == before.policy.name
    tell_end(ledger, incident, before, text, people=not same)
    incident = _lead(ledger, rows.load(ledger.tx, incident.number), following)
    more = f"receiver {before.receiver}: {text}; what still fires is told to receiver {following.receiver}"
    ledger.change(incident, HandedOver(following.key, following.receiver, following.policy, more))


def _lead(ledger: Ledger, incident: Incident, part: Part) -> Incident:
    rows.keep(ledger.tx, incident.number, group_key=part.group_key, route_id=part.route_id, page_reason=part.reason)
    return incident
