"""The incident state machine as tables: (state, change) -> (state, what follows)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tocsin.errors import CommandError
from tocsin.incidents.changes import (
    Acknowledge,
    AcknowledgementTimedOut,
    AutoResolve,
    CancelPages,
    Change,
    Ended,
    Escalate,
    Fired,
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
    Tell,
    Unacknowledge,
)
from tocsin.incidents.incident import apply, opened
from tocsin.incidents.people import Service
from tocsin.model.alert import PageReason
from tocsin.model.event import Actor
from tocsin.model.incident import Incident, IncidentState, Policy, PolicyStep, Target, TargetKind, Urgency
from tocsin.model.notification import NotificationKind

T, A, Z, M, R, G = (
    IncidentState.TRIGGERED,
    IncidentState.ACKNOWLEDGED,
    IncidentState.SNOOZED,
    IncidentState.SUPPRESSED,
    IncidentState.RESOLVED,
    IncidentState.MERGED,
)
NOW = 10_000_000
ANA, BEN = Actor("user", "ana", "ui"), Actor("user", "ben", "slack")
STEPS = (PolicyStep((Target(TargetKind.USER, "ana"),), 300_000), PolicyStep((Target(TargetKind.USER, "ben"),), 300_000))
SERVICE = Service("web", ack_timeout_ms=1_800_000, auto_resolve_after_ms=0)
FIRED = Fired("critical", Urgency.HIGH)
RAISED = Fired("critical", Urgency.HIGH, raised=True, more_urgent=True)


def incident(state: IncidentState, **more: object) -> Incident:
    base = Incident(
        number=1, key="k", generation=1, title="t", severity="warning", urgency=Urgency.LOW, state=state, receiver="web",
        policy=Policy("web", STEPS), created_ms=NOW - 60_000, step=1, next_escalation_at_ms=NOW + 5 if state is T else 0,
        acknowledged_by="ana" if state in (A, Z) else "", acknowledged_ms=NOW - 30_000 if state in (A, Z) else 0,
        resolved_ms=NOW - 30_000 if state is R else 0,
    )  # fmt: skip
    return replace(base, **more)  # type: ignore[arg-type]


def kinds(effects: object) -> list[str]:
    return [e.verb if isinstance(e, Record) else type(e).__name__ for e in effects]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("before", "change", "after", "follows"),
    [
        (T, FIRED, T, ["Tell"]),
        (T, RAISED, T, ["severity_raised", "CancelPages", "restarted"]),
        (T, Muted("silence s"), M, ["suppressed", "CancelPages", "StopTimers"]),
        (T, Ended(), R, ["resolved", "Tell", "CancelPages", "StopTimers"]),
        (T, Acknowledge(ANA), A, ["acknowledged", "Tell", "CancelPages", "StopTimers", "StartTimer", "StartTimer"]),
        (T, Unacknowledge(ANA), T, []),
        (T, Resolve(ANA), R, ["resolved", "Tell", "CancelPages", "StopTimers"]),
        (T, Snooze(ANA, NOW + 1), Z, ["snoozed", "Tell", "CancelPages", "StopTimers", "StartTimer"]),
        (T, Escalate(ANA), T, ["escalated_by_person", "StopTimers"]),
        (T, Merge(ANA, 2), G, ["merged", "CancelPages", "StopTimers", "Tell"]),
        (T, AcknowledgementTimedOut(), T, []),
        (T, SnoozeOver(), T, []),
        (A, FIRED, A, []),
        (A, Fired("warning", Urgency.LOW, new_alerts=1), A, ["Tell"]),
        (A, RAISED, T, ["severity_raised", "reopened_by_severity", "StopTimers", "PagePerson"]),
        (A, Muted("silence s"), A, []),
        (A, Ended(), R, ["resolved", "Tell", "CancelPages", "StopTimers"]),
        (A, Acknowledge(ANA), A, ["extended", "StopTimers", "StartTimer", "StartTimer"]),
        (A, Acknowledge(BEN), A, ["acknowledged_again"]),
        (A, Unacknowledge(BEN), T, ["unacknowledged", "StopTimers"]),
        (A, AcknowledgementTimedOut(), T, ["acknowledgement_timed_out", "StopTimers"]),
        (A, ReminderDue(), A, ["reminded", "Tell"]),
        (Z, Acknowledge(BEN), A, ["acknowledged", "Tell", "CancelPages", "StopTimers", "StartTimer", "StartTimer"]),
        (Z, SnoozeOver(), T, ["snooze_over", "StopTimers", "PagePerson"]),
        (Z, Ended(), R, ["resolved", "Tell", "CancelPages", "StopTimers"]),
        (M, FIRED, T, ["unsuppressed"]),
        (M, Ended(), R, ["resolved", "Tell", "CancelPages", "StopTimers"]),
        (R, FIRED, T, ["reopened"]),
        (R, Ended(), R, []),
        (R, Acknowledge(ANA), R, ["acknowledged_late"]),
        (R, Resolve(ANA), R, []),
        (R, AutoResolve(), R, []),
        (G, Acknowledge(ANA), G, ["acknowledged_late"]),
    ],
)
def test_every_change_leads_where_the_table_says(
    before: IncidentState, change: Change, after: IncidentState, follows: list[str]
) -> None:
    moved, effects = apply(incident(before), change, NOW, SERVICE)
    assert (moved.state, kinds(effects)) == (after, follows)


@pytest.mark.parametrize(
    ("state", "command"),
    [(R, Snooze(ANA, NOW + 1)), (R, Escalate(ANA)), (R, Unacknowledge(ANA)), (G, Merge(ANA, 3)), (T, Snooze(ANA, NOW))],
)
def test_commands_that_make_no_sense_are_refused(state: IncidentState, command: Change) -> None:
    with pytest.raises(CommandError):
        apply(incident(state), command, NOW, SERVICE)


@pytest.mark.parametrize(
    ("before", "change"),
    [(A, Unacknowledge(BEN)), (A, RAISED), (A, AcknowledgementTimedOut()), (M, FIRED), (R, FIRED), (T, RAISED)],
)
def test_whatever_starts_anew_starts_at_the_first_step_now(before: IncidentState, change: Change) -> None:
    moved, _ = apply(incident(before, step=2, loop=1), change, NOW, SERVICE)
    assert (moved.step, moved.loop, moved.next_escalation_at_ms) == (0, 0, NOW)


@pytest.mark.parametrize(("before", "change"), [(T, Acknowledge(ANA)), (T, Ended()), (T, Muted("x")), (T, Snooze(ANA, NOW + 9))])
def test_whatever_ends_the_paging_leaves_no_escalation_running(before: IncidentState, change: Change) -> None:
    moved, effects = apply(incident(before), change, NOW, SERVICE)
    assert moved.next_escalation_at_ms == 0
    assert any(isinstance(effect, CancelPages) for effect in effects)
    assert any(isinstance(effect, StopTimers) for effect in effects)


def test_the_acknowledger_is_paged_again_when_it_gets_worse_unless_the_service_says_otherwise() -> None:
    _, effects = apply(incident(A), RAISED, NOW, SERVICE)
    assert [e.person for e in effects if isinstance(e, PagePerson)] == ["ana"]
    held, effects = apply(incident(A), RAISED, NOW, replace(SERVICE, on_raise="notify_acker"))
    assert held.state is A and [e.person for e in effects if isinstance(e, PagePerson)] == ["ana"]
    held, effects = apply(incident(A), RAISED, NOW, replace(SERVICE, on_raise="ignore"))
    assert held.state is A and not any(isinstance(e, PagePerson) for e in effects)


def test_an_acknowledgement_times_out_after_a_reminder() -> None:
    _, effects = apply(incident(T), Acknowledge(ANA), NOW, SERVICE)
    timers = {e.kind: e.due_at_ms for e in effects if isinstance(e, StartTimer)}
    assert timers == {"ack_timeout": NOW + 1_800_000, "ack_reminder": NOW + 1_500_000}


def test_severity_never_falls_while_an_incident_is_open_and_starts_anew_when_it_reopens() -> None:
    lower = Fired("info", Urgency.LOW)
    assert apply(incident(T, severity="critical"), lower, NOW, SERVICE)[0].severity == "critical"
    assert apply(incident(R, severity="critical"), lower, NOW, SERVICE)[0].severity == "info"


def test_the_repeat_interval_pages_again_only_when_the_policy_has_run_out() -> None:
    repeat = Fired("warning", Urgency.LOW, reason=PageReason.REPEAT)
    running, effects = apply(incident(T), repeat, NOW, SERVICE)
    assert running.step == 1 and [e.kind for e in effects if isinstance(e, Tell)] == [NotificationKind.UPDATE]
    out, _ = apply(incident(T, step=3, next_escalation_at_ms=0), repeat, NOW, SERVICE)
    assert (out.step, out.next_escalation_at_ms) == (0, NOW)


def test_an_incident_that_opens_muted_pages_nobody() -> None:
    quiet, effects = opened(incident(T), NOW, SERVICE, muted_by="silence s")
    assert quiet.state is M and quiet.next_escalation_at_ms == 0 and kinds(effects) == ["opened", "suppressed"]
