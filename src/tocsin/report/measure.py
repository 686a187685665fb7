"""One figure over a stretch of time, and what it says of an objective: burn rate and error budget.

good share (0..1) ─▶ burn rate: how many times faster than allowed the budget is spent ─▶ what is left of it
"""

from __future__ import annotations

import numpy as np

from tocsin.model.duration import format_duration
from tocsin.model.ports import Queryable
from tocsin.model.series import ValueType

_SUBQUERY_STEP = "5m"


def over_window(expr: str, length_ms: int) -> str:
    """`$window` is the asked length; an expression without it is averaged over it."""
    window = format_duration(length_ms)
    return expr.replace("$window", window) if "$window" in expr else f"avg_over_time(({expr})[{window}:{_SUBQUERY_STEP}])"


def one_value(engine: Queryable, expr: str, t_ms: int) -> float | None:
    """None where there is no sample or no number. Raises QueryError; ValueError for more than one series."""
    result = engine.instant(expr, t_ms)
    if result.type is ValueType.SCALAR:
        return result.scalar if np.isfinite(result.scalar) else None
    vector = result.vector
    if vector is None or not len(vector.values):
        return None
    if len(vector.values) > 1:
        raise ValueError(f"gives {len(vector.values)} series where one is expected: aggregate it, such as with sum() or avg()")
    value = float(vector.values[0])
    return value if np.isfinite(value) else None


def burn_rate(value: float, target: float) -> float:
    """1 = as much fails as the objective allows; 14.4 over an hour = a fiftieth of a budget of 30 days is gone in it."""
    return max(0.0, (1 - value) / (1 - target))


def budget_left(value: float, target: float) -> float:
    """Of the window that `value` is of: 1 = nothing failed, 0 = all of the budget is spent, below = the objective is missed."""
    return 1 - burn_rate(value, target)


def gone_in_ms(left: float, burn: float, window_ms: int) -> int | None:
    """How long until the budget is spent at this pace; None = not within the window."""
    if left <= 0:
        return 0
    if burn <= 0:
        return None
    ms = round(left * window_ms / burn)
    return ms if ms <= window_ms else None
