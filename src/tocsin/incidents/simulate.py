"""Who would be paged, and when, if an alert fired and nobody answered: the policy walked through, nothing sent. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tocsin.incidents import policy as escalation
from tocsin.incidents.people import Directory, Service
from tocsin.incidents.policy import NotTold, Recipient, Turn
from tocsin.model.incident import Incident, IncidentState

_MOST_STEPS = 200


@dataclass(frozen=True, slots=True)
class Notice:
    """One message: when it would leave, and to whom."""

    t_ms: int
    recipient: Recipient


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of the policy, executed at `t_ms`."""

    t_ms: int
    step: str
    notices: tuple[Notice, ...]
    not_told: tuple[NotTold, ...] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """What a receiver's policy would do; no moments = a receiver that is declared empty, so that nobody hears."""

    receiver: str
    policy: str
    severity: str
    urgency: str
    moments: tuple[Moment, ...]


def simulate(directory: Directory, receiver: str, labels: Mapping[str, str], at_ms: int) -> Course:
    """The course of an incident that opens at `at_ms` (after the group's wait) and is never acknowledged."""
    service = directory.service_for(labels)
    severity = labels.get("severity", "")
    incident = Incident(
        number=0,
        key="",
        generation=1,
        title="",
        severity=severity,
        urgency=directory.urgency_for(service, severity),
        state=IncidentState.TRIGGERED,
        receiver=receiver,
        policy=directory.policy_for(receiver, service),
        service=service.name,
        created_ms=at_ms,
        next_escalation_at_ms=at_ms,
    )
    declared = directory.receivers.get(receiver)
    empty = declared is not None and bool(declared.place.file) and not declared.destinations and not declared.policy
    moments = () if empty else tuple(_moments(incident, directory))
    return Course(receiver, incident.policy.name, severity, incident.urgency.value, moments)


def _moments(incident: Incident, directory: Directory) -> Iterator[Moment]:
    """As Ledger.run_due_steps executes them, each at the instant it is due."""
    service = directory.services.get(incident.service) or Service(incident.service)
    now_ms, reached_before = incident.next_escalation_at_ms, False
    for _ in range(_MOST_STEPS):
        if not incident.next_escalation_at_ms:
            return
        if incident.next_escalation_at_ms > now_ms:
            now_ms, reached_before = incident.next_escalation_at_ms, False
        due = escalation.turn(incident, directory, service)
        if due is None:
            return
        moment = _moment(incident, directory, due, now_ms)
        told = bool(moment.notices)
        incident = escalation.advance(incident, due, reached=told, reached_before=reached_before, now_ms=now_ms)
        reached_before = reached_before or told
        yield moment


def _moment(incident: Incident, directory: Directory, due: Turn, now_ms: int) -> Moment:
    if due.skipped:
        return Moment(now_ms, due.text, (), tuple(NotTold(escalation.target_text(t), due.skipped) for t in due.targets))
    plan = escalation.reach(due.targets, incident, directory, now_ms, why=due.text)
    notices = tuple(Notice(max(now_ms + r.delay_ms, r.held_until_ms), r) for r in plan.told)
    return Moment(now_ms, due.text, notices, plan.not_told)
