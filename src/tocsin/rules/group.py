"""One pass over a rule group: queries in order, states, samples to write. Knows no clock, no thread and no database.

The live evaluator, promtool's unit tests and backtests drive the same `GroupRun`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from tocsin.errors import ExecutionError, QueryError
from tocsin.model.alert import AlertPhase, AlertReason, AlertState, Transition
from tocsin.model.labels import EMPTY_LABELS, METRIC_NAME, Labels
from tocsin.model.ports import Queryable
from tocsin.model.rule import AlertRule, RecordingRule, Rule, RuleGroup, Semantics
from tocsin.model.series import STALE_NAN, Batch, QueryResult, ValueType, Vector
from tocsin.rules import flapping
from tocsin.rules.alerting import Hold, Reading, Seen, Wait, dismiss, is_firing, resume, step
from tocsin.rules.expand import Context, expand
from tocsin.rules.native import ANNOTATION
from tocsin.rules.nodata import has_data, no_data_alert
from tocsin.rules.recording import recorded
from tocsin.rules.selects import Selects, selects_of
from tocsin.rules.threshold import overridden

_REMEMBERED = 16_384
"""Label sets whose names as alerts are kept: an alert that lasts is named anew at every evaluation."""

Unsighted = Callable[[AlertRule, Selects, Sequence[AlertState], int], Mapping[Labels, AlertReason]]
"""Which of these alerts, missing from the result at t_ms, may be missing because their target is blind."""


def nobody_blind(_rule: AlertRule, _selects: Selects, _states: Sequence[AlertState], _t_ms: int) -> Mapping[Labels, AlertReason]:
    """Every target can be seen: promtool's world."""
    return {}


Waits = Callable[[AlertRule, Labels, int], Hold | None]
"""Why an alert may not start firing yet at t_ms: a fresh deploy, or something it depends on is down."""


def nobody_waits(_rule: AlertRule, _labels: Labels, _t_ms: int) -> Hold | None:
    return None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every rule of every group is evaluated in."""

    queryable: Queryable
    external_url: str = ""
    external_labels: Mapping[str, str] = EMPTY_LABELS
    unsighted: Unsighted = nobody_blind
    waits: Waits = nobody_waits
    bare: bool = False
    """Leave the annotation with our settings in place, as Prometheus would: unit tests compare with it."""
    monotonic_s: Callable[[], float] = lambda: 0.0
    """Tells how long a rule took; replays do not ask."""


@dataclass(slots=True)
class RuleRun:
    """One rule with what it remembers between evaluations."""

    rule: Rule
    selects: Selects
    states: dict[Labels, AlertState] = field(default_factory=dict)
    flaps: dict[Labels, flapping.Flap] = field(default_factory=dict)
    """What native rules remember of their label sets' last results."""
    written: frozenset[Labels] = frozenset()
    """Series of the last evaluation; one that is missing next time gets a staleness marker."""
    evaluated_ms: int = 0
    unobserved_ms: int = 0
    """Of the time since then: what `resume` has already taken out of every duration."""
    duration_s: float = 0.0
    error: str = ""

    @property
    def health(self) -> str:
        if not self.evaluated_ms:
            return "unknown"
        return "err" if self.error else "ok"

    @property
    def phase(self) -> AlertPhase:
        """The gravest phase of its label sets."""
        phases = {state.phase for state in self.states.values()}
        if any(map(is_firing, phases)):
            return AlertPhase.FIRING
        return AlertPhase.PENDING if AlertPhase.PENDING in phases else AlertPhase.INACTIVE


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one evaluation of one rule did."""

    run: RuleRun
    transitions: tuple[Transition, ...] = ()
    samples: tuple[tuple[Labels, float], ...] = ()
    """Staleness markers included, all at the same instant."""
    sample_ms: int = 0
    gone: tuple[AlertState, ...] = ()
    """States before this evaluation of the label sets that came to rest."""
    remarked: tuple[tuple[AlertState, AlertState], ...] = ()
    """States (before, after) whose flag or note moved: they flap or no longer do, or are kept back for another reason."""


class GroupRun:
    """A rule group in the course of its life."""

    def __init__(self, group: RuleGroup) -> None:
        self.group = group
        self.runs = [RuleRun(rule, selects_of(rule.expr)) for rule in group.rules]

    def segments(self, runs: Sequence[RuleRun] | None = None) -> Iterator[list[RuleRun]]:
        """The rules in order, cut where one reads what an earlier one of the same stretch writes."""
        stretch: list[RuleRun] = []
        written: set[str] = set()
        for run in self.runs if runs is None else runs:
            if stretch and run.selects.reads_any(written):
                yield stretch
                stretch, written = [], set()
            stretch.append(run)
            written |= {run.rule.name} if isinstance(run.rule, RecordingRule) else {"ALERTS", "ALERTS_FOR_STATE"}
        if stretch:
            yield stretch

    def evaluate(self, runs: Sequence[RuleRun], t_ms: int, around: Surroundings) -> list[Outcome]:
        """Evaluate these rules at one instant. Errors of a query are kept in the run, not raised."""
        outcomes = []
        for run in runs:
            began_s = around.monotonic_s()
            outcomes.append(self._evaluate(run, t_ms, around))
            run.duration_s = around.monotonic_s() - began_s
        return outcomes

    def resume(self, gap_ms: int) -> None:
        """Time that nobody observed went by."""
        for run in self.runs:
            if isinstance(run.rule, AlertRule) and run.rule.semantics is not Semantics.PROMETHEUS:
                run.states = resume(run.states, gap_ms)
                run.unobserved_ms += gap_ms

    def _evaluate(self, run: RuleRun, t_ms: int, around: Surroundings) -> Outcome:
        query_ms = t_ms - self.group.query_offset_ms
        elapsed_ms = max(0, t_ms - run.evaluated_ms - run.unobserved_ms) if run.evaluated_ms else 0
        run.evaluated_ms, run.unobserved_ms = t_ms, 0
        rule = run.rule
        try:
            vector = as_vector(around.queryable.instant(rule.expr, query_ms))
            if isinstance(rule, AlertRule) and rule.native.thresholds:
                vector = overridden(rule, vector, around.queryable, query_ms)
            if isinstance(rule, RecordingRule):
                samples = recorded(rule, vector)
                self._check_limit(len(samples), "series")
                run.error = ""
                return self._written(run, samples, query_ms)
            reading = self._read(run, rule, vector, t_ms, query_ms, around)
            states, transitions = step(rule, run.states, reading, t_ms, elapsed_ms=elapsed_ms)
            self._check_limit(len(states), "alerts")
            run.error = ""
        except QueryError as error:
            run.error = str(error)
            if isinstance(rule, RecordingRule):
                return Outcome(run)
            states, transitions = step(
                rule, run.states, Reading({}, nothing_known=AlertReason.KEPT_UNKNOWN), t_ms, elapsed_ms=elapsed_ms
            )
            return self._moved(run, states, transitions, {}, 0)
        return self._moved(run, states, transitions, dict(alert_samples(states.values())), query_ms)

    def _check_limit(self, count: int, what: str) -> None:
        if 0 < self.group.limit < count:
            raise ExecutionError(f"exceeded limit of {self.group.limit} with {count} {what}")

    def _moved(
        self,
        run: RuleRun,
        states: dict[Labels, AlertState],
        transitions: list[Transition],
        samples: dict[Labels, float],
        sample_ms: int,
    ) -> Outcome:
        gone = tuple(state for labels, state in run.states.items() if labels not in states)
        remarked = tuple(_remarked(run.states, states))
        run.states = states
        outcome = self._written(run, samples, sample_ms) if sample_ms else Outcome(run)
        return Outcome(run, tuple(transitions), outcome.samples, outcome.sample_ms, gone, remarked)

    def _written(self, run: RuleRun, samples: dict[Labels, float], sample_ms: int) -> Outcome:
        ended = [(labels, STALE_NAN) for labels in run.written if labels not in samples]
        run.written = frozenset(samples)
        return Outcome(run, samples=(*samples.items(), *ended), sample_ms=sample_ms)

    def _read(self, run: RuleRun, rule: AlertRule, vector: Vector, t_ms: int, query_ms: int, around: Surroundings) -> Reading:
        context = Context(around.queryable, query_ms, around.external_url, around.external_labels)
        true = alerts_of(rule, vector, context, bare=around.bare)
        if rule.semantics is not Semantics.NATIVE:
            missing = _missing(run, true)
            sighted = not missing or rule.semantics is Semantics.PROMETHEUS
            return Reading(true, {} if sighted else around.unsighted(rule, run.selects, missing, query_ms))
        if rule.native.on_nodata == "alert" and not true and not has_data(run.selects, around.queryable, query_ms):
            true = no_data_alert(rule)
        missing = _missing(run, true)
        unknown: dict[Labels, AlertReason] = {}
        if rule.native.min_traffic_expr:
            quiet = self._quiet(rule, [*true, *(state.labels for state in missing)], query_ms, around)
            unknown.update(dict.fromkeys(quiet, AlertReason.NO_DATA))
        if missing and rule.native.on_nodata != "ok":
            unknown.update(around.unsighted(rule, run.selects, missing, query_ms))
        holding = self._holding(rule, missing, query_ms, around)
        run.flaps = flapping.observe_all(run.flaps, {*true, *holding}, unknown, t_ms, self.group.interval_ms)
        flap_texts = {labels: flapping.told(flap) for labels, flap in run.flaps.items() if flap.since_ms}
        return Reading(true, unknown, holding, self._waiting(run, rule, true, t_ms, query_ms, around), flap_texts)

    def _waiting(
        self, run: RuleRun, rule: AlertRule, true: Mapping[Labels, Seen], t_ms: int, query_ms: int, around: Surroundings
    ) -> dict[Labels, Hold]:
        """What is kept back by a deploy or by what it depends on; proof of a failure of its own sets an alert free."""
        if not (rule.native.depends_on or rule.native.deploy_grace_ms):
            return {}
        new = [labels for labels in true if labels not in run.states or not is_firing(run.states[labels].phase)]
        holds = {labels: hold for labels in new if (hold := around.waits(rule, labels, t_ms)) is not None}
        if not holds or not rule.native.proof_expr:
            return holds
        vector = as_vector(around.queryable.instant(rule.native.proof_expr, query_ms))
        proven = [set(labels.without(METRIC_NAME).pairs) for labels in vector.labels]
        return {labels: _FREE if any(proof <= set(labels.pairs) for proof in proven) else hold for labels, hold in holds.items()}

    def _holding(self, rule: AlertRule, missing: Sequence[AlertState], t_ms: int, around: Surroundings) -> frozenset[Labels]:
        """Firing label sets whose clear expression still returns them."""
        firing = [state.labels for state in missing if is_firing(state.phase)]
        if not firing or not rule.native.clear_expr:
            return frozenset()
        vector = as_vector(around.queryable.instant(rule.native.clear_expr, t_ms))
        elements = [set(labels.without(METRIC_NAME).pairs) for labels in vector.labels]
        return frozenset(labels for labels in firing if any(element <= set(labels.pairs) for element in elements))

    def _quiet(self, rule: AlertRule, candidates: Sequence[Labels], t_ms: int, around: Surroundings) -> list[Labels]:
        """Label sets with less traffic than the rule wants to judge."""
        vector = as_vector(around.queryable.instant(rule.native.min_traffic_expr, t_ms))
        busy = [
            set(labels.without(METRIC_NAME).pairs)
            for labels, value in zip(vector.labels, vector.values.tolist(), strict=True)
            if value >= rule.native.min_traffic
        ]
        return [labels for labels in candidates if not any(element <= set(labels.pairs) for element in busy)]


_FREE = Hold(Wait.NOTHING, "it has failed by itself")


def _remarked(before: Mapping[Labels, AlertState], after: Mapping[Labels, AlertState]) -> Iterator[tuple[AlertState, AlertState]]:
    for labels, new in after.items():
        old = before.get(labels)
        if old is None or old is new:
            continue
        flag_moved = bool(old.flapping_since_ms) is not bool(new.flapping_since_ms)
        same_phase = old.phase is new.phase  # with another phase there is a transition, which says why itself
        if flag_moved or (same_phase and old.note != new.note and old.reason is not new.reason):
            yield old, new


def _missing(run: RuleRun, true: Mapping[Labels, Seen]) -> list[AlertState]:
    return [state for labels, state in run.states.items() if labels not in true]


def as_vector(result: QueryResult) -> Vector:
    """An instant vector; a scalar counts as one element without labels. Raises ExecutionError for anything else."""
    if result.vector is not None:
        return result.vector
    if result.type is ValueType.SCALAR:
        return Vector((EMPTY_LABELS,), np.array([result.scalar]), np.array([result.t_ms], dtype=np.int64))
    raise ExecutionError("rule result is not a vector or scalar")


def alerts_of(rule: AlertRule, vector: Vector, context: Context, *, bare: bool = False) -> dict[Labels, Seen]:
    """Label set -> value and annotations of every element. Raises ExecutionError where two get the same labels."""
    found: dict[Labels, Seen] = {}
    texts = {name: text for name, text in rule.annotations.items() if bare or name != ANNOTATION}
    for series, value in zip(vector.labels, vector.values.tolist(), strict=True):
        own = {name: expand(text, series, value, context, name=rule.name) for name, text in rule.labels.items()}
        labels = alert_labels(series, rule.name, tuple(own.items()))
        if labels in found:
            raise ExecutionError("vector contains metrics with the same labelset after applying alert labels")
        found[labels] = Seen(value, {name: expand(text, series, value, context, name=rule.name) for name, text in texts.items()})
    return found


@lru_cache(maxsize=_REMEMBERED)
def alert_labels(series: Labels, name: str, own: tuple[tuple[str, str], ...]) -> Labels:
    """Of an element of a rule's result; `own` are the rule's labels, expanded."""
    return series.merged({METRIC_NAME: "", **dict(own), "alertname": name})


def alert_samples(states: Iterable[AlertState]) -> Iterator[tuple[Labels, float]]:
    """ALERTS and ALERTS_FOR_STATE of every active label set, as Prometheus writes them."""
    for state in states:
        shown = "firing" if is_firing(state.phase) else "pending"
        alerts, since = _sample_labels(state.labels, shown)
        yield alerts, 1.0
        yield since, float(math.floor(state.active_at_ms / 1000))


@lru_cache(maxsize=_REMEMBERED)
def _sample_labels(labels: Labels, shown: str) -> tuple[Labels, Labels]:
    return labels.merged({METRIC_NAME: "ALERTS", "alertstate": shown}), labels.merged({METRIC_NAME: "ALERTS_FOR_STATE"})


def batch_of(outcomes: Sequence[Outcome]) -> Batch | None:
    """All samples of these outcomes in one batch."""
    labels = [labels for outcome in outcomes for labels, _ in outcome.samples]
    if not labels:
        return None
    times = [outcome.sample_ms for outcome in outcomes for _ in outcome.samples]
    values = [value for outcome in outcomes for _, value in outcome.samples]
    return Batch(labels, np.array(times, dtype=np.int64), np.array(values, dtype=np.float64))


def farewell(run: RuleRun, reason: AlertReason, now_ms: int) -> Outcome:
    """The last outcome of a rule that is gone: its alerts end, its series end."""
    transitions = dismiss(run.states, reason, now_ms)
    gone = tuple(run.states.values())
    run.states = {}
    samples = tuple((labels, STALE_NAN) for labels in run.written)
    run.written = frozenset()
    return Outcome(run, tuple(transitions), samples, now_ms, gone)
