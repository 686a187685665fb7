"""Saying that something is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tocsin.model.labels import EMPTY_LABELS, METRIC_NAME, Labels, MatchOp
from tocsin.model.series import Bool, ValueType
from tocsin.promql import ast
from tocsin.promql.frame import Frame, empty
from tocsin.promql.function import Call, function, raw_function
from tocsin.promql.select import windows

if TYPE_CHECKING:
    from tocsin.promql.evaluate import Evaluator


@function("absent")
def absent(call: Call, vector: Frame) -> Frame:
    """1 where the vector is empty, with the labels that its selector fixes."""
    return _where(~np.asarray(vector.mask().any(axis=0)), call.node.args[0])


@raw_function("absent_over_time", takes={"series": ValueType.MATRIX})
def absent_over_time(evaluator: Evaluator, call: Call) -> Frame:
    """1 where no series has a sample in the window, with the labels that its selector fixes."""
    selection, ends, range_ms = evaluator.range_of(call.node.args[0], call.t_ms, "absent_over_time")
    _, pieces = windows(selection, ends, range_ms)
    found = np.zeros(call.t_ms.size, bool)
    for piece in pieces:
        filled = piece.windows.count > 0
        found |= filled if filled.ndim == 1 else filled.any(axis=0)
    return _where(~found, call.node.args[0])


def _where(missing: Bool, argument: ast.Expr) -> Frame:
    if not missing.any():
        return empty(missing.size)
    return Frame((fixed_labels(argument),), np.ones((1, missing.size)), missing[None, :]).compact()


def fixed_labels(expr: ast.Expr) -> Labels:
    """Labels that every matching series has: those matched once, by equality."""
    expr = ast.unwrap(expr)
    if isinstance(expr, ast.MatrixSelector):
        expr = expr.selector
    if not isinstance(expr, ast.VectorSelector):
        return EMPTY_LABELS
    fixed: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in expr.matchers:
        if matcher.name == METRIC_NAME:
            continue
        if matcher.op is MatchOp.EQUAL and matcher.name not in seen:
            fixed[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            fixed.pop(matcher.name, None)
    return Labels(fixed)
