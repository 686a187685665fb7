"""Numbers and durations as PromQL writes them, and arithmetic between durations."""

from __future__ import annotations

import math
import re

from tocsin.errors import ParseError
from tocsin.model.duration import parse_duration_ms
from tocsin.promql import ast
from tocsin.promql.text import go_quote

_OCTAL = re.compile(r"0_?[0-7](?:_?[0-7])*$")


def parse_number(text: str) -> float:
    """A number as Go reads it: decimal, hexadecimal, octal with a leading 0, `_` between digits, inf, nan.

    Raises ValueError when it is none, OverflowError beyond float64.
    """
    lower = text.lower()
    if lower.startswith("0x"):
        value = int(lower, 16)
        return float(value) if value < 2**63 else _overflowing_float(text)
    if len(text) > 1 and _OCTAL.match(text):
        return float(int(text.replace("_", ""), 8))
    return _overflowing_float(text)


def _overflowing_float(text: str) -> float:
    value = float(int(text, 16)) if text[:2].lower() == "0x" else float(text)
    if math.isinf(value) and "inf" not in text.lower():
        raise OverflowError(text)
    return value


_UNITS = {"ms", "s", "m", "h", "d", "w", "y"}
_PART = re.compile(r"[0-9]+([^0-9]*)")


def parse_seconds(text: str) -> float:
    """Seconds of a duration such as `1h30m`. Raises ValueError with Prometheus's text."""
    for unit in _PART.findall(text):
        if unit and unit not in _UNITS:
            raise ValueError(f"unknown unit {go_quote(unit)} in duration {go_quote(text)}")
    try:
        return parse_duration_ms(text) / 1000
    except ValueError as error:
        if "out of range" in str(error):
            raise ValueError("duration out of range") from None
        raise ValueError(f"not a valid duration string: {go_quote(text)}") from None


def evaluate_ms(expr: ast.DurationExpr, *, allow_negative: bool = False) -> int:
    """Milliseconds of a duration expression. Raises ParseError where it divides by zero or is not positive."""
    seconds = _evaluate(expr)
    where = f"{expr.span.start}:{expr.span.end}"
    if seconds <= 0 and not allow_negative:
        raise ParseError(f"{where}: duration must be greater than 0", start=expr.span.start, end=expr.span.end)
    if not abs(seconds) < 2.0**63 / 1e9:
        raise ParseError(f"{where}: duration is out of range", start=expr.span.start, end=expr.span.end)
    return int(seconds * 1000)


def _evaluate(expr: ast.NumberLiteral | ast.DurationExpr) -> float:
    if isinstance(expr, ast.NumberLiteral):
        return expr.value
    right = _evaluate(expr.right)
    if expr.left is None:
        return -right
    left = _evaluate(expr.left)
    if expr.op in "/%" and right == 0:
        what = "division" if expr.op == "/" else "modulo"
        raise ParseError(f"{expr.span.start}:{expr.span.end}: {what} by zero", start=expr.span.start, end=expr.span.end)
    match expr.op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
        case "%":
            return math.fmod(left, right)
        case _:
            return _power(left, right)


def _power(left: float, right: float) -> float:
    try:
        value = left**right
    except (OverflowError, ZeroDivisionError):
        return math.inf
    return value if isinstance(value, float) else math.nan


def literal_or_expr(amount: ast.NumberLiteral | ast.DurationExpr) -> tuple[int, ast.DurationExpr | None]:
    """Milliseconds of a literal, or the expression to evaluate later."""
    if isinstance(amount, ast.DurationExpr):
        return 0, amount
    return round_half_away(amount.value * 1000), None


def round_half_away(value: float) -> int:
    """Go's math.Round: halves go away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))
