"""Evaluation of a prepared query over all its steps at once: a frame for each vector, an array for each scalar.

Every node is evaluated for the whole array of steps `t_ms` [s]; an instant query has one step. `@` and `offset` only
change which instants a selector looks at, a subquery evaluates its inside on steps of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tocsin.errors import ExecutionError
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.ports import SampleReader, SelectHints
from tocsin.model.series import ABSENT_NAN, Bool, Float64, Int64, Selection, SeriesGroup, ValueType
from tocsin.promql import ast, binary, ranking
from tocsin.promql.aggregate import aggregate
from tocsin.promql.annotation import Notes
from tocsin.promql.frame import Frame
from tocsin.promql.function import Call, Function
from tocsin.promql.functions import FUNCTIONS
from tocsin.promql.labelsets import Naming, repeats
from tocsin.promql.limits import Budget
from tocsin.promql.parser import valid_label_name
from tocsin.promql.plan import Plan
from tocsin.promql.select import instants, seeing, widened, windows
from tocsin.promql.text import go_quote

Value = Frame | Float64 | str

_ON_WHOLE_SERIES = frozenset({"label_replace", "label_join"})
"""Functions that Prometheus runs once on all steps."""
_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")


@dataclass(frozen=True, slots=True)
class Scope:
    """What stays the same during one query."""

    reader: SampleReader
    plan: Plan
    start_ms: int
    end_ms: int
    step_ms: int
    lookback_ms: int
    subquery_step_ms: int
    budget: Budget
    notes: Notes
    naming: Naming


class Evaluator:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def evaluate(self, expr: ast.Expr, t_ms: Int64) -> Value:
        """Value of an expression at each step. Raises QueryError."""
        scope = self.scope
        scope.budget.check()
        held = scope.budget.samples_held
        if t_ms.size > 1 and id(expr) in scope.plan.invariant:
            with scope.budget.apart(1) as read:
                value = _repeated(self.evaluate(expr, t_ms[:1]), t_ms.size)
            scope.budget.read(np.full(t_ms.size, read[0]))
        else:
            value = self._node(expr, t_ms)
        scope.budget.release(scope.budget.samples_held - held)
        scope.budget.hold(_count(value, t_ms.size))
        return value

    def vector(self, expr: ast.Expr, t_ms: Int64) -> Frame:
        value = self.evaluate(expr, t_ms)
        assert isinstance(value, Frame)
        return value

    def scalar(self, expr: ast.Expr, t_ms: Int64) -> Float64:
        value = self.evaluate(expr, t_ms)
        assert isinstance(value, np.ndarray)
        return value

    def _node(self, expr: ast.Expr, t_ms: Int64) -> Value:
        match expr:
            case ast.NumberLiteral():
                return np.full(t_ms.size, expr.value)
            case ast.StringLiteral():
                return expr.value
            case ast.Paren():
                return self.evaluate(expr.expr, t_ms)
            case ast.VectorSelector():
                return self.instant(expr, t_ms)[0].compact()
            case ast.Unary():
                return self._unary(expr, t_ms)
            case ast.Binary():
                return self._binary(expr, t_ms)
            case ast.Aggregate():
                return self._aggregate(expr, t_ms)
            case ast.Call():
                return self._call(expr, t_ms)
            case _:
                raise ExecutionError(f"unexpected {type(expr).__name__} in an expression")

    # -- selectors -----------------------------------------------------------------------------------------------

    def moments(self, at: ast.At | None, offset_ms: int, t_ms: Int64) -> Int64:
        """The instants that a modified selector looks at."""
        if at is None:
            return t_ms - offset_ms if offset_ms else t_ms
        anchors = {ast.AtAnchor.START: self.scope.start_ms, ast.AtAnchor.END: self.scope.end_ms}
        fixed = anchors[at] if isinstance(at, ast.AtAnchor) else at
        return np.full_like(t_ms, fixed - offset_ms)

    def instant(self, selector: ast.VectorSelector, t_ms: Int64) -> tuple[Frame, Int64]:
        """Values, and the instants (ms) at which they were taken; rows may be empty."""
        moments = self.moments(selector.at, selector.offset_ms, t_ms)
        lookback_ms = self.scope.lookback_ms
        # Instants ascend, or are all the same.
        selection = self._select(selector, int(moments[0]) - lookback_ms + 1, int(moments[-1]), 0, "")
        seen = seeing(selection, moments, lookback_ms)
        self.scope.budget.hold(selection.series_count * (seen.stop - seen.start))
        frame, taken = instants(selection, moments[seen], lookback_ms)
        if seen.stop - seen.start < t_ms.size:
            values, present = (widened(each, seen, t_ms.size) for each in (frame.values, frame.mask()))
            frame, taken = frame.with_values(values, present), widened(taken, seen, t_ms.size)
        self.scope.budget.read(_counts(frame, t_ms.size))
        return frame, taken

    def range_of(self, expr: ast.Expr, t_ms: Int64, func: str) -> tuple[Selection, Int64, int]:
        """Samples of a range vector, the window ends [s] and the width of the windows."""
        expr = ast.unwrap(expr)
        if isinstance(expr, ast.Subquery):
            return self.subquery(expr, t_ms)
        assert isinstance(expr, ast.MatrixSelector)
        selector, range_ms = expr.selector, expr.range_ms
        ends = self.moments(selector.at, selector.offset_ms, t_ms)
        selection = self._select(selector, int(ends[0]) - range_ms + 1, int(ends[-1]), range_ms, func)
        return selection, ends, range_ms

    def subquery(self, expr: ast.Subquery, t_ms: Int64) -> tuple[Selection, Int64, int]:
        """The inside evaluated at multiples of its step, as samples."""
        ends = self.moments(expr.at, expr.offset_ms, t_ms)
        step_ms = expr.step_ms or self.scope.subquery_step_ms
        start_ms = ((int(ends.min()) - expr.range_ms) // step_ms + 1) * step_ms
        # Steps cost memory before there is a sample: a year by the millisecond has to end here, not in the allocator.
        self.scope.budget.room(max(0, int(ends.max()) - start_ms) // step_ms)
        inner = np.arange(start_ms, int(ends.max()) + 1, step_ms, dtype=np.int64)
        if not inner.size:
            return Selection(()), ends, expr.range_ms
        with self.scope.budget.apart(inner.size):  # the windows over it are what the query is charged for
            frame = self.vector(expr.expr, inner)
        values = frame.values if frame.present is None else np.where(frame.present, frame.values, ABSENT_NAN)
        return Selection((SeriesGroup(frame.labels, inner, values),) if frame.labels else ()), ends, expr.range_ms

    def _select(self, selector: ast.VectorSelector, start_ms: int, end_ms: int, range_ms: int, func: str) -> Selection:
        by = None if self.scope.naming.delayed else self.scope.plan.grouped.get(id(selector))
        hints = SelectHints(func=func, step_ms=self.scope.step_ms, range_ms=range_ms, by=by)
        selection = self.scope.reader.select(selector.matchers, start_ms, end_ms, hints)
        for warning in selection.warnings:
            self.scope.notes.from_store(warning)
        self.scope.budget.series_read += selection.series_count
        return selection

    # -- operators -----------------------------------------------------------------------------------------------

    def _unary(self, expr: ast.Unary, t_ms: Int64) -> Value:
        value = self.evaluate(expr.expr, t_ms)
        if expr.op == "+" or isinstance(value, str):
            return value
        if isinstance(value, Frame):
            return self.scope.naming.dropped(value.with_values(-value.values, value.present), strict=True)
        return -value

    def _binary(self, expr: ast.Binary, t_ms: Int64) -> Value:
        left, right = self.evaluate(expr.left, t_ms), self.evaluate(expr.right, t_ms)
        return self._stepwise([left, right], self._combined(expr, left, right), t_ms.size)

    def _stepwise(self, arguments: list[Value], value: Value, steps: int) -> Value:
        """Count what Prometheus holds while it goes from step to step: the arguments at this step and the results so far."""
        inputs = sum((_counts(argument, steps) for argument in arguments), np.zeros(steps, np.int64))
        self.scope.budget.touch(int((inputs + np.cumsum(_counts(value, steps))).max(initial=0)))
        return value

    def _combined(self, expr: ast.Binary, left: Value, right: Value) -> Value:
        naming = self.scope.naming
        if isinstance(left, Frame) and isinstance(right, Frame):
            assert expr.matching is not None
            if expr.op in ast.SET_OPERATORS:
                return binary.set_operation(expr.op, left, right, expr.matching, naming.cache)
            return binary.between_vectors(expr.op, left, right, expr.matching, naming, return_bool=expr.return_bool)
        if isinstance(left, Frame):
            assert isinstance(right, np.ndarray)
            return binary.with_scalar(expr.op, left, right, naming, swapped=False, return_bool=expr.return_bool)
        assert isinstance(left, np.ndarray)
        if isinstance(right, Frame):
            return binary.with_scalar(expr.op, right, left, naming, swapped=True, return_bool=expr.return_bool)
        assert isinstance(right, np.ndarray)
        return binary.calculate(expr.op, left, right)

    def _aggregate(self, expr: ast.Aggregate, t_ms: Int64) -> Frame:
        if expr.op == "count_values":
            return self._count_values(expr, t_ms)
        param = None if expr.param is None else self.scalar(expr.param, t_ms)
        frame = self.vector(expr.expr, t_ms)
        grouping = tuple(sorted(set(expr.grouping)))
        numbers, groups = self.scope.naming.cache.grouped(frame.labels, grouping, without=expr.without)
        if param is None:
            return aggregate(expr.op, frame, numbers, groups, None)
        assert expr.param is not None
        if expr.op == "quantile":
            for q in np.unique(param):
                if not 0 <= q <= 1:
                    self.scope.notes.invalid_quantile(float(q), expr.param.span)
            return aggregate(expr.op, frame, numbers, groups, param)
        if expr.op == "limit_ratio":
            for ratio, used in ((param.max(), 1.0), (param.min(), -1.0)):
                if abs(ratio) > 1 and ratio * used > 0:
                    self.scope.notes.invalid_ratio(float(ratio), used, expr.param.span)
        return ranking.pick(expr.op, frame, numbers, len(groups), param)

    def _count_values(self, expr: ast.Aggregate, t_ms: Int64) -> Frame:
        name = ast.unwrap(expr.param) if expr.param is not None else None
        assert isinstance(name, ast.StringLiteral)
        if not valid_label_name(name.value):
            raise ExecutionError(f"invalid label name {go_quote(name.value)}")
        frame = self.vector(expr.expr, t_ms)
        scope = self.scope
        counted = ranking.count_values(frame, name.value, expr.grouping, scope.naming, scope.budget, without=expr.without)
        self._stepwise([frame], counted, t_ms.size)
        return counted

    # -- functions -----------------------------------------------------------------------------------------------

    def _call(self, expr: ast.Call, t_ms: Int64) -> Value:
        function = FUNCTIONS[expr.name]
        call = Call(expr, t_ms, self.scope.notes, self.scope.naming.cache)
        if function.raw:
            value: Value = function.run(self, call)
            if expr.name == "timestamp":  # its selector's samples, while the results are there
                self.scope.budget.touch(int(_counts(value, t_ms.size).max(initial=0)))
            return value
        if function.takes_windows:
            return self._over_windows(function, call)
        arguments = [self.evaluate(argument, t_ms) for argument in expr.args]
        value = function.run(call, *arguments)
        if isinstance(value, Frame) and not function.keeps_name:
            value = self.scope.naming.dropped(value).compact()
        return value if expr.name in _ON_WHOLE_SERIES else self._stepwise(arguments, value, t_ms.size)

    def _over_windows(self, function: Function, call: Call) -> Frame:
        node, t_ms = call.node, call.t_ms
        position = function.params.index(ValueType.MATRIX)
        arguments = [None if index == position else self.evaluate(argument, t_ms) for index, argument in enumerate(node.args)]
        labels, values, present = self.map_windows(function, call, arguments, position)
        if function.name in ("rate", "increase"):
            self._note_non_counters(labels, present, node)
        frame = Frame(labels, values, present).compact()
        if function.keeps_name or repeats(frame.labels):  # a store that leaves out labels answers for the rest
            return frame
        return self.scope.naming.dropped(frame, strict=True)

    def map_windows(
        self, function: Function, call: Call, arguments: list[Any], position: int
    ) -> tuple[tuple[Labels, ...], Float64, Bool | None]:
        """Runs a range function piece by piece: labels [k], values [k, s], present [k, s] or None when every cell is."""
        selection, ends, range_ms = self.range_of(call.node.args[position], call.t_ms, function.name)
        steps, seen = call.t_ms.size, seeing(selection, ends, range_ms)
        if seen.stop - seen.start < steps:
            call, ends = replace(call, t_ms=call.t_ms[seen]), ends[seen]
            arguments = [each[seen] if isinstance(each, np.ndarray) else each for each in arguments]
        labels, pieces = windows(selection, ends, range_ms)
        shape = (len(labels), ends.size)
        self.scope.budget.hold(shape[0] * shape[1])
        longest, read = 0, np.zeros(steps, np.int64)
        values, present = np.zeros(shape), np.zeros(shape, bool)
        for piece in pieces:
            self.scope.budget.check()
            read[seen] += piece.windows.samples()
            longest = max(longest, piece.windows.longest())
            arguments[position] = piece.windows
            filled = piece.windows.count > 0
            if not filled.any():
                continue
            cells, where = function.run(call, *arguments)
            where = filled if where is None else filled & where
            if piece.windows.shape == shape:  # the only piece: its cells are the answer
                values, present = np.broadcast_to(cells, shape), np.broadcast_to(where, shape)
            else:
                values[piece.rows], present[piece.rows] = cells, where
        everywhere = bool(present.all())
        self.scope.budget.read(read)
        self.scope.budget.release(shape[0] * shape[1])
        # Beside the results Prometheus holds one window at a time.
        self.scope.budget.touch((shape[0] * shape[1] if everywhere else int(present.sum())) + longest)
        if ends.size < steps:
            return labels, widened(values, seen, steps), widened(present, seen, steps)
        return labels, values, None if everywhere else present

    def _note_non_counters(self, labels: tuple[Labels, ...], present: Bool | None, node: ast.Call) -> None:
        series = ast.unwrap(node.args[0])
        metric = ast.metric_of(series.selector) if isinstance(series, ast.MatrixSelector) else ""
        if metric.endswith(_COUNTER_SUFFIXES):
            return
        used = range(len(labels)) if present is None else np.flatnonzero(present.any(axis=1)).tolist()
        for name in sorted({labels[row].get(METRIC_NAME) for row in (used[:1] if metric else used)}):
            if name and not name.endswith(_COUNTER_SUFFIXES):
                # Prometheus evaluates a subquery into a selector without a position.
                span = ast.Span(0, 0) if isinstance(series, ast.Subquery) else node.args[0].span
                self.scope.notes.possible_non_counter(name, span)


def _count(value: Value, steps: int) -> int:
    """Samples of a value at all steps."""
    if isinstance(value, Frame):
        return len(value.labels) * steps if value.present is None else int(value.present.sum())
    return 0 if isinstance(value, str) else steps


def _counts(value: Value, steps: int) -> Int64:
    """Samples of a value at each step, [s]."""
    if isinstance(value, str):
        return np.zeros(steps, np.int64)
    if isinstance(value, Frame) and value.present is not None:
        return np.asarray(value.present.sum(axis=0, dtype=np.int64))
    return np.full(steps, len(value.labels) if isinstance(value, Frame) else 1)


def _repeated(value: Value, steps: int) -> Value:
    """The single step of a value, at every step."""
    if isinstance(value, Frame):
        present = None if value.present is None else np.repeat(value.present, steps, axis=1)
        return value.with_values(np.repeat(value.values, steps, axis=1), present)
    return value if isinstance(value, str) else np.repeat(value, steps)
