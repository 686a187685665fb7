"""What one evaluation of a rule wants kept and told: rows of states, alerts for the dispatcher, lines for the timeline. Pure."""

from __future__ import annotations

import hashlib
import math
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.log import get_log
from tocsin.model.alert import Alert, AlertReason, AlertState, Transition
from tocsin.model.event import SYSTEM, Event
from tocsin.model.labels import EMPTY_LABELS, Labels
from tocsin.rules.alerting import fires, resolves
from tocsin.rules.flapping import Flap
from tocsin.rules.group import Outcome, RuleRun

log = get_log("rules")

_MOST_LINES = 50
"""Log lines one evaluation of one rule may write."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A state as it is stored."""

    state: AlertState
    flap: Flap | None = None
    """Only of one that flaps."""
    told_as: str = ""
    """While it flaps, the fingerprint by which dispatcher and incidents know the alert."""
    below: str = ""
    """While it is unreachable, that of the alert which it stands behind."""


@dataclass(frozen=True, slots=True)
class Change:
    """States to write, states to forget, alerts to hand on, lines for the timeline."""

    saved: tuple[Kept, ...] = ()
    removed: tuple[AlertState, ...] = ()
    alerts: tuple[Alert, ...] = ()
    events: tuple[Event, ...] = ()
    trace_id: str = ""
    began_to_flap: int = 0

    @property
    def empty(self) -> bool:
        return not (self.saved or self.removed or self.alerts or self.events)


class Changes:
    """Makes them, with what they need to know of the outside: our address and our external labels."""

    def __init__(self, external_url: str, external_labels: Mapping[str, str] = EMPTY_LABELS) -> None:
        self._external_url = external_url.rstrip("/")
        self._external_labels = external_labels

    def of(self, outcome: Outcome) -> Change:
        """What moved in this evaluation."""
        if not (outcome.transitions or outcome.remarked):
            return Change()
        run, at_ms = outcome.run, outcome.run.evaluated_ms
        if outcome.transitions:
            at_ms = outcome.transitions[0].at_ms
        trace_id = hashlib.sha256(f"{run.rule.id}/{at_ms}".encode()).hexdigest()[:16]
        _log_transitions(outcome, trace_id)
        url = self._generator_url(run)
        told = [
            (transition, alert)
            for transition in outcome.transitions
            if (alert := alert_of(transition, generator_url=url, external_labels=self._external_labels)) is not None
        ]
        moved = [transition.labels for transition in outcome.transitions] + [after.labels for _, after in outcome.remarked]
        remarks = [self._remark(before, after, at_ms, trace_id) for before, after in outcome.remarked]
        return Change(
            saved=tuple(self.kept(run, run.states[labels]) for labels in dict.fromkeys(moved) if labels in run.states),
            removed=outcome.gone,
            alerts=tuple(alert for _, alert in told),
            events=(*(event_of(transition, alert, trace_id) for transition, alert in told), *remarks),
            trace_id=trace_id,
            began_to_flap=sum(bool(new.flapping_since_ms) > bool(old.flapping_since_ms) for old, new in outcome.remarked),
        )

    def kept(self, run: RuleRun, state: AlertState) -> Kept:
        """A state of `run` with what belongs to it."""
        return Kept(
            state,
            flap=run.flaps.get(state.labels) if state.flapping_since_ms else None,
            told_as=self._told_as(state.labels) if state.flapping_since_ms else "",
            below=self._told_as(state.below) if state.below is not None else "",
        )

    def _told_as(self, labels: Labels) -> str:
        return _with_external(labels, self._external_labels).fingerprint_hex()

    def _generator_url(self, run: RuleRun) -> str:
        return f"{self._external_url}/graph?g0.expr={urllib.parse.quote_plus(run.rule.expr)}&g0.tab=1"

    def _remark(self, before: AlertState, after: AlertState, at_ms: int, trace_id: str) -> Event:
        """The timeline's line for an alert whose flag or note changed."""
        if before.flapping_since_ms and not after.flapping_since_ms:
            verb, text = "flapping_over", "no longer flaps"
        elif after.flapping_since_ms and not before.flapping_since_ms:
            verb, text = "flapping", after.note
        else:
            verb, text = ("not_notified" if after.note else "noted"), after.note or "nothing keeps it back any more"
        name = after.labels.get("alertname")
        return Event(
            t_ms=at_ms,
            actor=str(SYSTEM),
            verb=verb,
            subject=f"alert:{self._told_as(after.labels)}",
            text=f"{name}: {text}",
            data={"labels": dict(after.labels), "rule": after.rule_id, "trace": trace_id},
            cause=AlertReason.FLAPPING.value if verb.startswith("flapping") else after.reason.value,
        )


def alert_of(transition: Transition, *, generator_url: str, external_labels: Mapping[str, str] = EMPTY_LABELS) -> Alert | None:
    """What the dispatcher must be told of a transition; None where it is nobody's business yet."""
    ends = resolves(transition)
    if not (ends or fires(transition)):
        return None
    return Alert(
        labels=_with_external(transition.labels, external_labels),
        annotations=transition.annotations,
        starts_at_ms=transition.active_at_ms,
        ends_at_ms=transition.at_ms if ends else 0,
        updated_at_ms=transition.at_ms,
        generator_url=generator_url,
        source=f"rule:{transition.rule_id}",
        value=None if math.isnan(transition.value) else transition.value,
    )


def event_of(transition: Transition, alert: Alert, trace_id: str) -> Event:
    """The timeline's line for a transition that became `alert`."""
    verb = "resolved" if alert.ends_at_ms else "fired"
    name = transition.labels.get("alertname")
    return Event(
        t_ms=transition.at_ms,
        actor=str(SYSTEM),
        verb=verb,
        subject=f"alert:{alert.fingerprint}",
        text=f"{name} {verb}: {_BECAUSE[transition.reason]}" if transition.reason in _BECAUSE else f"{name} {verb}",
        data={
            "labels": dict(alert.labels),
            "value": transition.value if math.isfinite(transition.value) else None,
            "rule": transition.rule_id,
            "active_at_ms": transition.active_at_ms,
            "trace": trace_id,
        },
        cause=transition.reason.value,
    )


_BECAUSE = {
    AlertReason.HOLD_MET: "its condition held long enough",
    AlertReason.BECAME_FALSE: "its condition is no longer true",
    AlertReason.CLEAR_HELD: "its condition stayed clear long enough",
    AlertReason.RULE_REMOVED: "its rule was removed",
    AlertReason.RULE_CHANGED: "its rule was changed",
    AlertReason.LOST: "nothing was heard of it for a day (lost, not known to be good)",
}


def _with_external(labels: Labels, external: Mapping[str, str]) -> Labels:
    return Labels({**external, **labels}) if external else labels


def _log_transitions(outcome: Outcome, trace_id: str) -> None:
    for transition in outcome.transitions[:_MOST_LINES]:
        log.info(
            f"alert {transition.after.value}",
            alert=transition.labels.get("alertname"),
            labels=str(transition.labels),
            was=transition.before.value,
            reason=transition.reason.value,
            value=transition.value,
            trace=trace_id,
        )
    if len(outcome.transitions) > _MOST_LINES:
        log.info("more alerts moved", alert=outcome.run.rule.name, moved=len(outcome.transitions), trace=trace_id)
