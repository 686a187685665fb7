"""A parsed query made ready: durations worked out, which parts give the same at every step, which labels count."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tocsin.model.labels import METADATA_LABELS
from tocsin.model.series import ValueType
from tocsin.promql import ast, durations
from tocsin.promql.functions import FUNCTIONS

_BLIND_TO_OTHERS = frozenset({"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "quantile"})
"""Aggregations that look at no label but those they group by."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`query` is the text that positions refer to; `invariant` holds the ids of nodes of `expr` to evaluate once."""

    query: str
    expr: ast.Expr
    invariant: frozenset[int]
    grouped: Mapping[int, tuple[str, ...]]
    """By the id of a selector: the only labels that its aggregation looks at, sorted."""


def prepare(query: str, expr: ast.Expr) -> Plan:
    """Raises ParseError where a duration expression has no positive value."""
    settled = _settle(expr)
    invariant: set[int] = set()
    _mark(settled, invariant)
    return Plan(query, settled, frozenset(invariant), dict(_grouped(settled)))


def _settle(expr: ast.Expr) -> ast.Expr:
    """Duration expressions become milliseconds, everywhere."""
    match expr:
        case ast.VectorSelector():
            if expr.offset_expr is None:
                return expr
            return dataclasses.replace(expr, offset_ms=durations.evaluate_ms(expr.offset_expr, allow_negative=True))
        case ast.MatrixSelector():
            range_ms = expr.range_ms if expr.range_expr is None else durations.evaluate_ms(expr.range_expr)
            selector = _settle(expr.selector)
            assert isinstance(selector, ast.VectorSelector)
            return dataclasses.replace(expr, selector=selector, range_ms=range_ms)
        case ast.Subquery():
            return dataclasses.replace(
                expr,
                expr=_settle(expr.expr),
                range_ms=expr.range_ms if expr.range_expr is None else durations.evaluate_ms(expr.range_expr),
                step_ms=expr.step_ms if expr.step_expr is None else durations.evaluate_ms(expr.step_expr),
                offset_ms=expr.offset_ms
                if expr.offset_expr is None
                else durations.evaluate_ms(expr.offset_expr, allow_negative=True),
            )
        case ast.Paren() | ast.Unary():
            return dataclasses.replace(expr, expr=_settle(expr.expr))
        case ast.Binary():
            return dataclasses.replace(expr, left=_settle(expr.left), right=_settle(expr.right))
        case ast.Aggregate():
            param = None if expr.param is None else _settle(expr.param)
            return dataclasses.replace(expr, expr=_settle(expr.expr), param=param)
        case ast.Call():
            return dataclasses.replace(expr, args=tuple(_settle(argument) for argument in expr.args))
        case _:
            return expr


def _mark(expr: ast.Expr, invariant: set[int]) -> bool:
    """Whether an expression is the same at every step; remembers those worth evaluating once."""
    below = [_mark(child, invariant) for child in ast.children(expr)]
    match expr:
        case ast.VectorSelector():
            same = expr.at is not None
        case ast.Subquery():
            same = expr.at is not None
        case ast.Call():
            same = all(below) and FUNCTIONS[expr.name].at_safe
        case ast.Aggregate():
            same = below[0] and all(below)
        case _:
            same = all(below)
    if same and isinstance(expr, ast.VectorSelector | ast.Call | ast.Aggregate | ast.Binary | ast.Unary):
        invariant.add(id(expr))
    return same


def _grouped(expr: ast.Expr) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Selectors of one metric that go straight, or through one range function, into an aggregation by labels."""
    for node in ast.walk(expr):
        if not isinstance(node, ast.Aggregate) or node.without or node.op not in _BLIND_TO_OTHERS:
            continue
        names = tuple(sorted(set(node.grouping)))
        selector = _selected(node.expr)
        if selector is not None and not set(names) & set(METADATA_LABELS) and ast.metric_of(selector):
            yield id(selector), names


def _selected(expr: ast.Expr) -> ast.VectorSelector | None:
    expr = ast.unwrap(expr)
    if isinstance(expr, ast.Call):
        function = FUNCTIONS[expr.name]
        if not function.takes_windows or function.keeps_name:
            return None
        windows = ast.unwrap(expr.args[function.params.index(ValueType.MATRIX)])
        return windows.selector if isinstance(windows, ast.MatrixSelector) else None
    return expr if isinstance(expr, ast.VectorSelector) else None
