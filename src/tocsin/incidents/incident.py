"""The incident state machine. Pure: (incident, change, now) -> (incident, effects).

    (none) ──Fired──▶ triggered ──Acknowledge──▶ acknowledged ──AcknowledgementTimedOut, Unacknowledge, raised──▶ triggered
       └───Muted──▶ suppressed ──Fired──▶ triggered ──Snooze──▶ snoozed ──SnoozeOver──▶ triggered
    any open ──Ended | Resolve──▶ resolved ──Fired──▶ triggered (reopened)        any open ──Merge──▶ merged

`next_escalation_at_ms = now` means: the step at `step` is due, which the caller executes in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tocsin.errors import CommandError
from tocsin.incidents.changes import (
    Acknowledge,
    AcknowledgementTimedOut,
    Adopted,
    AutoResolve,
    CancelPages,
    Change,
    Effect,
    Ended,
    Escalate,
    Fired,
    FlapBegan,
    FlapSettled,
    HandedOver,
    Merge,
    Muted,
    PagePerson,
    Record,
    ReminderDue,
    Resolve,
    Snooze,
    SnoozeOver,
    StartTimer,
    StopTimers,
    StormGrew,
    Tell,
    Unacknowledge,
)
from tocsin.incidents.people import Service
from tocsin.model.alert import PageReason
from tocsin.model.duration import human_duration
from tocsin.model.event import SYSTEM, Actor
from tocsin.model.incident import Incident, IncidentState
from tocsin.model.notification import NotificationKind

Outcome = tuple[Incident, tuple[Effect, ...]]

ACK_TIMEOUT, ACK_REMINDER, SNOOZE, AUTO_RESOLVE = "ack_timeout", "ack_reminder", "snooze", "auto_resolve"
STORM_NEWS = "storm_news"
TIMER_CHANGES: dict[str, Change] = {
    ACK_TIMEOUT: AcknowledgementTimedOut(),
    ACK_REMINDER: ReminderDue(),
    SNOOZE: SnoozeOver(),
    AUTO_RESOLVE: AutoResolve(),
    STORM_NEWS: StormGrew(),
}


def apply(incident: Incident, change: Change, now_ms: int, service: Service) -> Outcome:
    """Move the incident. An unchanged incident with no effects means that there was nothing to do.

    Raises CommandError (409) for a person's command that makes no sense in this state.
    """
    handler: Callable[..., Outcome] = _HANDLERS[type(change)]
    after, effects = handler(incident, change, now_ms, service)
    if after is incident:
        return incident, effects
    return replace(after, updated_ms=now_ms), effects


def opened(incident: Incident, now_ms: int, service: Service, *, muted_by: str = "") -> Outcome:
    """A new incident begins: the first step is due, or nothing is when every alert is muted."""
    text = f"incident opened: {incident.title} ({incident.severity or 'no severity'})"
    if muted_by:
        quiet = replace(incident, state=IncidentState.SUPPRESSED, next_escalation_at_ms=0)
        return quiet, (Record("opened", text), Record("suppressed", f"nobody is paged: {muted_by}", cause=muted_by))
    effects: list[Effect] = [Record("opened", text)]
    if service.auto_resolve_after_ms:
        effects.append(StartTimer(AUTO_RESOLVE, now_ms + service.auto_resolve_after_ms))
    return _from_the_top(incident, now_ms), tuple(effects)


# -- the source speaks --


def _fired(incident: Incident, fired: Fired, now_ms: int, service: Service) -> Outcome:
    state = incident.state
    if state is IncidentState.RESOLVED:
        return _reopened(incident, fired, now_ms)
    changed = _graver(incident, fired)
    effects: list[Effect] = []
    if fired.raised:
        effects.append(
            Record("severity_raised", f"severity raised from {incident.severity or 'none'} to {fired.severity or 'no label'}")
        )
    if state is IncidentState.SUPPRESSED:
        effects.append(Record("unsuppressed", "no longer suppressed and still firing: paging starts anew"))
        return _from_the_top(changed, now_ms), tuple(effects)
    if state is IncidentState.TRIGGERED:
        return _fired_while_triggered(changed, fired, now_ms, effects)
    if fired.raised and service.on_raise == "reopen":
        held = incident.acknowledged_by or "its holder"
        effects += [
            Record("reopened_by_severity", f"{fired.severity} is worse than what {held} took on: paging starts anew"),
            StopTimers(),
            PagePerson(incident.acknowledged_by, f"raised to {fired.severity} after you took it"),
        ]
        return _from_the_top(changed, now_ms), tuple(effects)
    if fired.raised and service.on_raise == "notify_acker":
        effects.append(PagePerson(incident.acknowledged_by, f"raised to {fired.severity} after you took it"))
    if fired.new_alerts or fired.raised or fired.reason is not PageReason.FIRST:
        effects.append(Tell(NotificationKind.UPDATE, fired.text, only=incident.acknowledged_by))
    return changed, tuple(effects)


def _fired_while_triggered(changed: Incident, fired: Fired, now_ms: int, effects: list[Effect]) -> Outcome:
    if fired.more_urgent:
        effects += [CancelPages("superseded by a more urgent page"), Record("restarted", "more urgent now: paging starts anew")]
        return _from_the_top(changed, now_ms), tuple(effects)
    if fired.reason is PageReason.REPEAT and changed.next_escalation_at_ms == 0 and _has_people(changed):
        effects.append(Record("repeated", "nobody has acknowledged and the repeat interval elapsed: paging starts anew"))
        return _from_the_top(changed, now_ms), tuple(effects)
    effects.append(Tell(NotificationKind.UPDATE, fired.text))
    return changed, tuple(effects)


def _reopened(incident: Incident, fired: Fired, now_ms: int) -> Outcome:
    ago = human_duration(max(now_ms - incident.resolved_ms, 0))
    again = replace(
        _graver(incident, fired),
        resolved_ms=0,
        resolved_by="",
        acknowledged_ms=0,
        acknowledged_by="",
        reopen_count=incident.reopen_count + 1,
    )
    return _from_the_top(again, now_ms), (Record("reopened", f"fires again {ago} after it was resolved"),)


def _muted(incident: Incident, muted: Muted, now_ms: int, service: Service) -> Outcome:
    if incident.state in (IncidentState.TRIGGERED, IncidentState.SNOOZED):
        quiet = replace(incident, state=IncidentState.SUPPRESSED, next_escalation_at_ms=0, snoozed_until_ms=0)
        reason = f"every alert is suppressed ({muted.by})"
        return quiet, (Record("suppressed", f"paging stops: {reason}", cause=muted.by), CancelPages(reason), StopTimers())
    return incident, ()


def _ended(incident: Incident, ended: Ended, now_ms: int, service: Service) -> Outcome:
    if not incident.state.open:
        return incident, ()
    return _resolved(incident, now_ms, by="source", actor=SYSTEM, text=ended.text or "all alerts resolved")


def _flap_began(incident: Incident, began: FlapBegan, now_ms: int, service: Service) -> Outcome:
    """Whoever has not answered is still escalated to, but nobody is paged a second time for it."""
    if not incident.state.open:
        return incident, ()
    record, tell = Record("flapping", began.text, cause="flapping"), Tell(NotificationKind.UPDATE, began.text)
    return replace(incident, loop=max(incident.loop, incident.policy.repeat)), (record, tell)


def _flap_settled(incident: Incident, settled: FlapSettled, now_ms: int, service: Service) -> Outcome:
    record = Record("flapping_over", settled.text, cause="flapping")
    if incident.state is IncidentState.TRIGGERED:
        return _from_the_top(incident, now_ms), (record,)
    return incident, (record, Tell(NotificationKind.UPDATE, settled.text, only=incident.acknowledged_by))


def _adopted(incident: Incident, adopted: Adopted, now_ms: int, service: Service) -> Outcome:
    """Whoever has taken it goes on having it; else the policy starts at its first step."""
    led = replace(incident, key=adopted.key, receiver=adopted.receiver, policy=adopted.policy, step=0, loop=0)
    record = Record("policy_adopted", adopted.text)
    if incident.state in (IncidentState.TRIGGERED, IncidentState.SUPPRESSED):
        return _from_the_top(led, now_ms), (record,)
    return led, (record,)


def _handed_over(incident: Incident, over: HandedOver, now_ms: int, service: Service) -> Outcome:
    """Escalation goes on only where the next group leads to the same policy; its places know already."""
    led = replace(incident, key=over.key, receiver=over.receiver, policy=over.policy)
    if incident.state is IncidentState.SUPPRESSED:
        led = replace(led, state=IncidentState.TRIGGERED)
    if over.policy.name != incident.policy.name or incident.state is IncidentState.SUPPRESSED:
        led = replace(led, step=len(over.policy.steps) + 1, loop=0, next_escalation_at_ms=0)
    return led, (Record("handed_over", over.text),)


def _auto_resolve(incident: Incident, _: AutoResolve, now_ms: int, service: Service) -> Outcome:
    if not incident.state.open:
        return incident, ()
    after = human_duration(service.auto_resolve_after_ms)
    return _resolved(incident, now_ms, by="timeout", actor=SYSTEM, text=f"resolved by itself after {after}")


# -- people speak --


def _acknowledge(incident: Incident, command: Acknowledge, now_ms: int, service: Service) -> Outcome:
    actor = command.actor
    if incident.state is IncidentState.ACKNOWLEDGED:
        holder = incident.acknowledged_by
        if holder == actor.name:
            timers = _ack_timers(now_ms, service)
            return incident, (Record("extended", f"{holder} is still on it", actor), StopTimers(), *timers) if timers else ()
        return incident, (Record("acknowledged_again", f"{actor.name} acknowledges too; {holder} has it", actor),)
    if not incident.state.open:
        text = f"{actor.name} acknowledged, but it was {incident.state.value} already"
        return incident, (Record("acknowledged_late", text, actor),)
    held = replace(
        incident,
        state=IncidentState.ACKNOWLEDGED,
        acknowledged_ms=now_ms,
        acknowledged_by=actor.name,
        next_escalation_at_ms=0,
        snoozed_until_ms=0,
    )
    after = human_duration(max(now_ms - incident.created_ms, 0))
    via = f" by {actor.via}" if actor.via else ""
    effects: list[Effect] = [
        Record("acknowledged", f"{actor.name} acknowledged{via} after {after}", actor),
        # Tell before cancelling: which places are owed a page is read from what still waits.
        Tell(NotificationKind.ACKNOWLEDGED, f"acknowledged by {actor.name}"),
        CancelPages(f"acknowledged by {actor.name}"),
        StopTimers(),
    ]
    return held, (*effects, *_ack_timers(now_ms, service))


def _ack_timers(now_ms: int, service: Service) -> tuple[Effect, ...]:
    if not service.ack_timeout_ms:
        return ()
    due = now_ms + service.ack_timeout_ms
    timers: list[Effect] = [StartTimer(ACK_TIMEOUT, due)]
    if service.ack_timeout_ms > service.ack_reminder_ms > 0:
        timers.append(StartTimer(ACK_REMINDER, due - service.ack_reminder_ms))
    return tuple(timers)


def _unacknowledge(incident: Incident, command: Unacknowledge, now_ms: int, service: Service) -> Outcome:
    if incident.state is IncidentState.TRIGGERED:
        return incident, ()
    if incident.state is not IncidentState.ACKNOWLEDGED:
        raise _refused(incident, "taken back")
    name = command.actor.name
    free = replace(incident, acknowledged_ms=0, acknowledged_by="")
    text = f"{name} gave it back: paging starts anew"
    return _from_the_top(free, now_ms), (Record("unacknowledged", text, command.actor), StopTimers())


def _resolve(incident: Incident, command: Resolve, now_ms: int, service: Service) -> Outcome:
    if not incident.state.open:
        return incident, ()
    text = f"{command.actor.name} resolved it" + (f": {command.text}" if command.text else "")
    return _resolved(incident, now_ms, by=command.actor.name, actor=command.actor, text=text)


def _snooze(incident: Incident, command: Snooze, now_ms: int, service: Service) -> Outcome:
    if not incident.state.open:
        raise _refused(incident, "snoozed")
    if command.until_ms <= now_ms:
        raise CommandError(422, "bad_time", "the end of the snooze must be in the future")
    name = command.actor.name
    asleep = replace(
        incident,
        state=IncidentState.SNOOZED,
        snoozed_until_ms=command.until_ms,
        acknowledged_by=name,
        acknowledged_ms=incident.acknowledged_ms or now_ms,
        next_escalation_at_ms=0,
    )
    text = f"{name} snoozed it for {human_duration(command.until_ms - now_ms)}"
    return asleep, (
        Record("snoozed", text, command.actor),
        Tell(NotificationKind.ACKNOWLEDGED, f"snoozed by {name}"),
        CancelPages(f"snoozed by {name}"),
        StopTimers(),
        StartTimer(SNOOZE, command.until_ms),
    )


def _escalate(incident: Incident, command: Escalate, now_ms: int, service: Service) -> Outcome:
    if not incident.state.open:
        raise _refused(incident, "escalated")
    record = Record("escalated_by_person", f"{command.actor.name} escalates now", command.actor)
    moved = replace(incident, state=IncidentState.TRIGGERED, next_escalation_at_ms=now_ms, snoozed_until_ms=0)
    if incident.next_escalation_at_ms == 0 and incident.step > len(incident.policy.steps):
        moved = replace(moved, step=0, loop=0)
    return moved, (record, StopTimers())


def _merge(incident: Incident, command: Merge, now_ms: int, service: Service) -> Outcome:
    if not incident.state.open:
        raise _refused(incident, "merged")
    gone = replace(incident, state=IncidentState.MERGED, next_escalation_at_ms=0, snoozed_until_ms=0)
    text = f"merged into #{command.into}"
    return gone, (
        Record("merged", f"{command.actor.name} merged it into #{command.into}", command.actor),
        CancelPages(text),
        StopTimers(),
        Tell(NotificationKind.UPDATE, text),
    )


# -- timers speak --


def _ack_timed_out(incident: Incident, _: AcknowledgementTimedOut, now_ms: int, service: Service) -> Outcome:
    if incident.state is not IncidentState.ACKNOWLEDGED:
        return incident, ()
    held = human_duration(max(now_ms - incident.acknowledged_ms, 0))
    text = f"{incident.acknowledged_by} has had it for {held} without resolving it: paging starts anew"
    free = replace(incident, acknowledged_ms=0, acknowledged_by="")
    return _from_the_top(free, now_ms), (Record("acknowledgement_timed_out", text), StopTimers())


def _reminder_due(incident: Incident, _: ReminderDue, now_ms: int, service: Service) -> Outcome:
    if incident.state is not IncidentState.ACKNOWLEDGED:
        return incident, ()
    left = human_duration(service.ack_reminder_ms)
    text = f"still on it? Paging starts anew in {left} unless you acknowledge again"
    holder = incident.acknowledged_by
    return incident, (Record("reminded", f"{holder} is asked: {text}"), Tell(NotificationKind.UPDATE, text, only=holder))


def _snooze_over(incident: Incident, _: SnoozeOver, now_ms: int, service: Service) -> Outcome:
    if incident.state is not IncidentState.SNOOZED:
        return incident, ()
    snoozer = incident.acknowledged_by
    awake = replace(_from_the_top(incident, now_ms), acknowledged_ms=0, acknowledged_by="")
    first = PagePerson(snoozer, "you snoozed it and it is still firing")
    # The snoozer gets one step's time; the caller pages the policy at once when they cannot be reached.
    delay = incident.policy.steps[0].delay_ms if incident.policy.steps else 0
    awake = replace(awake, next_escalation_at_ms=now_ms + delay)
    return awake, (Record("snooze_over", f"the snooze of {snoozer} is over and it still fires"), StopTimers(), first)


def _storm_grew(incident: Incident, _: StormGrew, now_ms: int, service: Service) -> Outcome:
    if not incident.state.open:
        return incident, ()
    return incident, (Tell(NotificationKind.UPDATE, "the storm goes on: more groups of alerts have joined"),)


# -- shared --


def _from_the_top(incident: Incident, now_ms: int) -> Incident:
    return replace(
        incident,
        state=IncidentState.TRIGGERED,
        step=0,
        loop=0,
        next_escalation_at_ms=now_ms,
        snoozed_until_ms=0,
    )


def _resolved(incident: Incident, now_ms: int, *, by: str, actor: Actor, text: str) -> Outcome:
    done = replace(
        incident,
        state=IncidentState.RESOLVED,
        resolved_ms=now_ms,
        resolved_by=by,
        next_escalation_at_ms=0,
        snoozed_until_ms=0,
    )
    lasted = human_duration(max(now_ms - incident.created_ms, 0))
    return done, (
        Record("resolved", f"{text} (lasted {lasted})", actor, cause=by),
        Tell(NotificationKind.RESOLVED, text),
        CancelPages("resolved"),
        StopTimers(),
    )


def _graver(incident: Incident, fired: Fired) -> Incident:
    """Severity and urgency only rise while an incident is open."""
    if fired.raised or incident.state is IncidentState.RESOLVED:
        return replace(incident, severity=fired.severity, urgency=fired.urgency)
    return replace(incident, urgency=fired.urgency) if fired.more_urgent else replace(incident)


def _has_people(incident: Incident) -> bool:
    return any(target.kind.value != "destination" for step in incident.policy.steps for target in step.targets)


def _refused(incident: Incident, what: str) -> CommandError:
    return CommandError(409, "wrong_state", f"incident #{incident.number} is {incident.state.value}: it cannot be {what}")


_HANDLERS: dict[type[Any], Callable[..., Outcome]] = {
    Fired: _fired,
    Muted: _muted,
    Ended: _ended,
    FlapBegan: _flap_began,
    FlapSettled: _flap_settled,
    Adopted: _adopted,
    HandedOver: _handed_over,
    Acknowledge: _acknowledge,
    Unacknowledge: _unacknowledge,
    Resolve: _resolve,
    Snooze: _snooze,
    Escalate: _escalate,
    AcknowledgementTimedOut: _ack_timed_out,
    ReminderDue: _reminder_due,
    SnoozeOver: _snooze_over,
    AutoResolve: _auto_resolve,
    StormGrew: _storm_grew,
    Merge: _merge,
}
