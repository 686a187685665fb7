"""Numbers, durations and arithmetic between durations: `[5m * 2]`, `offset -(1h + 30m)`."""

from __future__ import annotations

import dataclasses

from tocsin.promql import ast, durations
from tocsin.promql.cursor import Cursor, span_of
from tocsin.promql.errors import fail
from tocsin.promql.text import go_quote
from tocsin.promql.token import Kind, Token

PRECEDENCE = {
    "or": 1, "and": 2, "unless": 2,
    "==": 3, ">=": 3, ">": 3, "<": 3, "<=": 3, "!=": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "atan2": 5, "^": 6,
}  # fmt: skip
UNARY = PRECEDENCE["*"] + 1
"""A sign binds like a product, so its operand holds powers only: -2^2 = -(2^2)."""
Duration = ast.NumberLiteral | ast.DurationExpr


class DurationGrammar(Cursor):
    """Plain durations are always allowed, arithmetic only with `promql-duration-expr`."""

    def _number(self) -> ast.NumberLiteral:
        token = self._advance()
        if token.kind is Kind.DURATION:
            return ast.NumberLiteral(self._duration_seconds(token), span_of(token), duration=True)
        return ast.NumberLiteral(self._number_value(token), span_of(token))

    def _duration_seconds(self, token: Token) -> float:
        try:
            return durations.parse_seconds(token.text)
        except ValueError as error:
            raise fail(self.text, span_of(token), str(error)) from None

    def _number_value(self, token: Token) -> float:
        try:
            return durations.parse_number(token.text)
        except ValueError:
            message = f"error parsing number: strconv.ParseFloat: parsing {go_quote(token.text)}: invalid syntax"
        except OverflowError:
            message = f"error parsing number: strconv.ParseFloat: parsing {go_quote(token.text)}: value out of range"
        raise fail(self.text, span_of(self._ahead or token), message)

    def _positive_duration(self, context: str, expected: str) -> Duration:
        self._contexts.append((context, expected))
        amount = self._duration(0)
        self._contexts.pop()
        if isinstance(amount, ast.NumberLiteral) and amount.value <= 0:
            raise fail(self.text, amount.span, "duration must be greater than 0")
        return amount

    def _offset_amount(self) -> Duration:
        """A plain number or duration ends the offset (`foo offset -2^2` is a power of foo); a parenthesis opens arithmetic."""
        self._contexts.append(("offset", "number or duration"))
        sign = self._advance() if self._peek().text in ("+", "-") else None
        if self._peek().kind in (Kind.NUMBER, Kind.DURATION):
            amount: Duration = self._signed_duration(sign, self._number())
        elif sign is None:
            amount = self._duration(0)
        else:
            amount = self._duration_operators(self._signed_duration(sign, self._duration(UNARY)), 0)
        self._contexts.pop()
        return amount

    def _duration(self, least: int) -> Duration:
        token = self._peek()
        left: Duration
        if token.kind in (Kind.NUMBER, Kind.DURATION):
            left = self._in_range(self._number())
        elif token.text in ("+", "-") and token.kind is Kind.OPERATOR:
            self._advance()
            left = self._signed_duration(token, self._duration(UNARY))
        elif token.text == "(":
            left = self._wrapped_duration()
        else:
            raise self._unexpected()
        return self._duration_operators(left, least)

    def _duration_operators(self, left: Duration, least: int) -> Duration:
        while True:
            token = self._peek()
            precedence = PRECEDENCE[token.text] if token.text in ("+", "-", "*", "/", "%", "^") else 0
            if precedence == 0 or precedence < least:
                return left
            self._advance()
            right = self._duration(precedence if token.text == "^" else precedence + 1)
            self._needs_duration_feature(left)
            if token.text in "/%" and isinstance(right, ast.NumberLiteral) and right.value == 0:
                raise fail(self.text, span_of(token), "division by zero" if token.text == "/" else "modulo by zero")
            left = ast.DurationExpr(token.text, left, right, ast.Span(left.span.start, right.span.end))

    def _wrapped_duration(self) -> Duration:
        self._advance()
        inner = self._duration(0)
        self._expect(")")
        self._needs_duration_feature(inner)
        return dataclasses.replace(inner, wrapped=True) if isinstance(inner, ast.DurationExpr) else inner

    def _signed_duration(self, sign: Token | None, amount: Duration) -> Duration:
        if sign is None:
            return self._in_range(amount)
        span = ast.Span(sign.start, amount.span.end)
        if isinstance(amount, ast.DurationExpr):
            return amount if sign.text == "+" else ast.DurationExpr("-", None, amount, span)
        value = -amount.value if sign.text == "-" else amount.value
        return self._in_range(dataclasses.replace(amount, value=value, span=span))

    def _in_range(self, amount: Duration) -> Duration:
        if isinstance(amount, ast.NumberLiteral) and abs(amount.value) > 2**63 / 1e9:
            raise fail(self.text, amount.span, "duration out of range")
        return amount

    def _needs_duration_feature(self, expr: Duration) -> None:
        if "promql-duration-expr" not in self._features:
            raise fail(self.text, expr.span, "experimental duration expression is not enabled")
