"""The alert state machine: one step of one rule. Pure; live evaluation, backtest, unit tests and simulation share it.

    INACTIVE ──TRUE──▶ PENDING ──hold met──▶ FIRING ──FALSE and clear──▶ CLEARING ──held──▶ INACTIVE (one "resolved")
                          │                    ▲  ▲                          │
                     FALSE│ (hold unreachable) │  └─────TRUE, or not clear───┘
                          ▼                    │
                       INACTIVE                └── UNKNOWN: stay; it never starts and never resolves an alert

The hold is `for`, or m TRUE of the last n evaluations. A plain Prometheus rule is the case n = 0 with one clear time,
`keep_firing_for`; its results are Prometheus's, evaluation by evaluation.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tocsin.model.alert import AlertPhase, AlertReason, AlertState, Transition, Verdict
from tocsin.model.labels import Labels
from tocsin.model.rule import AlertRule, Semantics

UNKNOWN_GRACE_MS = 120_000
"""A pending alert waits this long for knowledge to come back."""
DEPENDENCY_WAIT_MS = 60_000
"""So long an alert waits for the trouble of what it depends on to show, and after that one's recovery for its own."""
LOST_AFTER_MS = 86_400_000
"""A firing alert of which nothing was heard for a day ends as lost, not as resolved."""

States = Mapping[Labels, AlertState]


@dataclass(frozen=True, slots=True)
class Seen:
    """A label set that is TRUE: its value and expanded annotations."""

    value: float
    annotations: Mapping[str, str] = field(default_factory=dict)


class Wait(enum.Enum):
    """What may keep back an alert that is true."""

    DEPLOY = enum.auto()
    PARENT_PENDING = enum.auto()
    PARENT_DOWN = enum.auto()
    NOTHING = enum.auto()
    """It has failed by itself, as independent proof shows."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why one label set may not start firing yet."""

    wait: Wait
    text: str
    below: Labels | None = None
    """The alert of what it depends on."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one evaluation of a rule saw. A label set named nowhere is FALSE."""

    true: Mapping[Labels, Seen]
    unknown: Mapping[Labels, AlertReason] = field(default_factory=dict)
    """Label sets that cannot be judged now, and why."""
    holding: frozenset[Labels] = frozenset()
    """Label sets that are FALSE but whose clear condition is not met (hysteresis)."""
    waiting: Mapping[Labels, Hold] = field(default_factory=dict)
    """Label sets that may not start firing yet, though they are TRUE: a deploy just happened, or what they depend on is down."""
    flapping: Mapping[Labels, str] = field(default_factory=dict)
    """Label sets that flap, with a sentence about it: while they fire, they do not end."""
    nothing_known: AlertReason | None = None
    """Set when the evaluation itself failed: every label set that is not TRUE is UNKNOWN."""

    def verdict(self, labels: Labels) -> tuple[Verdict, AlertReason]:
        if labels in self.unknown:
            return Verdict.UNKNOWN, self.unknown[labels]
        if labels in self.true:
            return Verdict.TRUE, AlertReason.STILL_TRUE
        if self.nothing_known is not None:
            return Verdict.UNKNOWN, self.nothing_known
        return Verdict.FALSE, AlertReason.BECAME_FALSE


def step(
    rule: AlertRule, states: States, reading: Reading, now_ms: int, *, elapsed_ms: int = 0
) -> tuple[dict[Labels, AlertState], list[Transition]]:
    """Advance every label set of `rule` by one evaluation.

    `elapsed_ms` is the time since the evaluation before this one: what an UNKNOWN freezes. Label sets that come to rest
    leave the result. Transitions come in the order of `states`, new label sets last.
    """
    after: dict[Labels, AlertState] = {}
    transitions: list[Transition] = []
    for labels, state in states.items():
        verdict, cause = reading.verdict(labels)
        match verdict:
            case Verdict.TRUE:
                new = _true(rule, state, reading, now_ms)
            case Verdict.FALSE:
                new = _false(rule, state, reading, now_ms)
            case Verdict.UNKNOWN:
                new = _unknown(state, cause, now_ms, elapsed_ms)
        _note(transitions, state, new, now_ms)
        if new.phase is not AlertPhase.INACTIVE:
            after[labels] = new
    for labels in reading.true:
        if labels not in states and labels not in reading.unknown:
            rest = AlertState(rule.id, labels, AlertPhase.INACTIVE, now_ms)
            new = _true(rule, rest, reading, now_ms)
            _note(transitions, rest, new, now_ms)
            after[labels] = new
    return after, transitions


def resume(states: States, gap_ms: int) -> dict[Labels, AlertState]:
    """States after `gap_ms` in which nobody looked (a pause, a restart, a step of the clock): no duration counts it."""

    def moved(t_ms: int) -> int:
        return t_ms + gap_ms if t_ms else 0

    return {
        labels: replace(
            state,
            active_at_ms=moved(state.active_at_ms) if state.phase is AlertPhase.PENDING else state.active_at_ms,
            keep_firing_since_ms=moved(state.keep_firing_since_ms),
            unknown_since_ms=moved(state.unknown_since_ms),
        )
        for labels, state in states.items()
    }


def dismiss(states: States, reason: AlertReason, now_ms: int) -> list[Transition]:
    """The transitions that end every alert of a rule that is gone."""
    transitions: list[Transition] = []
    for state in states.values():
        _note(transitions, state, replace(state, phase=AlertPhase.INACTIVE, reason=reason), now_ms)
    return transitions


def is_firing(phase: AlertPhase) -> bool:
    """Firing for the outside world: clearing is still firing."""
    return phase in (AlertPhase.FIRING, AlertPhase.CLEARING)


def fires(transition: Transition) -> bool:
    """Somebody must hear that it started."""
    return is_firing(transition.after) and not is_firing(transition.before)


def resolves(transition: Transition) -> bool:
    """Somebody must hear that it ended."""
    return is_firing(transition.before) and not is_firing(transition.after)


def _note(transitions: list[Transition], before: AlertState, after: AlertState, now_ms: int) -> None:
    if before.phase is not after.phase:
        transitions.append(
            Transition(
                rule_id=after.rule_id,
                labels=after.labels,
                before=before.phase,
                after=after.phase,
                at_ms=now_ms,
                reason=after.reason,
                value=after.value,
                annotations=after.annotations,
                active_at_ms=after.active_at_ms,
            )
        )


def _true(rule: AlertRule, before: AlertState, reading: Reading, now_ms: int) -> AlertState:
    seen = reading.true[before.labels]
    firing = is_firing(before.phase)
    fresh = before.phase is AlertPhase.INACTIVE
    # Written out: `replace` would ask each field in turn, and this runs for every alert at every evaluation.
    state = AlertState(
        rule_id=before.rule_id,
        labels=before.labels,
        phase=AlertPhase.FIRING if firing else AlertPhase.PENDING,
        active_at_ms=now_ms if fresh else before.active_at_ms,
        fired_at_ms=before.fired_at_ms,
        resolved_at_ms=before.resolved_at_ms,
        last_true_ms=now_ms,
        value=seen.value,
        annotations=seen.annotations,
        reason=AlertReason.BECAME_TRUE if fresh else AlertReason.STILL_TRUE,
        history=before.history if firing else 1 if fresh else _pushed(before.history, 1),
        evaluations=before.evaluations if firing else 1 if fresh else before.evaluations + 1,
        flapping_since_ms=before.flapping_since_ms,
    )
    if firing:
        return _marked(state, reading, now_ms)
    if not _hold_met(rule, state, now_ms):
        return state
    if _on_probation(rule, now_ms):
        return replace(state, reason=AlertReason.ON_PROBATION, note="a new rule on probation: nobody is told yet")
    held = _held(state, before, reading.waiting.get(state.labels), now_ms)
    if held is not None:
        return held
    return _marked(replace(state, phase=AlertPhase.FIRING, fired_at_ms=now_ms, reason=AlertReason.HOLD_MET), reading, now_ms)


def _held(state: AlertState, before: AlertState, hold: Hold | None, now_ms: int) -> AlertState | None:
    """The state of an alert that is true long enough but kept back; None where nothing keeps it."""
    since_ms = before.held_since_ms or now_ms
    waited = now_ms - since_ms >= DEPENDENCY_WAIT_MS
    if hold is None:
        if before.reason is AlertReason.UNREACHABLE:
            since_ms, waited = now_ms, False  # what it depends on is well again: this one gets the same time to follow
        elif before.reason is not AlertReason.PARENT_RECOVERED or waited:
            return None
        note = "what it depends on is well again; it fires unless it follows within a minute"
        return replace(state, reason=AlertReason.PARENT_RECOVERED, note=note, held_since_ms=since_ms)
    if hold.wait is Wait.NOTHING:
        return None
    if hold.wait is Wait.DEPLOY:
        return replace(state, reason=AlertReason.AFTER_DEPLOY, note=hold.text, held_since_ms=since_ms)
    if hold.wait is Wait.PARENT_DOWN and (waited or before.reason is AlertReason.UNREACHABLE):
        note = f"unreachable: {hold.text}"
        return replace(state, reason=AlertReason.UNREACHABLE, note=note, below=hold.below, held_since_ms=since_ms)
    if waited:
        return None  # the other one is pending still: it must not hide this one for the length of its own hold
    return replace(state, reason=AlertReason.WAITS_FOR_PARENT, note=hold.text, held_since_ms=since_ms)


def _marked(state: AlertState, reading: Reading, now_ms: int) -> AlertState:
    """A firing state with the flag of flapping, or without it."""
    note = reading.flapping.get(state.labels, "")
    if not note:
        return replace(state, flapping_since_ms=0, note="") if state.flapping_since_ms else state
    return replace(state, flapping_since_ms=state.flapping_since_ms or now_ms, note=state.note or note)


def _hold_met(rule: AlertRule, state: AlertState, now_ms: int) -> bool:
    m, n = _m_of_n(rule)
    if m:
        return (state.history & ((1 << n) - 1)).bit_count() >= m
    return now_ms - state.active_at_ms >= rule.for_ms


def _on_probation(rule: AlertRule, now_ms: int) -> bool:
    """A new rule shows its alerts as pending, and tells nobody, until its probation ends."""
    return rule.semantics is Semantics.NATIVE and now_ms < rule.native.probation_until_ms


def _m_of_n(rule: AlertRule) -> tuple[int, int]:
    if rule.semantics is not Semantics.NATIVE:
        return 0, 0
    return rule.native.hold_m, rule.native.hold_n


def _pushed(history: int, bit: int) -> int:
    return (history << 1 | bit) & (1 << 60) - 1


def _false(rule: AlertRule, state: AlertState, reading: Reading, now_ms: int) -> AlertState:
    if state.phase is AlertPhase.PENDING:
        return _pending_false(rule, state)
    state = _marked(replace(state, unknown_since_ms=0, reason=AlertReason.BECAME_FALSE), reading, now_ms)
    if state.labels in reading.holding:
        return replace(state, phase=AlertPhase.FIRING, keep_firing_since_ms=0, reason=AlertReason.STILL_TRUE)
    since_ms = state.keep_firing_since_ms or now_ms
    if state.flapping_since_ms:
        return replace(state, phase=AlertPhase.CLEARING, keep_firing_since_ms=since_ms, reason=AlertReason.FLAPPING)
    if now_ms - since_ms < _clear_for_ms(rule):
        return replace(state, phase=AlertPhase.CLEARING, keep_firing_since_ms=since_ms, reason=AlertReason.KEEP_FIRING)
    reason = AlertReason.CLEAR_HELD if _clear_for_ms(rule) else AlertReason.BECAME_FALSE
    return replace(state, phase=AlertPhase.INACTIVE, resolved_at_ms=now_ms, reason=reason)


def _clear_for_ms(rule: AlertRule) -> int:
    if rule.semantics is Semantics.NATIVE:
        return max(rule.keep_firing_for_ms, rule.native.clear_for_ms)
    return rule.keep_firing_for_ms


def _pending_false(rule: AlertRule, state: AlertState) -> AlertState:
    m, n = _m_of_n(rule)
    evaluations, history = min(state.evaluations + 1, n), _pushed(state.history, 0)
    # m of n stays reachable while at most n - m of the evaluations since the first TRUE were FALSE; older ones that
    # spoil it drop out, and the window starts again at the oldest TRUE that is left.
    while evaluations and (_falses(history, evaluations) > n - m or not history >> (evaluations - 1) & 1):
        evaluations -= 1
    at_rest = not m or not evaluations
    # All at once: `replace` asks each field in turn, and most alerts of a noisy rule end here.
    return replace(
        state,
        phase=AlertPhase.INACTIVE if at_rest else AlertPhase.PENDING,
        reason=AlertReason.HOLD_UNREACHABLE if at_rest and m else AlertReason.BECAME_FALSE,
        history=state.history if at_rest else history & ((1 << evaluations) - 1),
        evaluations=state.evaluations if at_rest else evaluations,
        unknown_since_ms=0,
        note="",
        below=None,
        held_since_ms=0,
    )


def _falses(history: int, evaluations: int) -> int:
    return evaluations - (history & ((1 << evaluations) - 1)).bit_count()


def _unknown(state: AlertState, cause: AlertReason, now_ms: int, elapsed_ms: int) -> AlertState:
    since_ms = state.unknown_since_ms or now_ms
    frozen = replace(state, unknown_since_ms=since_ms, reason=cause)
    if state.phase is AlertPhase.PENDING:
        if now_ms - since_ms > UNKNOWN_GRACE_MS:
            return replace(frozen, phase=AlertPhase.INACTIVE, reason=AlertReason.UNKNOWN_TOO_LONG)
        return replace(frozen, active_at_ms=state.active_at_ms + elapsed_ms)
    if now_ms - since_ms > LOST_AFTER_MS:
        return replace(frozen, phase=AlertPhase.INACTIVE, resolved_at_ms=now_ms, reason=AlertReason.LOST)
    if state.phase is AlertPhase.CLEARING:
        return replace(frozen, keep_firing_since_ms=state.keep_firing_since_ms + elapsed_ms)
    return frozen
