"""What each part of a query found and how long it took: the same evaluation, watched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tocsin.model.series import Int64, Selection
from tocsin.promql import ast
from tocsin.promql.evaluate import Evaluator, Scope, Value
from tocsin.promql.frame import Frame
from tocsin.promql.printer import format_expr


@dataclass(frozen=True, slots=True)
class Part:
    """One node of the syntax tree."""

    text: str
    kind: str
    """`selector`, `range`, `subquery`, `function`, `aggregation`, `operator` or `constant`."""
    series: int
    """That it found or made; -1 = it makes none (a number, a text), or was not looked at by itself."""
    seconds: float
    """With what lies below it."""
    own_s: float
    """Without."""
    parts: tuple[Part, ...]


_KINDS: dict[type, str] = {
    ast.VectorSelector: "selector",
    ast.MatrixSelector: "range",
    ast.Subquery: "subquery",
    ast.Call: "function",
    ast.Aggregate: "aggregation",
    ast.Binary: "operator",
    ast.Unary: "operator",
}


def explained(scope: Scope, t_ms: Int64, monotonic_s: Callable[[], float]) -> Part:
    """Evaluate a prepared query over its steps and tell of each part. Raises QueryError."""
    watched = _Watched(scope, monotonic_s)
    watched.evaluate(scope.plan.expr, t_ms)
    return _part(scope.plan.expr, watched.seen)


class _Watched(Evaluator):
    def __init__(self, scope: Scope, monotonic_s: Callable[[], float]) -> None:
        super().__init__(scope)
        self._monotonic_s = monotonic_s
        self.seen: dict[int, tuple[int, float]] = {}
        """By the id of a node: series and seconds."""

    def evaluate(self, expr: ast.Expr, t_ms: Int64) -> Value:
        began_s = self._monotonic_s()
        value = super().evaluate(expr, t_ms)
        # A part that is the same at every step is evaluated inside itself: the outer time counts.
        self.seen[id(expr)] = (len(value.labels) if isinstance(value, Frame) else -1, self._monotonic_s() - began_s)
        return value

    def range_of(self, expr: ast.Expr, t_ms: Int64, func: str) -> tuple[Selection, Int64, int]:
        began_s = self._monotonic_s()
        selection, ends, range_ms = super().range_of(expr, t_ms, func)
        self.seen[id(ast.unwrap(expr))] = (selection.series_count, self._monotonic_s() - began_s)
        return selection, ends, range_ms


def _part(expr: ast.Expr, seen: dict[int, tuple[int, float]]) -> Part:
    expr = ast.unwrap(expr)
    below = () if isinstance(expr, ast.MatrixSelector) else ast.children(expr)
    parts = tuple(_part(child, seen) for child in below)
    series, seconds = seen.get(id(expr), (-1, sum(part.seconds for part in parts)))
    own_s = max(0.0, seconds - sum(part.seconds for part in parts))
    return Part(format_expr(expr), _KINDS.get(type(expr), "constant"), series, seconds, own_s, parts)
