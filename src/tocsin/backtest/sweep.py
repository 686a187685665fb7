"""Every threshold at once: how often a rule of the form `expression > number` would have fired for each number.

With `for` = w, an alert fires above t exactly where the smallest value of the last w is above t. So one rolling minimum per
series answers for all thresholds: each time it climbs from a to b, every t in [a, b) fires once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tocsin.backtest.columns import Columns
from tocsin.errors import ExecutionError
from tocsin.model.series import Bool, Float64
from tocsin.promql.ast import Binary, Expr, NumberLiteral, Span, Unary, unwrap
from tocsin.promql.parser import parse


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left > threshold` (or `<`, where the signs of both are turned)."""

    left: str
    threshold: float
    sign: int
    """1 for > and >=, -1 for < and <=."""


def comparison_of(expr: str) -> Comparison:
    """Raises ExecutionError where the expression is not `... > number` or `... < number`."""
    tree = unwrap(parse(expr))
    if isinstance(tree, Binary) and tree.op in (">", ">=", "<", "<=") and not tree.return_bool:
        number = _number(tree.right)
        if number is not None:
            return Comparison(_text(expr, tree.left.span), number, 1 if tree.op[0] == ">" else -1)
    raise ExecutionError("a threshold can be swept where the expression is `... > number` or `... < number`")


def firings_per_threshold(columns: Columns, sign: int, held: int, thresholds: Sequence[float]) -> list[int]:
    """How many alerts fire above (below) each threshold when it must hold for `held` steps more than one."""
    limits = np.sort(np.asarray(thresholds, dtype=np.float64) * sign)
    climbs = np.zeros(limits.size + 1, dtype=np.int64)
    for row in range(len(columns.labels)):
        low = _rolling_minimum(_or_lowest(columns.values[row], columns.present[row], sign), held)
        before = np.concatenate(([-np.inf], low[:-1]))
        up = low > before
        # A climb from a to b fires once for every limit in [a, b).
        np.add.at(climbs, np.searchsorted(limits, before[up], "left"), 1)
        np.add.at(climbs, np.searchsorted(limits, low[up], "left"), -1)
    counts = np.cumsum(climbs[:-1])
    by_limit = dict(zip(limits.tolist(), counts.tolist(), strict=True))
    return [int(by_limit[threshold * sign]) for threshold in thresholds]


def candidates(columns: Columns, threshold: float, count: int = 40) -> list[float]:
    """Thresholds worth showing: quantiles of the busy end of what was seen, and the one the rule has. Ascending."""
    seen = columns.values[columns.present]
    seen = seen[np.isfinite(seen)]
    if not seen.size:
        return [threshold]
    spread = np.quantile(seen, np.linspace(0, 1, count - 1))
    reach = np.linspace(min(float(seen.min()), threshold), max(float(seen.max()), threshold), 9)
    return sorted({float(f"{value:.4g}") for value in (*spread, *reach)} | {threshold})


def _or_lowest(values: Float64, present: Bool, sign: int) -> Float64:
    """The values with their sign; below every threshold where there is none to compare."""
    found: Float64 = np.full(values.shape, -np.inf)
    there = present & ~np.isnan(values)
    found[there] = values[there] * sign
    return found


def _rolling_minimum(values: Float64, held: int) -> Float64:
    if held <= 0:
        return values
    padded = np.concatenate((np.full(held, -np.inf), values))
    found: Float64 = sliding_window_view(padded, held + 1).min(axis=1)
    return found


def _number(side: Expr) -> float | None:
    inner = unwrap(side)
    if isinstance(inner, NumberLiteral):
        return inner.value
    if isinstance(inner, Unary):
        number = _number(inner.expr)
        return None if number is None else -number if inner.op == "-" else number
    return None


def _text(expr: str, span: Span) -> str:
    return expr[span.start : span.end]
