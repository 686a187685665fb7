"""Runs the shipped rules over one simulated service: our engine, our state machine, 28 days in a few seconds.

Every expression is one range query on the 15 s grid; recording rules are written back for the rules after them; then
`rules.alerting.step` - the function that runs live - advances at every instant where a rule is true or an alert is active.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from generate import BUCKETS, START_MS, STEP_S, Service

from tocsin.model.alert import AlertReason, AlertState
from tocsin.model.labels import METRIC_NAME, Labels, Matcher, all_match
from tocsin.model.ports import SelectHints
from tocsin.model.rule import AlertRule, RuleGroup, Semantics
from tocsin.model.series import STALE_NAN, Float64, Matrix, Selection, SeriesGroup, absent, is_absent
from tocsin.promql.engine import Engine, EngineOptions
from tocsin.rules.alerting import Reading, Seen, fires, is_firing, resolves, step
from tocsin.rules.blindness import Sight
from tocsin.rules.selects import selects_of

STEP_MS = STEP_S * 1000


@dataclass(frozen=True, slots=True)
class Fired:
    """One firing interval of one alert."""

    alert: str
    severity: str
    signal: str
    service: str
    start_s: int
    end_s: int


class GridStore:
    """Series on one shared time grid, read only: what `Engine` and `Sight` need of a store."""

    def __init__(self, t_ms: np.ndarray) -> None:
        self.t_ms = t_ms
        self._rows: dict[Labels, Float64] = {}

    def put(self, labels: Labels, values: Float64) -> None:
        self._rows[labels] = np.ascontiguousarray(values)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: SelectHints | None = None) -> Selection:
        low, high = np.searchsorted(self.t_ms, [start_ms, end_ms + 1])
        labels = [labels for labels in self._rows if all_match(matchers, labels)]
        if not labels or low == high:
            return Selection(())
        values = np.stack([self._rows[one][low:high] for one in labels])
        held = ~is_absent(values).all(axis=1)
        kept = tuple(one for one, here in zip(labels, held, strict=True) if here)
        return Selection((SeriesGroup(kept, self.t_ms[low:high], values[held]),) if kept else ())

    def series(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[Labels]:
        return [
            labels for selector in matchers for group in self.select(selector, start_ms, end_ms).groups for labels in group.labels
        ]

    def label_names(self, *_: object) -> list[str]:
        return []

    def label_values(self, *_: object) -> list[str]:
        return []

    def metadata(self) -> dict[str, tuple[str, str, str]]:
        return {}


def series_of(service: Service) -> list[tuple[Labels, Float64]]:
    """The service's signals by the names of the shipped rules; a failed scrape ends the series with a staleness marker."""
    target = {"job": "app", "service": service.name, "instance": f"{service.name}:8080"}
    http = {**target, "http_request_method": "GET", "http_route": "/"}
    good, bad = {**http, "http_response_status_code": "200"}, {**http, "http_response_status_code": "500"}
    cumulative = np.cumsum(np.cumsum(service.buckets, axis=0), axis=1)
    rows = [
        ({**good, METRIC_NAME: "http_server_request_duration_seconds_bucket", "le": le}, cumulative[i])
        for i, le in enumerate((*map(str, BUCKETS), "+Inf"))
    ]
    rows.append(({**good, METRIC_NAME: "http_server_request_duration_seconds_count"}, cumulative[-1]))
    rows.append(({**bad, METRIC_NAME: "http_server_request_duration_seconds_count"}, np.cumsum(service.errors)))
    unseen = ~service.up
    ended = unseen & ~np.concatenate([[False], unseen[:-1]])
    out = []
    for labels, values in rows:
        shown = values.copy()
        shown[unseen] = absent(1)[0]
        bits = shown.view(np.uint64)
        bits[unseen] = absent(1).view(np.uint64)[0]
        bits[ended] = np.array([STALE_NAN]).view(np.uint64)[0]
        out.append((Labels(labels), shown))
    out.append((Labels({**target, METRIC_NAME: "up"}), service.up.astype(np.float64)))
    probe = {"job": "blackbox", "service": service.name, "instance": f"https://{service.name}.example"}
    out.append((Labels({**probe, METRIC_NAME: "up"}), np.ones(service.up.size)))
    out.append((Labels({**probe, METRIC_NAME: "probe_success"}), service.probe_ok.astype(np.float64)))
    out.append((Labels({**probe, METRIC_NAME: "probe_duration_seconds"}), service.probe_s))
    return out


def thinned(values: Float64, share: float, random: np.random.Generator) -> Float64:
    """`values` with this share of the samples lost, each by itself."""
    kept = values.copy()
    kept[random.random(values.size) < share] = absent(1)[0]
    return kept


def replay(service: Service, groups: Sequence[RuleGroup], *, lost: float = 0.0) -> list[Fired]:
    """Every firing interval of every alert on this service. `lost`: this share of all samples never arrives."""
    random = np.random.default_rng(int(lost * 1000))
    m = service.up.size
    store = GridStore(START_MS + np.arange(m, dtype=np.int64) * STEP_MS)
    for labels, values in series_of(service):
        store.put(labels, thinned(values, lost, random) if lost else values)
    engine = Engine(store, EngineOptions(max_points=m + 1, max_samples=2**40, timeout_s=3600))  # type: ignore[arg-type]
    sight = Sight(store)  # type: ignore[arg-type]
    fired: list[Fired] = []
    for group in groups:
        for rule in group.rules:
            result = _matrix(engine, rule.expr, store.t_ms)
            if not isinstance(rule, AlertRule):
                for labels, row in zip(result.labels, result.values, strict=True):
                    store.put(labels.merged({**rule.labels, METRIC_NAME: rule.name}), row)
            else:
                clear = _matrix(engine, rule.native.clear_expr, store.t_ms) if rule.native.clear_expr else None
                fired += _intervals(rule, result, clear, sight, store.t_ms, service.name)
    return fired


def _matrix(engine: Engine, expr: str, t_ms: np.ndarray) -> Matrix:
    result = engine.range(expr, int(t_ms[0]), int(t_ms[-1]), STEP_MS)
    assert result.matrix is not None, expr
    return result.matrix


def _intervals(
    rule: AlertRule, result: Matrix, clear: Matrix | None, sight: Sight, t_ms: np.ndarray, service: str
) -> list[Fired]:
    names = [labels.merged({METRIC_NAME: "", **rule.labels, "alertname": rule.name}) for labels in result.labels]
    true = ~is_absent(result.values) if result.values.size else np.zeros((0, t_ms.size), bool)
    holds = ~is_absent(clear.values).reshape(len(clear.labels), -1) if clear is not None and clear.labels else None
    any_true = true.any(axis=0) if len(names) else np.zeros(t_ms.size, bool)
    events = np.flatnonzero(any_true)
    fired: list[Fired] = []
    open_at: dict[Labels, int] = {}
    states: dict[Labels, AlertState] = {}
    i = 0
    while True:
        if not states:
            following = np.searchsorted(events, i)
            if following == events.size:
                break
            i = int(events[following])
        if i >= t_ms.size:
            break
        now_ms = int(t_ms[i])
        seen = {name: Seen(float(result.values[row, i])) for row, name in enumerate(names) if true[row, i]}
        missing = [state for labels, state in states.items() if labels not in seen]
        holding = frozenset(
            state.labels
            for state in missing
            if holds is not None
            and is_firing(state.phase)
            and any(
                holds[row, i] and set(one.without(METRIC_NAME).pairs) <= set(state.labels.pairs)
                for row, one in enumerate(clear.labels)
            )
        )
        unknown: dict[Labels, AlertReason] = {}
        if missing and rule.semantics is not Semantics.PROMETHEUS:
            unknown = dict(sight.unsighted(rule, selects_of(rule.expr), missing, now_ms))
        states, transitions = step(rule, states, Reading(seen, unknown, holding), now_ms, elapsed_ms=STEP_MS)
        for transition in transitions:
            if fires(transition):
                open_at[transition.labels] = i
            elif resolves(transition):
                fired.append(_fired(rule, service, open_at.pop(transition.labels), i))
        i += 1
    return fired + [_fired(rule, service, start, t_ms.size) for start in open_at.values()]


def _fired(rule: AlertRule, service: str, start: int, end: int) -> Fired:
    return Fired(rule.name, rule.labels.get("severity", ""), rule.labels.get("signal", ""), service, start * STEP_S, end * STEP_S)
