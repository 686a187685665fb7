"""Alertmanager's matcher language: `{a="b", c=~"d.*"}`.

Two grammars, as in Alertmanager's default mode: the UTF-8 grammar first (any rune may stand in a name; names and values may be
quoted), the classic one where the first refuses the text. Where both accept it but read it differently, the classic one rules.
Behaviour pinned by tests/formats/test_matchers.py against the real binary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import re2

from tocsin.model.labels import Matcher, MatchOp

_RESERVED = frozenset("{}!=~,\\\"'`")
_SIMPLE_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_CLASSIC = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|=|!=|!~)\s*(.*?)\s*\Z", re.ASCII | re.DOTALL)
_OP_ORDER = {op: index for index, op in enumerate((MatchOp.EQUAL, MatchOp.NOT_EQUAL, MatchOp.REGEX, MatchOp.NOT_REGEX))}
MAX_MATCHER_LENGTH = 16_384
"""Longest matcher text that is read; longer regular expressions are an attack, not a filter."""


class MatcherError(ValueError):
    """The text is not a matcher; the message is what a person should read."""


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """Zero or more matchers, with or without braces. Raises MatcherError with the classic grammar's complaint."""
    _check_length(text)
    try:
        matchers = _Utf8Parser(text).parse()
    except MatcherError:
        return _classic_matchers(text)
    try:
        classic = _classic_matchers(text)
    except MatcherError:
        return matchers
    return matchers if matchers == classic else classic


def parse_matcher(text: str) -> Matcher:
    """Exactly one matcher without braces, as in the list form of alertmanager.yml. Raises MatcherError."""
    _check_length(text)
    if text.startswith("{") or text.endswith("}"):
        raise MatcherError(f"unexpected open or close brace: {text}")
    try:
        matchers = _Utf8Parser(text).parse()
        if len(matchers) != 1:
            raise MatcherError(f"expected 1 matcher, found {len(matchers)}")
    except MatcherError:
        return _classic_matcher(text)
    try:
        return _classic_matcher(text)
    except MatcherError:
        return matchers[0]


def make_matcher(name: str, op: MatchOp, value: str) -> Matcher:
    """A matcher, with a bad regular expression reported as MatcherError."""
    _check_length(value)
    try:
        return Matcher(name, op, value)
    except re2.error as error:
        raise MatcherError(f"error parsing regexp: {_text(error)}: `{value}`") from None


def format_matcher(matcher: Matcher) -> str:
    """As Alertmanager prints it; what it prints, both grammars read back."""
    value = matcher.value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    if any(_reserved(c) for c in matcher.name):
        name = matcher.name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{name}"{matcher.op.value}"{value}"'
    return f'{matcher.name}{matcher.op.value}"{value}"'


def format_matchers(matchers: Iterable[Matcher]) -> str:
    return "{" + ",".join(map(format_matcher, matchers)) + "}"


def sort_matchers(matchers: Iterable[Matcher]) -> tuple[Matcher, ...]:
    """Alertmanager's order: by name, then value, then operator."""
    return tuple(sorted(matchers, key=lambda m: (m.name, m.value, _OP_ORDER[m.op])))


def _check_length(text: str) -> None:
    if len(text) > MAX_MATCHER_LENGTH:
        raise MatcherError(f"matcher is {len(text)} characters long, at most {MAX_MATCHER_LENGTH} are accepted")


def _text(error: Exception) -> str:
    detail = error.args[0] if error.args else ""
    return detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)


def _reserved(char: str) -> bool:
    return char.isspace() or char in _RESERVED


# -- the UTF-8 grammar ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """One of `{ } , = != =~ !~ quoted unquoted end`."""
    text: str
    position: int


class _Utf8Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def parse(self) -> tuple[Matcher, ...]:
        matchers: list[Matcher] = []
        braces = self._peek().kind == "{"
        if braces:
            self._next()
        while self._peek().kind not in ("}", "end"):
            matchers.append(self._matcher())
            if self._peek().kind == ",":
                self._next()
            elif self._peek().kind not in ("}", "end"):
                self._fail(self._peek(), "expected a comma or close brace")
        if braces:
            self._expect(("}",), "expected close brace")
        self._expect(("end",), "expected end of input")
        return tuple(matchers)

    def _matcher(self) -> Matcher:
        name = self._unquote(self._expect(("quoted", "unquoted"), "expected label name"))
        op = self._expect(("=", "!=", "=~", "!~"), "expected an operator such as '=', '!=', '=~' or '!~'")
        value = self._unquote(self._expect(("quoted", "unquoted"), "expected label value"))
        return make_matcher(name, MatchOp(op.kind), value)

    def _expect(self, kinds: tuple[str, ...], complaint: str) -> _Token:
        token = self._next()
        if token.kind not in kinds:
            self._fail(token, complaint)
        return token

    def _fail(self, token: _Token, complaint: str) -> None:
        shown = "end of input" if token.kind == "end" else token.text
        raise MatcherError(f"{token.position}:{token.position + len(token.text)}: {shown}: {complaint}")

    def _peek(self) -> _Token:
        before = self._position
        token = self._next()
        self._position = before
        return token

    def _next(self) -> _Token:
        text, at = self._text, self._position
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text):
            self._position = at
            return _Token("end", "", at)
        end, kind = self._measure(at)
        self._position = end
        return _Token(kind, text[at:end], at)

    def _measure(self, at: int) -> tuple[int, str]:
        """End and kind of the token that starts at `at`."""
        text = self._text
        char = text[at]
        if char in "{},":
            return at + 1, char
        if char in "=!":
            for op in ("=~", "!=", "!~", "="):
                if text.startswith(op, at):
                    return at + len(op), op
            raise MatcherError(f"{at}:{at + 1}: {char}: expected one of '=~'")
        if char == '"':
            end = at + 1
            while end < len(text) and text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            if end >= len(text):
                raise MatcherError(f'{at}:{len(text)}: {text[at:]}: missing end "')
            return end + 1, "quoted"
        if _reserved(char):
            raise MatcherError(f"{at}:{at + 1}: {char}: invalid input")
        end = at
        while end < len(text) and not _reserved(text[end]):
            end += 1
        return end, "unquoted"

    def _unquote(self, token: _Token) -> str:
        if token.kind == "unquoted":
            return token.text
        value = _go_unquote(token.text[1:-1])
        if value is None:
            self._fail(token, "invalid input")
        return value or ""


def _go_unquote(body: str) -> str | None:
    """Undo Go's escapes of a double-quoted string; None where Go refuses it."""
    if "\n" in body:
        return None
    if "\\" not in body:
        return body
    out = bytearray()
    at = 0
    while at < len(body):
        char = body[at]
        at += 1
        if char != "\\":
            out += char.encode("utf-8", "surrogatepass")
            continue
        escape = body[at : at + 1]
        at += 1
        if escape in _SIMPLE_ESCAPES and escape:
            out += _SIMPLE_ESCAPES[escape].encode()
            continue
        digits, base = {"x": (2, 16), "u": (4, 16), "U": (8, 16)}.get(escape, (3, 8))
        if base == 8:
            at -= 1
        number = body[at : at + digits]
        at += digits
        if len(number) != digits or not re.fullmatch(r"[0-7]+" if base == 8 else r"[0-9a-fA-F]+", number):
            return None
        code = int(number, base)
        if escape in ("u", "U"):
            if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                return None
            out += chr(code).encode()
        elif code > 255:
            return None
        else:
            out.append(code)
    try:
        return out.decode()
    except UnicodeDecodeError:
        return None


# -- the classic grammar --------------------------------------------------------------------------------------------------


def _classic_matchers(text: str) -> tuple[Matcher, ...]:
    text = text.removeprefix("{").removesuffix("}")
    tokens: list[str] = []
    token: list[str] = []
    quoted = escaped = False
    for char in text:
        if char == "," and not quoted:
            tokens.append("".join(token))
            token.clear()
            continue
        if char == '"':
            quoted, escaped = (quoted, False) if escaped else (not quoted, False)
        elif char == "\\":
            escaped = not escaped
        else:
            escaped = False
        token.append(char)
    if last := "".join(token).strip():
        tokens.append(last)
    return tuple(map(_classic_matcher, tokens))


def _classic_matcher(text: str) -> Matcher:
    match = _CLASSIC.match(text)
    if match is None:
        raise MatcherError(f"bad matcher format: {text}")
    name, op, raw = match.groups()
    return make_matcher(name, MatchOp(op), _classic_value(raw))


def _classic_value(raw: str) -> str:
    """Unescape `\\n`, `\\"` and `\\\\`; any other backslash is itself. A quote may only be the first and the last character."""
    quoted = raw.startswith('"')
    body = raw[1:] if quoted else raw
    out: list[str] = []
    at = 0
    closed = not quoted
    while at < len(body):
        char = body[at]
        at += 1
        if char == "\\" and at < len(body):
            escape = body[at]
            at += 1
            out.append("\n" if escape == "n" else escape if escape in '"\\' else "\\" + escape)
        elif char == '"':
            if not quoted or at < len(body):
                raise MatcherError(f"matcher value contains unescaped double quote: {raw}")
            closed = True
        else:
            out.append(char)
    if not closed:
        raise MatcherError(f"matcher value contains unescaped double quote: {raw}")
    return "".join(out)
