"""Where a parser stands in its text: one token ahead, and the errors it can raise there."""

from __future__ import annotations

from collections.abc import Collection

from tocsin.errors import ParseError
from tocsin.promql.ast import Span
from tocsin.promql.errors import fail
from tocsin.promql.lexer import Lexer
from tocsin.promql.token import Kind, Token

_NO_CONTEXT = ("", "")


class Cursor:
    """`_contexts` are the constructs around the next token that have a wording of their own for what is unexpected."""

    def __init__(self, text: str, features: Collection[str] = ()) -> None:
        self.text = text
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise fail(text, Span(error.start, len(text)), "invalid UTF-8 rune") from None
        self._lexer = Lexer(text)
        self._features = features
        self._ahead: Token | None = None
        self._contexts: list[tuple[str, str]] = [_NO_CONTEXT]
        self._closing = 0
        self._depth = 0

    def _peek(self) -> Token:
        if self._ahead is None:
            self._ahead = self._lexer.next()
            if self._ahead.kind is Kind.ERROR:
                raise fail(self.text, Span(self._ahead.start, len(self.text)), self._ahead.text)
        return self._ahead

    def _advance(self) -> Token:
        token = self._peek()
        self._ahead = None
        if token.text in (")", "}", "]") or token.kind in (Kind.DURATION, Kind.NUMBER):
            self._closing = token.end
        return token

    def _accept(self, text: str) -> Token | None:
        token = self._peek()
        return self._advance() if token.text == text and token.kind is not Kind.STRING else None

    def _expect(self, text: str, context: str | None = None, expected: str = "") -> Token:
        return self._accept(text) or self._give_up(context, expected)

    def _give_up(self, context: str | None, expected: str) -> Token:
        raise self._unexpected(context, expected)

    def _unexpected(self, context: str | None = None, expected: str = "") -> ParseError:
        """The error about the next token; without a context that of the innermost construct it stands in."""
        token = self._peek()
        if context is None:
            context, expected = self._contexts[-1]
        message = f"unexpected {token.describe()}"
        message += f" in {context}" if context else ""
        message += f", expected {expected}" if expected else ""
        return fail(self.text, span_of(token), message)


def span_of(token: Token) -> Span:
    return Span(token.start, token.end)
