"""The syntax tree as `/api/v1/parse_query` answers it (Prometheus 3.5, `web/api/v1/translate_ast.go`)."""

from __future__ import annotations

from typing import Any

from tocsin.formats.prometheus_json import format_value
from tocsin.model.labels import METRIC_NAME, Matcher, MatchOp
from tocsin.model.series import ValueType
from tocsin.promql import ast
from tocsin.promql.functions import FUNCTIONS


def ast_json(expr: ast.Expr) -> dict[str, Any]:
    """One node with everything below it."""
    match expr:
        case ast.NumberLiteral():
            return {"type": "numberLiteral", "val": format_value(expr.value)}
        case ast.StringLiteral():
            return {"type": "stringLiteral", "val": expr.value}
        case ast.DurationExpr():
            return _duration(expr)
        case ast.VectorSelector():
            return _selector(expr, "vectorSelector", {})
        case ast.MatrixSelector():
            return _selector(expr.selector, "matrixSelector", {"range": expr.range_ms})
        case ast.Paren():
            return {"type": "parenExpr", "expr": ast_json(expr.expr)}
        case ast.Unary():
            return {"type": "unaryExpr", "op": expr.op, "expr": ast_json(expr.expr)}
        case ast.Subquery():
            return _subquery(expr)
        case ast.Binary():
            return _binary(expr)
        case ast.Aggregate():
            return _aggregate(expr)
        case ast.Call():
            return _call(expr)


def _selector(selector: ast.VectorSelector, kind: str, extra: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": kind,
        "name": selector.name or _equal_name(selector.matchers),
        **extra,
        "offset": selector.offset_ms,
        "matchers": [{"name": m.name, "value": m.value, "type": m.op.value} for m in selector.matchers],
        **_at(selector.at),
    }


def _equal_name(matchers: tuple[Matcher, ...]) -> str:
    """The name that stands inside the braces only."""
    return next((m.value for m in matchers if m.name == METRIC_NAME and m.op is MatchOp.EQUAL), "")


def _at(at: ast.At | None) -> dict[str, Any]:
    anchor = at.value if isinstance(at, ast.AtAnchor) else None
    return {"timestamp": at if isinstance(at, int) else None, "startOrEnd": anchor}


def _subquery(expr: ast.Subquery) -> dict[str, Any]:
    return {
        "type": "subquery",
        "expr": ast_json(expr.expr),
        "range": expr.range_ms,
        "offset": expr.offset_ms,
        "step": expr.step_ms,
        **_at(expr.at),
    }


def _binary(expr: ast.Binary) -> dict[str, Any]:
    matching = None
    if expr.matching is not None and ast.type_of(expr.left) is ast.type_of(expr.right) is ValueType.VECTOR:
        between_sets = expr.op in ("and", "or", "unless")
        matching = {
            "card": (ast.Cardinality.MANY_TO_MANY if between_sets else expr.matching.cardinality).value,
            "labels": list(expr.matching.labels),
            "on": expr.matching.on,
            "include": list(expr.matching.include),
        }
    return {
        "type": "binaryExpr",
        "op": expr.op,
        "lhs": ast_json(expr.left),
        "rhs": ast_json(expr.right),
        "matching": matching,
        "bool": expr.return_bool,
    }


def _aggregate(expr: ast.Aggregate) -> dict[str, Any]:
    return {
        "type": "aggregation",
        "op": expr.op,
        "expr": ast_json(expr.expr),
        "param": ast_json(expr.param) if expr.param is not None else None,
        "grouping": list(expr.grouping),
        "without": expr.without,
    }


def _call(expr: ast.Call) -> dict[str, Any]:
    function = FUNCTIONS[expr.name]
    return {
        "type": "call",
        "func": {
            "name": expr.name,
            "argTypes": [kind.value for kind in function.params],
            "variadic": function.variadic,
            "returnType": function.returns.value,
        },
        "args": [ast_json(arg) for arg in expr.args],
    }


def _duration(expr: ast.DurationExpr) -> dict[str, Any]:
    """Prometheus 3.5 does not translate duration expressions; this is ours."""
    out: dict[str, Any] = {"type": "durationExpr", "op": expr.op, "rhs": ast_json(expr.right)}
    return out if expr.left is None else {**out, "lhs": ast_json(expr.left)}
