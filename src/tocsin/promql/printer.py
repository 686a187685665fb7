"""Syntax tree -> text: on one line as Prometheus prints it, or laid out over several."""

from __future__ import annotations

import re

from tocsin.model.duration import format_duration
from tocsin.model.labels import METRIC_NAME, Matcher, MatchOp
from tocsin.model.series import ValueType
from tocsin.promql import ast
from tocsin.promql.text import format_float, go_quote

_LEGACY_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*$")
_LEGACY_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*$")
_LINE_LENGTH = 100


def format_expr(expr: ast.Expr) -> str:
    """The query in Prometheus's normal form, on one line."""
    match expr:
        case ast.NumberLiteral():
            return _seconds(expr.value) if expr.duration else format_float(expr.value)
        case ast.StringLiteral():
            return go_quote(expr.value)
        case ast.DurationExpr():
            return _duration_expr(expr)
        case ast.VectorSelector():
            return _selector(expr) + _modifiers(expr)
        case ast.MatrixSelector():
            return _selector(expr.selector) + _range(expr)
        case ast.Subquery():
            return format_expr(expr.expr) + _subquery(expr)
        case ast.Paren():
            return f"({format_expr(expr.expr)})"
        case ast.Unary():
            return expr.op + format_expr(expr.expr)
        case ast.Binary():
            return f"{format_expr(expr.left)} {_operator(expr)} {format_expr(expr.right)}"
        case ast.Aggregate():
            param = "" if expr.param is None else f"{format_expr(expr.param)}, "
            return f"{_aggregation(expr)}({param}{format_expr(expr.expr)})"
        case ast.Call():
            return f"{expr.name}({', '.join(format_expr(argument) for argument in expr.args)})"


def format_query(expr: ast.Expr) -> str:
    """The query over several lines where a part is longer than 100 characters."""
    return _pretty(expr, 0)


def _pretty(expr: ast.Expr, level: int) -> str:
    indent = "  " * level
    line = format_expr(expr)
    if isinstance(expr, ast.Unary):
        return indent + expr.op + _pretty(expr.expr, level).strip()
    if isinstance(expr, ast.Subquery):
        return line if _fits(line) else _pretty(expr.expr, level) + _subquery(expr)
    if _fits(line):
        return indent + line
    match expr:
        case ast.Aggregate():
            param = "" if expr.param is None else _pretty(expr.param, level + 1) + ",\n"
            return f"{indent}{_aggregation(expr)}(\n{param}{_pretty(expr.expr, level + 1)}\n{indent})"
        case ast.Binary():
            left, right = _pretty(expr.left, level + 1), _pretty(expr.right, level + 1)
            return f"{left}\n{indent}{_operator(expr)}\n{right}"
        case ast.Call():
            arguments = ",\n".join(_pretty(argument, level + 1) for argument in expr.args)
            return f"{indent}{expr.name}(\n{arguments}\n{indent})"
        case ast.Paren():
            return f"{indent}(\n{_pretty(expr.expr, level + 1)}\n{indent})"
        case _:
            return indent + line


def _fits(line: str) -> bool:
    """As Prometheus counts: bytes."""
    return len(line.encode(errors="surrogateescape")) <= _LINE_LENGTH


def _seconds(value: float) -> str:
    return format_duration(int(value * 1000)) if value >= 0 else "-" + format_duration(int(-value * 1000))


def _duration_expr(expr: ast.DurationExpr) -> str:
    right = format_expr(expr.right)
    text = expr.op + right if expr.left is None else f"{format_expr(expr.left)} {expr.op} {right}"
    return f"({text})" if expr.wrapped else text


def _selector(expr: ast.VectorSelector) -> str:
    shown = sorted(_matcher(matcher) for matcher in expr.matchers if not _is_name(matcher, expr.name))
    return f"{expr.name}{{{','.join(shown)}}}" if shown else expr.name


def _is_name(matcher: Matcher, name: str) -> bool:
    return matcher.name == METRIC_NAME and matcher.op is MatchOp.EQUAL and matcher.value == name != ""


def _matcher(matcher: Matcher) -> str:
    name = matcher.name if _LEGACY_LABEL.match(matcher.name) else go_quote(matcher.name)
    return f"{name}{matcher.op.value}{go_quote(matcher.value)}"


def _modifiers(expr: ast.VectorSelector | ast.Subquery) -> str:
    at = ""
    if isinstance(expr.at, ast.AtAnchor):
        at = f" @ {expr.at.value}()"
    elif expr.at is not None:
        at = f" @ {expr.at / 1000:.3f}"
    if expr.offset_expr is not None:
        return f"{at} offset {_duration_expr(expr.offset_expr)}"
    return f"{at} offset {format_duration(expr.offset_ms)}" if expr.offset_ms else at


def _range(expr: ast.MatrixSelector) -> str:
    length = format_duration(expr.range_ms) if expr.range_expr is None else _duration_expr(expr.range_expr)
    return f"[{length}]{_modifiers(expr.selector)}"


def _subquery(expr: ast.Subquery) -> str:
    length = format_duration(expr.range_ms) if expr.range_expr is None else _duration_expr(expr.range_expr)
    step = format_duration(expr.step_ms) if expr.step_ms else ""
    if not expr.step_ms and expr.step_expr is not None:
        step = _duration_expr(expr.step_expr)
    return f"[{length}:{step}]{_modifiers(expr)}"


def _operator(expr: ast.Binary) -> str:
    text = expr.op + (" bool" if expr.return_bool else "")
    matching = expr.matching
    scalars = ast.type_of(expr.left) is not ValueType.VECTOR or ast.type_of(expr.right) is not ValueType.VECTOR
    if matching is None or scalars or not (matching.labels or matching.on):
        return text
    text += f" {'on' if matching.on else 'ignoring'} ({', '.join(matching.labels)})"
    if matching.cardinality in (ast.Cardinality.MANY_TO_ONE, ast.Cardinality.ONE_TO_MANY):
        side = "left" if matching.cardinality is ast.Cardinality.MANY_TO_ONE else "right"
        text += f" group_{side} ({', '.join(matching.include)})"
    return text


def _aggregation(expr: ast.Aggregate) -> str:
    names = ", ".join(name if _LEGACY_NAME.match(name) else go_quote(name) for name in expr.grouping)
    if expr.without:
        return f"{expr.op} without ({names}) "
    return f"{expr.op} by ({names}) " if expr.grouping else expr.op
