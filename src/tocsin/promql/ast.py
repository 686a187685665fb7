"""The syntax tree of a PromQL query. Every node knows where in the query it stands."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field

from tocsin.model.labels import METRIC_NAME, Matcher, MatchOp
from tocsin.model.series import ValueType

DOCUMENTED_TYPE = {
    ValueType.VECTOR: "instant vector",
    ValueType.MATRIX: "range vector",
    ValueType.SCALAR: "scalar",
    ValueType.STRING: "string",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of the query."""

    start: int
    end: int

    def place(self, query: str) -> str:
        """`line:column` of the start as Prometheus prints it: both from 1, the column in UTF-8 bytes."""
        if not query:
            return "unknown position"
        before = query[: self.start]
        line_start = before.rfind("\n") + 1
        return f"{before.count(chr(10)) + 1}:{len(before[line_start:].encode('utf-8', 'replace')) + 1}"


class AtAnchor(enum.StrEnum):
    START = "start"
    END = "end"


At = int | AtAnchor
"""What stands after `@`: an instant in ms, or the start or end of the query."""


class Cardinality(enum.StrEnum):
    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"
    MANY_TO_MANY = "many-to-many"


@dataclass(frozen=True, slots=True)
class VectorMatching:
    """How the two sides of a binary operation find each other. `include` are the labels of group_left/group_right."""

    cardinality: Cardinality = Cardinality.ONE_TO_ONE
    labels: tuple[str, ...] = ()
    on: bool = False
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NumberLiteral:
    value: float
    span: Span
    duration: bool = False
    """Written as a duration (`5m`); the value is in seconds."""


@dataclass(frozen=True, slots=True)
class StringLiteral:
    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class DurationExpr:
    """Arithmetic between durations (seconds), as in `[5m * 2]`. `left` None: a negation."""

    op: str
    left: NumberLiteral | DurationExpr | None
    right: NumberLiteral | DurationExpr
    span: Span
    wrapped: bool = False


@dataclass(frozen=True, slots=True)
class VectorSelector:
    name: str
    """Name written before the braces; empty when it stands inside or nowhere."""
    matchers: tuple[Matcher, ...]
    """All matchers, that of the name last when it was written before the braces."""
    span: Span
    offset_ms: int = 0
    offset_expr: DurationExpr | None = None
    at: At | None = None


@dataclass(frozen=True, slots=True)
class MatrixSelector:
    selector: VectorSelector
    range_ms: int
    span: Span
    range_expr: DurationExpr | None = None


@dataclass(frozen=True, slots=True)
class Subquery:
    expr: Expr
    range_ms: int
    step_ms: int
    """0 = the engine's default step."""
    span: Span
    range_expr: DurationExpr | None = None
    step_expr: DurationExpr | None = None
    offset_ms: int = 0
    offset_expr: DurationExpr | None = None
    at: At | None = None


@dataclass(frozen=True, slots=True)
class Paren:
    expr: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Unary:
    op: str
    expr: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Binary:
    op: str
    left: Expr
    right: Expr
    span: Span
    matching: VectorMatching | None = None
    return_bool: bool = False


@dataclass(frozen=True, slots=True)
class Aggregate:
    op: str
    expr: Expr
    span: Span
    param: Expr | None = None
    grouping: tuple[str, ...] = ()
    without: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    args: tuple[Expr, ...]
    span: Span
    returns: ValueType = field(default=ValueType.VECTOR)


Expr = (
    NumberLiteral
    | StringLiteral
    | DurationExpr
    | VectorSelector
    | MatrixSelector
    | Subquery
    | Paren
    | Unary
    | Binary
    | Aggregate
    | Call
)

COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
SET_OPERATORS = frozenset({"and", "or", "unless"})
AGGREGATIONS_WITH_PARAM = frozenset({"topk", "bottomk", "count_values", "quantile", "limitk", "limit_ratio"})


def type_of(expr: Expr) -> ValueType:
    """The type an expression evaluates to; its children are not checked."""
    match expr:
        case NumberLiteral() | DurationExpr():
            return ValueType.SCALAR
        case StringLiteral():
            return ValueType.STRING
        case MatrixSelector() | Subquery():
            return ValueType.MATRIX
        case Paren() | Unary():
            return type_of(expr.expr)
        case Call():
            return expr.returns
        case Binary():
            scalars = type_of(expr.left) is ValueType.SCALAR and type_of(expr.right) is ValueType.SCALAR
            return ValueType.SCALAR if scalars else ValueType.VECTOR
        case VectorSelector() | Aggregate():
            return ValueType.VECTOR


def children(expr: Expr) -> tuple[Expr, ...]:
    """Child nodes in the order Prometheus walks them."""
    match expr:
        case MatrixSelector():
            return (expr.selector,)
        case Subquery() | Paren() | Unary():
            return (expr.expr,)
        case Binary():
            return (expr.left, expr.right)
        case Aggregate():
            return (expr.expr,) if expr.param is None else (expr.expr, expr.param)
        case Call():
            return expr.args
        case _:
            return ()


def walk(expr: Expr) -> Iterator[Expr]:
    """The node and everything below it, parents first."""
    yield expr
    for child in children(expr):
        yield from walk(child)


def unwrap(expr: Expr) -> Expr:
    """The expression inside any parentheses."""
    while isinstance(expr, Paren):
        expr = expr.expr
    return expr


def metric_of(selector: VectorSelector) -> str:
    """The one metric that it can select; empty where it names none."""
    named = (matcher.value for matcher in selector.matchers if matcher.name == METRIC_NAME and matcher.op is MatchOp.EQUAL)
    return next(named, "")


def selectors(expr: Expr) -> list[VectorSelector]:
    """Every vector selector of a query, in order."""
    return [node for node in walk(expr) if isinstance(node, VectorSelector)]
