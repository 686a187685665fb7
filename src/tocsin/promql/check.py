"""Types and other rules that the grammar cannot express, checked on a whole tree, in Prometheus's order."""

from __future__ import annotations

from tocsin.model.labels import METRIC_NAME
from tocsin.model.series import ValueType
from tocsin.promql import ast
from tocsin.promql.ast import DOCUMENTED_TYPE, Cardinality, Span, type_of
from tocsin.promql.errors import fail
from tocsin.promql.functions import FUNCTIONS
from tocsin.promql.text import go_quote

_SCALAR_OR_VECTOR = (ValueType.SCALAR, ValueType.VECTOR)


def check(expr: ast.Expr, query: str) -> None:
    """Raises ParseError at the first rule broken, children before their parents where Prometheus does so."""
    _Checker(query).check(expr)


class _Checker:
    def __init__(self, query: str) -> None:
        self.query = query

    def check(self, expr: ast.Expr, *, bare: bool = False) -> None:
        """`bare`: the label selector of `info`, which may match everything."""
        match expr:
            case ast.Aggregate():
                self._aggregate(expr)
            case ast.Binary():
                self._binary(expr)
            case ast.Call():
                self._call(expr)
            case ast.Paren():
                self.check(expr.expr)
            case ast.Unary():
                self.check(expr.expr)
                if (kind := type_of(expr.expr)) not in _SCALAR_OR_VECTOR:
                    what = "unary expression only allowed on expressions of type scalar or instant vector"
                    self._fail(expr.span, f'{what}, got "{DOCUMENTED_TYPE[kind]}"')
            case ast.Subquery():
                self.check(expr.expr)
                if (kind := type_of(expr.expr)) is not ValueType.VECTOR:
                    self._fail(expr.span, f"subquery is only allowed on instant vector, got {kind.value} instead")
            case ast.MatrixSelector():
                self.check(expr.selector)
            case ast.VectorSelector():
                self._selector(expr, bare)
            case _:
                pass

    def _fail(self, span: Span, message: str) -> None:
        raise fail(self.query, span, message)

    def _expect(self, expr: ast.Expr, wanted: ValueType, context: str, *, bare: bool = False) -> None:
        self.check(expr, bare=bare)
        if (kind := type_of(expr)) is not wanted:
            what = f"expected type {DOCUMENTED_TYPE[wanted]} in {context}, got {DOCUMENTED_TYPE[kind]}"
            self._fail(expr.span, what)

    def _aggregate(self, expr: ast.Aggregate) -> None:
        self._expect(expr.expr, ValueType.VECTOR, "aggregation expression")
        if expr.param is not None:
            wanted = ValueType.STRING if expr.op == "count_values" else ValueType.SCALAR
            self._expect(expr.param, wanted, "aggregation parameter")

    def _binary(self, expr: ast.Binary) -> None:
        self.check(expr.left)
        self.check(expr.right)
        left, right = type_of(expr.left), type_of(expr.right)
        assert expr.matching is not None
        comparison = expr.op in ast.COMPARISONS
        if expr.return_bool and not comparison:
            self._fail(self._between(expr), "bool modifier can only be used on comparison operators")
        if comparison and not expr.return_bool and left is right is ValueType.SCALAR:
            self._fail(self._between(expr), "comparisons between scalars must use BOOL modifier")
        for label in expr.matching.labels:
            if expr.matching.on and label in expr.matching.include:
                what = f"label {go_quote(label)} must not occur in ON and GROUP clause at once"
                self._fail(self._between(expr), what)
        for side, kind in ((expr.left, left), (expr.right, right)):
            if kind not in _SCALAR_OR_VECTOR:
                self._fail(side.span, "binary expression must contain only scalar and instant vector types")
        both_vectors = left is right is ValueType.VECTOR
        if not both_vectors and expr.matching.labels:
            self._fail(expr.span, "vector matching only allowed between instant vectors")
        grouped = expr.matching.cardinality in (Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_MANY)
        if both_vectors and expr.op in ast.SET_OPERATORS and grouped:
            self._fail(expr.span, f'no grouping allowed for "{expr.op}" operation')
        if expr.op in ast.SET_OPERATORS and not both_vectors:
            self._fail(expr.span, f'set operator "{expr.op}" not allowed in binary scalar expression')

    def _between(self, expr: ast.Binary) -> Span:
        """The operator with its modifiers."""
        between = self.query[expr.left.span.end : expr.right.span.start]
        start = expr.left.span.end + len(between) - len(between.lstrip())
        return Span(start, expr.left.span.end + len(between.rstrip()))

    def _call(self, expr: ast.Call) -> None:
        function = FUNCTIONS[expr.name]
        self._count_arguments(expr)
        info = expr.name == "info" and len(expr.args) > 1
        if info:
            self._info_selector(expr)
        for index, argument in enumerate(expr.args):
            wanted = function.params[min(index, len(function.params) - 1)]
            self._expect(argument, wanted, f'call to function "{expr.name}"', bare=info and index == 1)

    def _count_arguments(self, expr: ast.Call) -> None:
        function = FUNCTIONS[expr.name]
        wanted, got = len(function.params), len(expr.args)
        call = f'in call to "{expr.name}", got {got}'
        if function.variadic == 0 and got != wanted:
            self._fail(expr.span, f"expected {wanted} argument(s) {call}")
        if function.variadic != 0 and got < wanted - 1:
            self._fail(expr.span, f"expected at least {wanted - 1} argument(s) {call}")
        if function.variadic > 0 and got > wanted - 1 + function.variadic:
            self._fail(expr.span, f"expected at most {wanted - 1 + function.variadic} argument(s) {call}")

    def _info_selector(self, expr: ast.Call) -> None:
        selector = expr.args[1]
        if not isinstance(selector, ast.VectorSelector):
            got = DOCUMENTED_TYPE[type_of(selector)]
            self._fail(expr.span, f'expected type instant vector in call to function "info", got {got}')
        elif selector.name:
            self._fail(selector.span, "expected label selectors only, got vector selector instead")

    def _selector(self, expr: ast.VectorSelector, bare: bool) -> None:
        if expr.name:
            for matcher in expr.matchers[:-1]:
                if matcher.name == METRIC_NAME:
                    twice = f"{go_quote(expr.name)} or {go_quote(matcher.value)}"
                    self._fail(expr.span, f"metric name must not be set twice: {twice}")
        elif not bare and all(matcher.matches_empty for matcher in expr.matchers):
            self._fail(expr.span, "vector selector must contain at least one non-empty matcher")
