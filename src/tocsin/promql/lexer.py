"""Query text -> tokens, one at a time, with the states of Prometheus's scanner.

    statements ──{──▶ braces ──}──▶ statements
        └──[──▶ duration (until its first number) ──▶ statements, bracket still open ──]──▶

The parser asks for one token when it needs one, because which error comes first depends on it.
"""

from __future__ import annotations

import re

from tocsin.promql.text import go_quote
from tocsin.promql.token import AGGREGATORS, ANCHORS, KEYWORDS, OPERATOR_WORDS, Kind, Token

_SPACE = " \t\n\r"
_DIGITS = "0123456789"
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_:]*|:[A-Za-z0-9_:]*")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?![A-Za-z0-9_.])")
_DURATION_REST = re.compile(r"[smhdwy]s?(?:[0-9]+[smhdw]s?)*(?![A-Za-z0-9_])")
_ALNUM = re.compile(r"[A-Za-z0-9_]")
_TWO_CHARACTER = {"==": Kind.OPERATOR, "!=": Kind.OPERATOR, "<=": Kind.OPERATOR, ">=": Kind.OPERATOR}
_ONE_CHARACTER = {
    ",": Kind.PUNCTUATION, "*": Kind.OPERATOR, "/": Kind.OPERATOR, "%": Kind.OPERATOR, "+": Kind.OPERATOR,
    "-": Kind.OPERATOR, "^": Kind.OPERATOR, "=": Kind.PUNCTUATION, "<": Kind.OPERATOR, ">": Kind.OPERATOR,
    "@": Kind.PUNCTUATION,
}  # fmt: skip


class Lexer:
    """Scanner over one query. `next()` returns EOF or ERROR for ever once it has returned one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._at = 0
        self._parens = 0
        self._braces = False
        self._bracket = False
        self._in_duration = False
        self._colon_seen = False
        self._duration_seen = False
        self._last: Token | None = None

    def next(self) -> Token:
        if self._last is not None:
            return self._last
        token = self._scan()
        if token.kind in (Kind.EOF, Kind.ERROR):
            self._last = token
        return token

    def _scan(self) -> Token:
        self._skip_blanks()
        if self._braces:
            return self._inside_braces()
        if self._in_duration:
            return self._inside_duration()
        return self._statements()

    def _skip_blanks(self) -> None:
        """Spaces and, except right after an opening bracket, comments."""
        text, at = self.text, self._at
        while at < len(text):
            if text[at] in _SPACE:
                at += 1
            elif text[at] == "#" and not self._in_duration:
                while at < len(text) and text[at] not in "\r\n":
                    at += 1
            else:
                break
        self._at = at

    def _take(self, kind: Kind, length: int, word: str = "") -> Token:
        start = self._at
        self._at = start + length
        text = self.text[start : self._at]
        return Token(kind, text, start, word or text)

    def _error(self, message: str, start: int | None = None) -> Token:
        return Token(Kind.ERROR, message, self._at if start is None else start)

    def _statements(self) -> Token:
        text, at = self.text, self._at
        if at >= len(text):
            if self._parens:
                return self._error("unclosed left parenthesis")
            if self._bracket:
                return self._error("unclosed left bracket")
            return Token(Kind.EOF, "", at)
        char = text[at]
        if (two := text[at : at + 2]) in _TWO_CHARACTER:
            return self._take(Kind.OPERATOR, 2)
        if char in "=!":
            return self._lone_equals_or_bang(char, two[1:])
        if char in _ONE_CHARACTER:
            return self._take(_ONE_CHARACTER[char], 1)
        if char in _DIGITS or (char == "." and text[at + 1 : at + 2] in tuple(_DIGITS)):
            return self._number_or_duration()
        if char in "\"'`":
            return self._string(char)
        if char == ":" or char == "_" or (char.isascii() and char.isalpha()):
            return self._colon_in_bracket(char) if self._bracket else self._word()
        return self._bracketing(char)

    def _lone_equals_or_bang(self, char: str, following: str) -> Token:
        if char == "=" and following != "~":
            return self._take(Kind.PUNCTUATION, 1)
        return self._error(f"unexpected character after {go_quote(char, mark=chr(39))}: {_quoted_char(following)}")

    def _colon_in_bracket(self, char: str) -> Token:
        if self._colon_seen:
            return self._error(f"unexpected colon {_quoted_char(char)}")
        self._colon_seen = True
        return self._take(Kind.COLON, 1, ":")

    def _bracketing(self, char: str) -> Token:
        match char:
            case "(":
                self._parens += 1
            case ")":
                self._parens -= 1
                if self._parens < 0:
                    return self._error("unexpected right parenthesis ')'", self._at + 1)
            case "{":
                self._braces = True
            case "[":
                if self._bracket:
                    return self._error("unexpected left bracket '['")
                self._bracket = self._in_duration = True
                self._colon_seen = False
            case "]":
                if not self._bracket:
                    return self._error("unexpected right bracket ']'")
                self._bracket = False
            case _:
                return self._error(f"unexpected character: {_quoted_char(char)}")
        return self._take(Kind.PUNCTUATION, 1)

    def _word(self) -> Token:
        match = _WORD.match(self.text, self._at)
        assert match is not None
        text = match.group()
        lower = text.lower()
        length = len(text)
        if lower in OPERATOR_WORDS:
            return self._take(Kind.OPERATOR, length, lower)
        if lower in AGGREGATORS:
            return self._take(Kind.AGGREGATOR, length, lower)
        if lower in KEYWORDS:
            return self._take(Kind.KEYWORD, length, lower)
        if lower in ANCHORS:
            return self._take(Kind.ANCHOR, length, lower)
        if lower in ("inf", "nan"):
            return self._take(Kind.NUMBER, length)
        return self._take(Kind.METRIC_IDENTIFIER if ":" in text else Kind.IDENTIFIER, length)

    def _inside_braces(self) -> Token:
        text, at = self.text, self._at
        if at >= len(text):
            return self._error("unexpected end of input inside braces")
        char, two = text[at], text[at : at + 2]
        if (match := _LABEL.match(text, at)) is not None:
            return self._take(Kind.IDENTIFIER, len(match.group()))
        if char in "\"'`":
            return self._string(char)
        if two in ("=~", "!~", "!="):
            return self._take(Kind.OPERATOR, 2)
        if char in ",=":
            return self._take(Kind.PUNCTUATION, 1)
        if char == "!":
            return self._error(f"unexpected character after '!' inside braces: {_quoted_char(two[1:])}")
        if char == "{":
            return self._error("unexpected left brace '{'")
        if char == "}":
            self._braces = False
            return self._take(Kind.PUNCTUATION, 1)
        return self._error(f"unexpected character inside braces: {_quoted_char(char)}")

    def _inside_duration(self) -> Token:
        text, at = self.text, self._at
        if at >= len(text):
            return self._error("unexpected end of input in duration expression")
        char = text[at]
        if char in _DIGITS or (char == "." and text[at + 1 : at + 2] in tuple(_DIGITS)):
            self._duration_seen = True
            self._in_duration = False
            return self._number_or_duration()
        if char in "+-*/%^":
            return self._take(Kind.OPERATOR, 1)
        if char == ":":
            if not self._duration_seen:
                return self._error("unexpected colon before duration in duration expression", at + 1)
            if self._colon_seen:
                return self._error("unexpected repeated colon in duration expression", at + 1)
            self._colon_seen = True
            return self._take(Kind.COLON, 1, ":")
        if char in "()]":
            if char == "]":
                self._in_duration = False
            return self._bracketing(char)
        return self._error(f"unexpected character in duration expression: {_quoted_char(char)}")

    def _number_or_duration(self) -> Token:
        if (plain := _PLAIN_NUMBER.match(self.text, self._at)) is not None:
            return self._take(Kind.NUMBER, len(plain.group()))
        end, valid = scan_number(self.text, self._at)
        if valid:
            return self._take(Kind.NUMBER, end - self._at)
        if (rest := _DURATION_REST.match(self.text, end)) is not None:
            return self._take(Kind.DURATION, rest.end() - self._at)
        end = _end_of_bad_duration(self.text, end)
        return self._error(f"bad number or duration syntax: {go_quote(self.text[self._at : end])}")

    def _string(self, mark: str) -> Token:
        text, start = self.text, self._at
        if mark == "`":
            end = text.find("`", start + 1)
            return self._error("unterminated raw string") if end < 0 else self._take(Kind.STRING, end + 1 - start)
        at = start + 1
        while at < len(text) and text[at] != "\n":
            if text[at] == mark:
                return self._take(Kind.STRING, at + 1 - start)
            if text[at] == "\\":
                at, problem = _escape(text, at + 1, mark)
                if problem:
                    return self._error(problem)
            else:
                at += 1
        return self._error("unterminated quoted string")


def scan_number(text: str, at: int) -> tuple[int, bool]:
    """Where a number that starts at `at` ends, and whether it is one. Hexadecimal, exponents and `_` as in Go."""
    start, size = at, len(text)

    def is_in(chars: str) -> bool:
        return at < size and text[at] in chars

    digits = _DIGITS
    if is_in("0"):
        at += 1
        if is_in("xX"):
            at += 1
            digits = "0123456789abcdefABCDEF"
            if is_in("_"):
                at += 1
    if is_in("."):
        at += 1
    if is_in(digits):
        at += 1
    dot = exponent = False
    while is_in(digits + "._eE"):
        if is_in("."):
            at += 1
            if dot or is_in("_.") or len(digits) > 10:
                return (at + 1 if not dot and is_in("_.") else at), False
            dot = True
        elif is_in("eE") and text[at] not in digits:
            at += 1
            if exponent:
                return at, False
            exponent = True
            if is_in("+-"):
                at += 1
            if is_in("._eE") or at >= size:
                return min(at + 1, size), False
        elif is_in("_"):
            at += 1
            if is_in("._eE") or at >= size:
                return min(at + 1, size), False
        else:
            while is_in(digits):
                at += 1
    followed = at < size and _ALNUM.match(text, at) is not None
    return at, at > start and not followed


def _end_of_bad_duration(text: str, at: int) -> int:
    """How far the scanner read before it gave up: the text its error shows."""
    size = len(text)
    if at >= size or text[at] not in "smhdwy":
        return at
    at += 1
    if at < size and text[at] == "s":
        at += 1
    while at < size and text[at] in _DIGITS:
        while at < size and text[at] in _DIGITS:
            at += 1
        if at >= size or text[at] not in "smhdw":
            return at
        at += 1
        if at < size and text[at] == "s":
            at += 1
    return min(at + 1, size)


def _escape(text: str, at: int, mark: str) -> tuple[int, str]:
    """Position behind the escape whose backslash stands before `at`, and what is wrong with it."""
    if at >= len(text):
        return at, "escape sequence not terminated"
    char = text[at]
    if char in "abfnrtv\\" or char == mark:
        return at + 1, ""
    if char in "01234567":
        count, base, highest = 3, 8, 255
    elif char in "xuU":
        count, base, highest = {"x": 2, "u": 4, "U": 8}[char], 16, 255 if char == "x" else 0x10FFFF
        at += 1
    else:
        return at, f"unknown escape sequence U+{ord(char):04X} '{char}'"
    value = 0
    for position in range(at, at + count):
        if position >= len(text):
            return position, "escape sequence not terminated"
        digit = "0123456789abcdef".find(text[position].lower())
        if not 0 <= digit < base:
            bad = text[position]
            return position, f"illegal character U+{ord(bad):04X} '{bad}' in escape sequence"
        value = value * base + digit
    if value > highest or 0xD800 <= value < 0xE000:
        return at + count, "escape sequence is an invalid Unicode code point"
    return at + count, ""


def _quoted_char(char: str) -> str:
    """A character in single quotes; the end of the input shows as the replacement character, as in Go."""
    return go_quote(char or "\ufffd", mark="'")
