"""PromQL text -> syntax tree: a Pratt parser over the grammar of Prometheus 3.5, with Prometheus's error texts."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Collection

import re2

from tocsin.model.labels import METRIC_NAME, Matcher, MatchOp
from tocsin.promql import ast, durations, regexps
from tocsin.promql.check import check
from tocsin.promql.cursor import span_of
from tocsin.promql.duration_grammar import PRECEDENCE, UNARY, Duration, DurationGrammar
from tocsin.promql.errors import fail
from tocsin.promql.function import EXPERIMENTAL
from tocsin.promql.functions import FUNCTIONS
from tocsin.promql.text import format_float, go_quote, unquote
from tocsin.promql.token import LABEL_WORDS, METRIC_WORDS, Kind, Token

_MAX_DEPTH = 500
"""Deeper nesting is refused."""
_STACK_FRAMES = 10_000
"""Room for a tree of some thousand levels (a long `a or b or c ...`). Calls between Python functions take no C stack."""


def parse(text: str, features: Collection[str] = ()) -> ast.Expr:
    """The checked syntax tree of a query. `features` are Prometheus's flags such as `promql-experimental-functions`.

    Raises ParseError whose text starts with `line:column: parse error:`.
    """
    if sys.getrecursionlimit() < _STACK_FRAMES:
        sys.setrecursionlimit(_STACK_FRAMES)
    expr = Parser(text, features).query()
    try:
        check(expr, text)
    except RecursionError:
        raise fail(text, expr.span, "expression is nested too deeply") from None
    return expr


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """Matchers of `metric{a="b"}`, as `match[]` parameters give them. Raises ParseError."""
    parser = Parser(text, ())
    selector = parser.selector()
    parser.end()
    return selector.matchers


class Parser(DurationGrammar):
    """The grammar of expressions; `query`, `selector` and `end` are its doors."""

    # -- the whole text ------------------------------------------------------------------------------------------

    def query(self) -> ast.Expr:
        if self._peek().kind is Kind.EOF:
            raise fail(self.text, ast.Span(0, 0), "no expression found in input")
        expr = self._expression(0)
        self.end()
        return expr

    def selector(self) -> ast.VectorSelector:
        token = self._peek()
        if token.text == "{" or self._names_metric(token):
            return self._vector_selector()
        raise self._unexpected()

    def end(self) -> None:
        if self._peek().kind is not Kind.EOF:
            raise self._unexpected()

    # -- expressions ---------------------------------------------------------------------------------------------

    def _expression(self, least: int) -> ast.Expr:
        """Operators of at least this precedence, by precedence climbing."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise fail(self.text, span_of(self._peek()), "expression is nested too deeply")
        left = self._postfix(self._prefix())
        while True:
            token = self._peek()
            precedence = PRECEDENCE.get(token.word, 0) if token.kind is Kind.OPERATOR else 0
            if precedence == 0 or precedence < least:
                self._depth -= 1
                return left
            self._advance()
            return_bool, matching = self._binary_modifiers()
            right = self._expression(precedence if token.word == "^" else precedence + 1)
            span = ast.Span(left.span.start, right.span.end)
            left = ast.Binary(token.word, left, right, span, matching, return_bool)

    def _prefix(self) -> ast.Expr:
        token = self._peek()
        match token.kind:
            case Kind.NUMBER | Kind.DURATION:
                return self._number()
            case Kind.STRING:
                self._advance()
                return ast.StringLiteral(unquote(token.text), span_of(token))
            case Kind.IDENTIFIER:
                self._advance()
                return self._call(token) if self._peek().text == "(" else self._vector_selector(token)
            case Kind.AGGREGATOR:
                self._advance()
                if self._peek().text == "(" or self._peek().word in ("by", "without"):
                    return self._aggregate(token)
                return self._vector_selector(token)
            case Kind.OPERATOR if token.text in "+-":
                return self._signed()
            case Kind.PUNCTUATION if token.text == "(":
                return self._parenthesised()
        if token.text == "{" or self._names_metric(token):
            return self._vector_selector()
        raise self._unexpected()

    def _signed(self) -> ast.Expr:
        sign = self._advance()
        operand = self._expression(UNARY)
        span = ast.Span(sign.start, operand.span.end)
        if isinstance(operand, ast.NumberLiteral):
            return dataclasses.replace(operand, value=-operand.value if sign.text == "-" else operand.value, span=span)
        return ast.Unary(sign.text, operand, span)

    def _parenthesised(self) -> ast.Expr:
        opening = self._advance()
        inner = self._expression(0)
        closing = self._expect(")")
        return ast.Paren(inner, ast.Span(opening.start, closing.end))

    # -- what follows an operand ---------------------------------------------------------------------------------

    def _postfix(self, expr: ast.Expr) -> ast.Expr:
        while True:
            token = self._peek()
            if token.text == "[" and token.kind is Kind.PUNCTUATION:
                expr = self._bracketed(expr)
            elif token.word == "offset" and token.kind is Kind.KEYWORD:
                self._advance()
                expr = self._with_offset(expr)
            elif token.text == "@" and token.kind is Kind.PUNCTUATION:
                self._advance()
                expr = self._with_at(expr)
            else:
                return expr

    def _bracketed(self, expr: ast.Expr) -> ast.Expr:
        opening = self._advance()
        length = self._positive_duration("subquery selector", "number or duration")
        if self._peek().kind is Kind.COLON:
            self._advance()
            return self._subquery(expr, length)
        closing = self._expect("]", "subquery or range", '":" or "]"')
        problem = ""
        if not isinstance(expr, ast.VectorSelector):
            problem = "ranges only allowed for vector selectors"
        elif expr.offset_ms:
            problem = "no offset modifiers allowed before range"
        elif isinstance(expr.at, int):
            problem = "no @ modifiers allowed before range"
        if problem:
            raise fail(self.text, ast.Span(opening.start, closing.end), problem)
        assert isinstance(expr, ast.VectorSelector)
        range_ms, range_expr = durations.literal_or_expr(length)
        return ast.MatrixSelector(expr, range_ms, ast.Span(expr.span.start, self._closing), range_expr)

    def _subquery(self, expr: ast.Expr, length: Duration) -> ast.Subquery:
        range_ms, range_expr = durations.literal_or_expr(length)
        step_ms, step_expr = 0, None
        if self._peek().text != "]":
            step = self._positive_duration("subquery selector", 'number or duration or "]"')
            step_ms, step_expr = durations.literal_or_expr(step)
        closing = self._expect("]", "subquery selector", '"]"')
        return ast.Subquery(expr, range_ms, step_ms, ast.Span(expr.span.start, closing.end), range_expr, step_expr)

    def _with_offset(self, expr: ast.Expr) -> ast.Expr:
        amount = self._offset_amount()
        target = self._modifiable(expr, "offset")
        if target.offset_ms or target.offset_expr is not None:
            raise fail(self.text, expr.span, "offset may not be set multiple times")
        offset_ms, offset_expr = durations.literal_or_expr(amount)
        return self._modified(expr, offset_ms=offset_ms, offset_expr=offset_expr)

    def _with_at(self, expr: ast.Expr) -> ast.Expr:
        at = self._at_value(expr)
        target = self._modifiable(expr, "@")
        if target.at is not None:
            raise fail(self.text, expr.span, "@ <timestamp> may not be set multiple times")
        return self._modified(expr, at=at)

    def _at_value(self, expr: ast.Expr) -> ast.At:
        context = ("@", "timestamp")
        if self._peek().kind is Kind.ANCHOR:
            anchor = ast.AtAnchor(self._advance().word)
            self._expect("(", *context)
            self._expect(")", *context)
            return anchor
        sign = self._advance() if self._peek().text in ("+", "-") else None
        if self._peek().kind not in (Kind.NUMBER, Kind.DURATION):
            raise self._unexpected(*context)
        seconds = self._number().value * (-1 if sign is not None and sign.text == "-" else 1)
        if not -(2.0**63) < seconds < 2.0**63:
            shown = f"{seconds:f}" if math.isfinite(seconds) else format_float(seconds)
            raise fail(self.text, expr.span, f"timestamp out of bounds for @ modifier: {shown}")
        return durations.round_half_away(seconds * 1000)

    def _modifiable(self, expr: ast.Expr, what: str) -> ast.VectorSelector | ast.Subquery:
        match expr:
            case ast.VectorSelector() | ast.Subquery():
                return expr
            case ast.MatrixSelector():
                return expr.selector
        needs = "an instant vector selector or range vector selector or a subquery"
        raise fail(self.text, expr.span, f"{what} modifier must be preceded by {needs}")

    def _modified(self, expr: ast.Expr, **changes: object) -> ast.Expr:
        span = ast.Span(expr.span.start, self._closing)
        if isinstance(expr, ast.MatrixSelector):
            return dataclasses.replace(expr, selector=dataclasses.replace(expr.selector, **changes), span=span)  # type: ignore[arg-type]
        assert isinstance(expr, ast.VectorSelector | ast.Subquery)
        return dataclasses.replace(expr, span=span, **changes)  # type: ignore[arg-type]

    # -- selectors -----------------------------------------------------------------------------------------------

    def _names_metric(self, token: Token) -> bool:
        return token.kind in (Kind.IDENTIFIER, Kind.METRIC_IDENTIFIER) or (
            token.word in METRIC_WORDS and token.kind in (Kind.AGGREGATOR, Kind.KEYWORD, Kind.OPERATOR, Kind.ANCHOR)
        )

    def _vector_selector(self, name: Token | None = None) -> ast.VectorSelector:
        if name is None and self._names_metric(self._peek()):
            name = self._advance()
        matchers: list[Matcher] = []
        span = span_of(name) if name is not None else span_of(self._peek())
        if self._peek().text == "{" and self._peek().kind is Kind.PUNCTUATION:
            opening, (matchers, closing) = self._peek(), self._matchers()
            span = ast.Span((name or opening).start, closing.end)
        if name is not None:
            matchers.append(Matcher(METRIC_NAME, MatchOp.EQUAL, name.text))
        return ast.VectorSelector(name.text if name is not None else "", tuple(matchers), span)

    def _matchers(self) -> tuple[list[Matcher], Token]:
        self._advance()
        matchers: list[Matcher] = []
        while (closing := self._accept("}")) is None:
            matchers.append(self._matcher())
            if self._peek().text != "}" or self._peek().kind is Kind.STRING:
                self._expect(",", "label matching", '"," or "}"')
        return matchers, closing

    def _matcher(self) -> Matcher:
        label = self._peek()
        if label.kind not in (Kind.IDENTIFIER, Kind.STRING):
            raise self._unexpected("label matching", 'identifier or "}"')
        self._advance()
        name = unquote(label.text) if label.kind is Kind.STRING else label.text
        operator = self._peek()
        if operator.text not in ("=", "!=", "=~", "!~") or operator.kind is Kind.STRING:
            if label.kind is Kind.STRING:
                return Matcher(METRIC_NAME, MatchOp.EQUAL, name)
            raise self._unexpected("label matching", "label matching operator")
        self._advance()
        value = self._peek()
        if value.kind is not Kind.STRING:
            raise self._unexpected("label matching", "string")
        self._advance()
        return self._new_matcher(name, MatchOp(operator.text), unquote(value.text), ast.Span(label.start, value.end))

    def _new_matcher(self, name: str, op: MatchOp, value: str, span: ast.Span) -> Matcher:
        try:
            return Matcher(name, op, value)
        except re2.error as error:
            raise fail(self.text, span, regexps.explain(value, error)) from None

    # -- calls and aggregations ----------------------------------------------------------------------------------

    def _call(self, name: Token) -> ast.Call:
        args = self._arguments()
        function = FUNCTIONS.get(name.text)
        span = ast.Span(name.start, self._closing)
        if function is None:
            raise fail(self.text, span_of(name), f"unknown function with name {go_quote(name.text)}")
        if function.feature and function.feature not in self._features:
            raise fail(self.text, span_of(name), f"function {go_quote(name.text)} is not enabled")
        return ast.Call(name.text, args, span, function.returns)

    def _arguments(self) -> tuple[ast.Expr, ...]:
        self._expect("(")
        if self._accept(")"):
            return ()
        args = [self._expression(0)]
        while (comma := self._accept(",")) is not None:
            if not self._starts_expression(self._peek()):
                raise fail(self.text, span_of(comma), "trailing commas not allowed in function call args")
            args.append(self._expression(0))
        self._expect(")")
        return tuple(args)

    def _starts_expression(self, token: Token) -> bool:
        if token.kind in (Kind.NUMBER, Kind.DURATION, Kind.STRING) or self._names_metric(token):
            return True
        return token.text in ("(", "{", "+", "-")

    def _aggregate(self, op: Token) -> ast.Aggregate:
        self._contexts.append(("aggregation", ""))
        grouping: tuple[str, ...] = ()
        modifier = self._advance() if self._peek().word in ("by", "without") else None
        if modifier is not None:
            grouping = self._labels()
        args = self._arguments()
        self._contexts.pop()
        span = ast.Span(op.start, self._closing)
        if modifier is None and self._peek().word in ("by", "without") and self._peek().kind is Kind.KEYWORD:
            modifier = self._advance()
            grouping = self._labels()
            span = ast.Span(op.start, self._closing)
        return self._new_aggregate(op.word, args, span, grouping, modifier is not None and modifier.word == "without")

    def _new_aggregate(
        self, op: str, args: tuple[ast.Expr, ...], span: ast.Span, grouping: tuple[str, ...], without: bool
    ) -> ast.Aggregate:
        if not args:
            raise fail(self.text, span, "no arguments for aggregate expression provided")
        if op in ("limitk", "limit_ratio") and EXPERIMENTAL not in self._features:
            flag = "must be enabled with --enable-feature=promql-experimental-functions"
            raise fail(self.text, span, f"{op}() is experimental and {flag}")
        wanted = 2 if op in ast.AGGREGATIONS_WITH_PARAM else 1
        if len(args) != wanted:
            wrong = f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(args)}"
            raise fail(self.text, span, wrong)
        return ast.Aggregate(op, args[-1], span, args[0] if wanted == 2 else None, grouping, without)

    def _binary_modifiers(self) -> tuple[bool, ast.VectorMatching]:
        return_bool = self._peek().word == "bool" and self._peek().kind is Kind.KEYWORD
        if return_bool:
            self._advance()
        if self._peek().kind is not Kind.KEYWORD or self._peek().word not in ("on", "ignoring"):
            return return_bool, ast.VectorMatching()
        on = self._advance().word == "on"
        labels = self._labels()
        cardinality = ast.Cardinality.ONE_TO_ONE
        include: tuple[str, ...] = ()
        if self._peek().kind is Kind.KEYWORD and self._peek().word in ("group_left", "group_right"):
            left = self._advance().word == "group_left"
            cardinality = ast.Cardinality.MANY_TO_ONE if left else ast.Cardinality.ONE_TO_MANY
            include = self._labels() if self._peek().text == "(" else ()
        return return_bool, ast.VectorMatching(cardinality, labels, on, include)

    def _labels(self) -> tuple[str, ...]:
        self._expect("(", "grouping opts", '"("')
        labels: list[str] = []
        while self._accept(")") is None:
            labels.append(self._label())
            if self._peek().text != ")":
                self._expect(",", "grouping opts", '"," or ")"')
        return tuple(labels)

    def _label(self) -> str:
        token = self._peek()
        is_word = token.kind in (Kind.KEYWORD, Kind.OPERATOR, Kind.AGGREGATOR, Kind.ANCHOR) and token.word in LABEL_WORDS
        if not is_word and token.kind not in (Kind.IDENTIFIER, Kind.METRIC_IDENTIFIER, Kind.STRING):
            raise self._unexpected("grouping opts", "label")
        self._advance()
        name = unquote(token.text) if token.kind is Kind.STRING else token.text
        if not valid_label_name(name):
            raise fail(self.text, span_of(token), f"invalid label name for grouping: {go_quote(name)}")
        return name


def valid_label_name(name: str) -> bool:
    """Any non-empty text of valid UTF-8 (Prometheus's utf8 scheme)."""
    return name != "" and (name.isascii() or not any(0xD800 <= ord(char) < 0xE000 for char in name))
