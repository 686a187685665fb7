"""The door of the query engine: text (or a parsed query) and instants in, `QueryResult` out."""

from __future__ import annotations

import operator
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin.clock import Clock, SystemClock
from tocsin.errors import ExecutionError
from tocsin.model.labels import EMPTY_LABELS
from tocsin.model.ports import SampleReader
from tocsin.model.series import (
    ABSENT_BITS,
    Float64,
    Int64,
    Matrix,
    QueryResult,
    QueryStats,
    RawSeries,
    ValueType,
    Vector,
    is_absent,
    is_stale,
)
from tocsin.promql import ast
from tocsin.promql.annotation import Notes
from tocsin.promql.evaluate import Evaluator, Scope, Value
from tocsin.promql.explained import Part, explained
from tocsin.promql.frame import Frame, merged
from tocsin.promql.labelsets import DELAYED_NAME_REMOVAL, LabelCache, Naming
from tocsin.promql.limits import Budget
from tocsin.promql.parser import parse
from tocsin.promql.plan import Plan, prepare
from tocsin.promql.printer import format_expr

_CELLS_AT_ONCE = 65_536
Cancelled = Callable[[], bool] | threading.Event


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Defaults are Prometheus's. `features` are its flags, such as `promql-experimental-functions`."""

    lookback_ms: int = 300_000
    max_samples: int = 50_000_000
    max_points: int = 11_000
    """Steps of a range query."""
    timeout_s: float = 120.0
    subquery_step_ms: int = 60_000
    """Step of a subquery that names none: the default evaluation interval."""
    features: frozenset[str] = frozenset()
    parsed_queries: int = 4096
    """Parsed queries kept, so that rules and dashboards are not parsed again and again."""


class Engine:
    """Evaluates PromQL over a `SampleReader`. Synchronous; safe to call from several threads at once."""

    def __init__(self, reader: SampleReader, options: EngineOptions = EngineOptions(), *, clock: Clock | None = None) -> None:
        self.reader = reader
        self.options = options
        self._clock = clock or SystemClock()
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        self._plans_lock = threading.Lock()
        self._labels = LabelCache()

    def parse(self, query: str) -> ast.Expr:
        """The checked syntax tree, with this engine's features. Raises ParseError."""
        return parse(query, self.options.features)

    def instant(
        self,
        query: str | ast.Expr,
        t_ms: int,
        *,
        lookback_ms: int = 0,
        timeout_s: float = 0.0,
        cancelled: Cancelled | None = None,
    ) -> QueryResult:
        """Value at one instant. Raises QueryError."""
        watch = _Watch(self._clock)
        plan = self._plan(query)
        run = self._scope(plan, t_ms, t_ms, 1, lookback_ms, timeout_s, cancelled)
        expr = ast.unwrap(plan.expr)
        if ast.type_of(expr) is ValueType.MATRIX:
            return watch.timed(self._raw(run, expr, t_ms))
        watch.prepared()
        value = _evaluate(run, np.array([t_ms], np.int64))
        watch.evaluated()
        return watch.timed(_instant_result(value, t_ms, run))

    def range(
        self,
        query: str | ast.Expr,
        start_ms: int,
        end_ms: int,
        step_ms: int,
        *,
        lookback_ms: int = 0,
        timeout_s: float = 0.0,
        cancelled: Cancelled | None = None,
    ) -> QueryResult:
        """Values at start, start + step, ... up to end, series in the order of their labels. Raises QueryError."""
        watch = _Watch(self._clock)
        plan = self._plan(query)
        t_ms = self._steps(plan, start_ms, end_ms, step_ms)
        run = self._scope(plan, start_ms, end_ms, step_ms, lookback_ms, timeout_s, cancelled)
        watch.prepared()
        value = _evaluate(run, t_ms)
        watch.evaluated()
        return watch.timed(_range_result(value, t_ms, run))

    def explained(self, query: str, start_ms: int, end_ms: int, step_ms: int, *, cancelled: Cancelled | None = None) -> Part:
        """A range query taken apart: what each part found and how long it took. Raises QueryError."""
        plan = self._plan(query)
        t_ms = self._steps(plan, start_ms, end_ms, step_ms)
        scope = self._scope(plan, start_ms, end_ms, step_ms, 0, 0.0, cancelled)
        try:
            return explained(scope, t_ms, self._clock.monotonic_s)
        except RecursionError:
            raise ExecutionError("expression is nested too deeply") from None

    def _steps(self, plan: Plan, start_ms: int, end_ms: int, step_ms: int) -> Int64:
        kind = ast.type_of(plan.expr)
        if kind not in (ValueType.VECTOR, ValueType.SCALAR):
            shown = ast.DOCUMENTED_TYPE[kind]
            raise ExecutionError(f'invalid expression type "{shown}" for range query, must be Scalar or instant Vector')
        if step_ms <= 0:
            raise ExecutionError("zero or negative query resolution step widths are not accepted. Try a positive integer")
        if end_ms < start_ms:
            raise ExecutionError("end timestamp must not be before start time")
        if (end_ms - start_ms) // step_ms > self.options.max_points:
            limit = f"{self.options.max_points:,}"
            advice = "Try decreasing the query resolution (?step=XX)"
            raise ExecutionError(f"exceeded maximum resolution of {limit} points per timeseries. {advice}")
        return np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)

    def _plan(self, query: str | ast.Expr) -> Plan:
        if not isinstance(query, str):
            return prepare(format_expr(query), query)
        with self._plans_lock:
            if (plan := self._plans.get(query)) is not None:
                self._plans.move_to_end(query)
                return plan
        try:
            plan = prepare(query, self.parse(query))
        except RecursionError:
            raise ExecutionError("expression is nested too deeply") from None
        with self._plans_lock:
            self._plans[query] = plan
            while len(self._plans) > self.options.parsed_queries:
                self._plans.popitem(last=False)
        return plan

    def _scope(
        self,
        plan: Plan,
        start_ms: int,
        end_ms: int,
        step_ms: int,
        lookback_ms: int,
        timeout_s: float,
        cancelled: Cancelled | None,
    ) -> Scope:
        options = self.options
        allowed_s = min(timeout_s or options.timeout_s, options.timeout_s)
        budget = Budget(
            max_samples=options.max_samples,
            deadline_s=self._clock.monotonic_s() + allowed_s,
            monotonic_s=self._clock.monotonic_s,
            cancelled=cancelled,
            steps=(end_ms - start_ms) // step_ms + 1,
        )
        return Scope(
            reader=self.reader,
            plan=plan,
            start_ms=start_ms,
            end_ms=end_ms,
            step_ms=step_ms,
            lookback_ms=lookback_ms or options.lookback_ms,
            subquery_step_ms=options.subquery_step_ms,
            budget=budget,
            notes=Notes(plan.query),
            naming=Naming(self._labels, DELAYED_NAME_REMOVAL in options.features),
        )

    def _raw(self, scope: Scope, expr: ast.Expr, t_ms: int) -> QueryResult:
        """The samples of a range vector themselves."""
        steps = np.array([t_ms], np.int64)
        selection, ends, range_ms = Evaluator(scope).range_of(expr, steps, "")
        end_ms = int(ends[0])
        found = []
        for group in selection.groups:
            columns = slice(*np.searchsorted(group.t_ms, [end_ms - range_ms, end_ms], "right").tolist())
            for row, labels in enumerate(group.labels):
                values = np.ascontiguousarray(group.values[row, columns])
                real = ~(is_absent(values) | is_stale(values))
                if real.any():
                    found.append(RawSeries(labels, group.t_ms[columns][real], values[real]))
        samples = sum(len(series.t_ms) for series in found)
        scope.budget.hold(samples)
        scope.budget.read(np.array([samples]))
        found.sort(key=lambda series: series.labels.pairs)
        return QueryResult(ValueType.MATRIX, t_ms, raw=tuple(found), annotations=scope.notes.collected(), stats=_stats(scope, 1))


def _evaluate(scope: Scope, t_ms: Int64) -> Value:
    try:
        return Evaluator(scope).evaluate(scope.plan.expr, t_ms)
    except RecursionError:
        raise ExecutionError("expression is nested too deeply") from None


def _stats(scope: Scope, steps: int) -> QueryStats:
    budget = scope.budget
    at_ms = range(scope.start_ms, scope.end_ms + 1, scope.step_ms)
    return QueryStats(budget.samples_read, budget.samples_peak, budget.series_read, steps, at_ms, budget.read_at)


class _Watch:
    """Looks at the clock between the parts of a query, for its statistics."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_s = self._prepared_s = self._evaluated_s = clock.monotonic_s()

    def prepared(self) -> None:
        self._prepared_s = self._evaluated_s = self._clock.monotonic_s()

    def evaluated(self) -> None:
        self._evaluated_s = self._clock.monotonic_s()

    def timed(self, result: QueryResult) -> QueryResult:
        """The result, its timings filled in."""
        end_s = self._clock.monotonic_s()
        result.stats.timings_s.update(
            evalTotalTime=end_s - self._began_s,
            resultSortTime=end_s - self._evaluated_s,
            queryPreparationTime=self._prepared_s - self._began_s,
            innerEvalTime=self._evaluated_s - self._prepared_s,
            execQueueTime=0.0,
            execTotalTime=end_s - self._began_s,
        )
        return result


def _instant_result(value: Value, t_ms: int, scope: Scope) -> QueryResult:
    notes, stats = scope.notes.collected(), _stats(scope, 1)
    if isinstance(value, str):
        return QueryResult(ValueType.STRING, t_ms, text=value, annotations=notes, stats=stats)
    if isinstance(value, np.ndarray):
        return QueryResult(ValueType.SCALAR, t_ms, scalar=float(value[0]), annotations=notes, stats=stats)
    frame = merged(scope.naming.finished(value.compact()), strict=True)
    vector = Vector(frame.labels, frame.values[:, 0], np.full(len(frame.labels), t_ms, np.int64))
    return QueryResult(ValueType.VECTOR, t_ms, vector=vector, annotations=notes, stats=stats)


def _range_result(value: Value, t_ms: Int64, scope: Scope) -> QueryResult:
    assert not isinstance(value, str)
    frame = scope.naming.finished(value.compact()) if isinstance(value, Frame) else Frame((EMPTY_LABELS,), value[None, :])
    order = sorted(range(len(frame.labels)), key=[each.pairs for each in frame.labels].__getitem__)
    values = _laid_out(frame, order)
    return QueryResult(
        ValueType.MATRIX,
        int(t_ms[-1]),
        matrix=Matrix(tuple([frame.labels[row] for row in order]), t_ms, values),
        annotations=scope.notes.collected(),
        stats=_stats(scope, t_ms.size),
    )


def _laid_out(frame: Frame, order: Sequence[int]) -> Float64:
    """The values row by row in this order, absent where there is none: few rows at a time, which the cache holds."""
    in_order = all(map(operator.eq, order, range(len(order))))
    if in_order and frame.present is None:
        return frame.values
    out, at_once = np.empty(frame.values.shape), max(1, _CELLS_AT_ONCE // max(1, frame.steps))
    for start in range(0, len(order), at_once):
        part = slice(start, start + at_once)
        rows = part if in_order else order[part]
        # As bits: a copy of NaN as a number may lose which one it is.
        bits = np.asarray(frame.values[rows], np.float64).view(np.uint64)
        out.view(np.uint64)[part] = bits if frame.present is None else np.where(frame.present[rows], bits, np.uint64(ABSENT_BITS))
    return out
