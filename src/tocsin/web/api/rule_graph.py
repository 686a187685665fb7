"""The chart of a rule: its expression without the comparison, and the threshold as a line."""

from __future__ import annotations

from dataclasses import replace

from tocsin.errors import ParseError
from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.promql import ast
from tocsin.promql.engine import Engine
from tocsin.promql.printer import format_expr
from tocsin.web.api.shapes import Graph

_BEFORE_MS = 3_600_000
_AFTER_MS = 600_000
_NARROWING = ("instance", "job", "service", "check", "name", "device", "mountpoint")


def graph_of(engine: Engine, expr: str, labels: Labels, start_ms: int, end_ms: int) -> Graph | None:
    """An hour before the alert until shortly after it; None when the expression cannot be drawn."""
    try:
        tree = ast.unwrap(engine.parse(expr))
    except ParseError:
        return None
    threshold = None
    if isinstance(tree, ast.Binary) and tree.op in ast.COMPARISONS and isinstance(ast.unwrap(tree.right), ast.NumberLiteral):
        right = ast.unwrap(tree.right)
        threshold = right.value if isinstance(right, ast.NumberLiteral) else None
        tree = ast.unwrap(tree.left)
    return Graph(format_expr(narrowed(tree, labels)), start_ms - _BEFORE_MS, end_ms + _AFTER_MS, threshold)


def narrowed(expr: ast.Expr, labels: Labels) -> ast.Expr:
    """A single selector with the alert's own place as matchers; anything more complex stays as it is."""
    if not isinstance(expr, ast.VectorSelector):
        return expr
    named = {matcher.name for matcher in expr.matchers}
    added = [Matcher(name, MatchOp.EQUAL, labels[name]) for name in _NARROWING if name in labels and name not in named]
    return replace(expr, matchers=(*added, *expr.matchers))
