"""The number a rule compares with: reading it, and putting another in its place."""

from __future__ import annotations

from tocsin.formats.goformat import format_float
from tocsin.promql.ast import COMPARISONS, Binary, Expr, NumberLiteral, Span, Unary, unwrap
from tocsin.promql.parser import parse


def with_threshold(expr: str, value: float) -> str | None:
    """`expr` with another number compared against; None where it is not of the form `... > number` (either way round)."""
    span = _threshold_span(parse(expr))
    return None if span is None else expr[: span.start] + format_float(value, "f", -1) + expr[span.end :]


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
