"""The number a rule compares with: reading it, and putting another in its place."""

from __future__ import annotations

import numpy as np

from tocsin.errors import ExecutionError
from tocsin.formats.goformat import format_float
from tocsin.model.labels import Matcher, all_match
from tocsin.model.ports import Queryable
from tocsin.model.rule import AlertRule
from tocsin.model.series import Vector
from tocsin.promql.ast import COMPARISONS, Binary, Expr, NumberLiteral, Span, Unary, VectorSelector, unwrap
from tocsin.promql.parser import parse


def with_threshold(expr: str, value: float) -> str | None:
    """`expr` with another number compared against; None where it is not of the form `... > number` (either way round)."""
    span = _threshold_span(parse(expr))
    return None if span is None else expr[: span.start] + format_float(value, "f", -1) + expr[span.end :]


def threshold_of(expr: str) -> tuple[str, float] | None:
    """The comparison as (operator, number), the series on the left; None where there is none with a number."""
    tree = unwrap(parse(expr))
    while isinstance(tree, Binary) and tree.op in ("and", "unless"):
        tree = unwrap(tree.left)
    span = _threshold_span(tree)
    if span is None or not isinstance(tree, Binary):
        return None
    on_the_left = span.start < tree.right.span.start
    op = {">": "<", "<": ">", ">=": "<=", "<=": ">="}.get(tree.op, tree.op) if on_the_left else tree.op
    return op, float(expr[span.start : span.end].strip("() "))


def _threshold_span(expr: Expr) -> Span | None:
    expr = unwrap(expr)
    if not isinstance(expr, Binary):
        return None
    if expr.op in ("and", "unless"):  # `ratio > 0.05 and requests > 10`: the first comparison is the threshold
        return _threshold_span(expr.left)
    if expr.op not in COMPARISONS:
        return None
    for side in (expr.right, expr.left):
        inner = unwrap(side)
        if isinstance(inner, NumberLiteral) or (isinstance(inner, Unary) and isinstance(unwrap(inner.expr), NumberLiteral)):
            return side.span
    return None


def overridden(rule: AlertRule, vector: Vector, queryable: Queryable, t_ms: int) -> Vector:
    """The rule's result where some label sets have a threshold of their own; the first override that matches counts.

    Raises QueryError.
    """
    overrides = [(_matchers(text), value) for text, value in rule.native.thresholds]
    pieces = [_kept(vector, [_first_match(overrides, i) == -1 for i in map(dict, vector.labels)])]
    for place, expr in enumerate(override_exprs(rule)):
        other = queryable.instant(expr, t_ms).vector
        if other is None:
            raise ExecutionError("rule result is not a vector")
        pieces.append(_kept(other, [_first_match(overrides, i) == place for i in map(dict, other.labels)]))
    return Vector(
        tuple(labels for piece in pieces for labels in piece.labels),
        np.concatenate([piece.values for piece in pieces]),
        np.concatenate([piece.t_ms for piece in pieces]),
    )


def override_exprs(rule: AlertRule) -> list[str]:
    """The rule's expression with each of its overrides in place of the threshold, in their order."""
    exprs = [with_threshold(rule.expr, value) for _, value in rule.native.thresholds]
    assert None not in exprs, "the rule file's reader refuses overrides without a threshold"
    return [expr for expr in exprs if expr is not None]


def _matchers(text: str) -> tuple[Matcher, ...]:
    tree = parse(text)
    assert isinstance(tree, VectorSelector), text
    return tree.matchers


def _first_match(overrides: list[tuple[tuple[Matcher, ...], float]], labels: dict[str, str]) -> int:
    return next((i for i, (matchers, _) in enumerate(overrides) if all_match(matchers, labels)), -1)


def _kept(vector: Vector, keep: list[bool]) -> Vector:
    mask = np.array(keep, dtype=bool)
    kept = tuple(labels for labels, here in zip(vector.labels, keep, strict=True) if here)
    return Vector(kept, vector.values[mask], vector.t_ms[mask])
