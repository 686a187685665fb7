"""A page did not get through: the person's next contact method, then the next step at once, then the last resort."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from tocsin.errors import CommandError
from tocsin.incidents import policy as escalation
from tocsin.incidents import rows
from tocsin.incidents.ledger import Ledger, pages_undeliverable
from tocsin.incidents.policy import NotTold, Plan, Recipient
from tocsin.model.incident import Incident, IncidentState, NotificationRule, Person
from tocsin.model.notification import Notification, NotificationKind
from tocsin.state.schema import notifications

_ALIVE = ("pending", "held", "sending", "accepted", "delivered", "read")
_LANDED = ("accepted", "delivered", "read")


def fall_back(ledger: Ledger, note: Notification, why: str) -> None:
    """Find another way for a page that failed or takes too long. Called once per page."""
    try:
        incident = rows.load(ledger.tx, note.incident)
    except CommandError:
        return
    failure = f"{note.channel} to {note.recipient} did not get through: {why}"
    ledger.record(incident, "undelivered", failure, cause=why[:200], who=note.recipient, notification=note.id)
    ledger.touched.add(incident.number)
    if incident.state is not IncidentState.TRIGGERED or not rows.is_listed(incident):
        return
    if note.settings_ref.startswith("user:") and _next_method(ledger, incident, note):
        return
    if not _somebody_else_was_told(ledger, incident, note):
        _escalate_early(ledger, incident, failure)


def _next_method(ledger: Ledger, incident: Incident, note: Notification) -> bool:
    """Page the same person by a contact method that was not used in this round; False when none is left."""
    person = ledger.directory.persons.get(note.recipient)
    if person is None:
        return False
    used = _refs_since(ledger, incident, note)
    for method in person.methods:
        ref = f"user:{person.name}/{method.id}"
        if not method.verified or ref in used:
            continue
        recipient = _recipient(person, method.id, f"{note.reason}, after {note.channel} failed")
        ledger.page(incident, Plan(told=(recipient,)), step="fallback", text=f"{note.channel} did not get through")
        return True
    return any(ref.startswith(f"user:{person.name}/") and state in _ALIVE for ref, state in used.items())


def _recipient(person: Person, method_id: str, why: str) -> Recipient:
    method = next(method for method in person.methods if method.id == method_id)
    rule = NotificationRule(method_id)
    return Recipient(
        person.name, method.channel, escalation.shown_address(method), f"user:{person.name}/{method_id}", why, rule.delay_ms
    )


def _refs_since(ledger: Ledger, incident: Incident, note: Notification) -> dict[str, str]:
    """Settings references paged since the failed page was decided, with the state of each (the failed one excluded as alive)."""
    c = notifications.c
    query = sa.select(c.settings_ref, c.state, c.id).where(
        c.incident == incident.number, c.kind == NotificationKind.PAGE.value, c.created_ms >= note.created_ms
    )
    return {row.settings_ref: "failed" if row.id == note.id else row.state for row in ledger.tx.execute(query)}


def _somebody_else_was_told(ledger: Ledger, incident: Incident, note: Notification) -> bool:
    """Another person's page of this round has landed, or waits to be tried: the step is not lost yet."""
    c = notifications.c
    query = sa.select(c.state, c.attempts, c.settings_ref, c.due_at_ms).where(
        c.incident == incident.number,
        c.kind == NotificationKind.PAGE.value,
        c.created_ms >= note.created_ms,
        c.id != note.id,
    )
    people_needed = not escalation.tells_places_only(incident.policy)
    for row in ledger.tx.execute(query):
        if people_needed and not row.settings_ref.startswith("user:"):
            continue
        if row.state in _LANDED or (row.state in ("pending", "sending") and row.attempts <= 1 and _soon(ledger, row)):
            return True
    return False


def _soon(ledger: Ledger, row: Any) -> bool:
    return bool(row.due_at_ms <= ledger.now_ms + 60_000)


def _escalate_early(ledger: Ledger, incident: Incident, failure: str) -> None:
    steps = incident.policy.steps
    if incident.step > len(steps):
        _last_resort(ledger, incident, failure)
        return
    ledger.record(incident, "escalated_early", f"the next step starts now: {failure}", cause="undelivered")
    ledger.run_due_steps(replace(incident, next_escalation_at_ms=ledger.now_ms))


def _last_resort(ledger: Ledger, incident: Incident, failure: str) -> None:
    """The policy has run out and its page failed: tell whoever is left on another channel."""
    targets = ledger.directory.final_targets(incident.policy, ledger.service(incident))
    plan = escalation.reach(targets, incident, ledger.directory, ledger.now_ms, why="because the page could not be delivered")
    c = notifications.c
    query = sa.select(c.settings_ref).where(c.incident == incident.number, c.kind == NotificationKind.PAGE.value)
    paged = {row.settings_ref for row in ledger.tx.execute(query)}
    fresh = tuple(recipient for recipient in plan.told if recipient.settings_ref not in paged)
    if fresh:
        incident = rows.save(ledger.tx, incident)
        ledger.page(incident, Plan(told=fresh), step="last resort", text=failure)
        return
    pages_undeliverable.inc()
    nobody = (*plan.not_told, NotTold("everybody else", "was paged already or cannot be reached"))
    ledger.record(incident, "undeliverable", f"nobody is left to tell: {failure}", cause="undelivered")
    ledger.page(incident, Plan(not_told=nobody), step="last resort")
