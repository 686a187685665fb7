"""Go text/template: text -> tree, with positions.

text {{ action }} text      action: pipeline | if | range | with | template | define | block | break | continue | comment
pipeline: [$x :=] command | command ...      command: operand operand ...      operand: . .A.B $x "s" 1 true nil f (pipeline)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any


class TemplateError(Exception):
    """A template that cannot be read or run. `line` and `column` count from 1; 0 = unknown."""

    def __init__(self, message: str, *, line: int = 0, column: int = 0) -> None:
        super().__init__(f"line {line} column {column}: {message}" if line else message)
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Dot:
    pass


@dataclass(frozen=True, slots=True)
class Variable:
    name: str


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Fields of an operand: `.A.B`, `$x.A`, `(pipe).A`."""

    operand: Any
    fields: tuple[str, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Command:
    operands: tuple[Any, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    variables: tuple[str, ...]
    assign: bool
    commands: tuple[Command, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Action:
    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Branch:
    """if, with or range."""

    kind: str
    pipeline: Pipeline
    then: tuple[Any, ...]
    otherwise: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """{{ template "name" pipeline }}"""

    name: str
    pipeline: Pipeline | None
    offset: int


@dataclass(frozen=True, slots=True)
class Jump:
    """break or continue"""

    kind: str


@dataclass(slots=True)
class Parsed:
    source: str
    nodes: tuple[Any, ...] = ()
    definitions: dict[str, tuple[Any, ...]] = field(default_factory=dict)


_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<char>'(?:[^'\\\n]|\\.)+')"""
    r"""|(?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?))"""
    r"""|(?P<field>\.[A-Za-z_]\w*)|(?P<variable>\$\w*)|(?P<word>[A-Za-z_]\w*)|(?P<symbol>:=|[.|(),=])""",
    re.ASCII,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.S)
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    offset: int
    spaced: bool


def place_of(source: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1."""
    line = source.count("\n", 0, offset) + 1
    return line, offset - (source.rfind("\n", 0, offset) + 1) + 1


def parse_template(source: str, functions: frozenset[str], variables: tuple[str, ...] = ()) -> Parsed:
    """The tree of a template; `variables` are those the caller sets before it runs. Raises TemplateError."""
    return _Parser(source, functions, variables).parse()


class _Parser:
    def __init__(self, source: str, functions: frozenset[str], variables: tuple[str, ...]) -> None:
        self._source = source
        self._functions = functions
        self._known = ["$", *variables]
        self._parts = list(self._split())
        self._at = 0
        self._tokens: list[_Token] = []
        self._parsed = Parsed(source)
        self._depth = 0
        self._loops = 0

    def parse(self) -> Parsed:
        nodes, end = self._list(top=True)
        if end is not None:
            raise self._error(f"unexpected {{{{{end.text}}}}}", end.offset)
        self._parsed.nodes = nodes
        return self._parsed

    def _error(self, message: str, offset: int) -> TemplateError:
        line, column = place_of(self._source, offset)
        return TemplateError(message, line=line, column=column)

    # -- text and actions ---------------------------------------------------------------------------------------------

    def _split(self) -> list[Text | list[_Token]]:
        """Text and token lists in turn, with `{{-` and `-}}` trimming done and comments gone."""
        parts: list[Text | list[_Token]] = []
        at, trim = 0, False
        while True:
            start = self._source.find("{{", at)
            text = self._source[at : start if start >= 0 else len(self._source)]
            text = text.lstrip(" \t\r\n") if trim else text
            if start < 0:
                return [*parts, Text(text)] if text else parts
            left_trim = bool(re.match(r"\{\{-[ \t\r\n]", self._source[start : start + 4]))
            text = text.rstrip(" \t\r\n") if left_trim else text
            if text:
                parts.append(Text(text))
            tokens, at, trim = self._action_tokens(start, start + (3 if left_trim else 2))
            if tokens:
                parts.append(tokens)

    def _action_tokens(self, start: int, at: int) -> tuple[list[_Token], int, bool]:
        comment = re.compile(r"\s*/\*").match(self._source, at)
        if comment:
            end = self._source.find("*/", comment.end())
            close = re.compile(r"(\s+-)?\}\}").match(self._source, end + 2) if end >= 0 else None
            if close is None:
                raise self._error("unclosed comment", start)
            return [], close.end(), close.group(1) is not None
        tokens: list[_Token] = []
        spaced = False
        while True:
            close = re.compile(r"(\s-)?\}\}").match(self._source, at)
            if close:
                if not tokens:
                    raise self._error("missing value for command", start)
                return tokens, close.end(), close.group(1) is not None
            match = _TOKEN.match(self._source, at)
            if match is None:
                if at >= len(self._source):
                    raise self._error("unclosed action", start)
                raise self._error(f"unexpected {self._source[at]!r} in action", at)
            if match.lastgroup == "space":
                spaced = True
                # A space before the closing trim marker belongs to it.
                if re.compile(r"\s-\}\}").match(self._source, match.end() - 1):
                    at = match.end() - 1
                    continue
            else:
                tokens.append(_Token(str(match.lastgroup), match.group(), at, spaced))
                spaced = False
            at = match.end()

    def _list(self, *, top: bool = False) -> tuple[tuple[Any, ...], _Token | None]:
        """Nodes up to `end` or `else` (returned; its further tokens stay in self._tokens) or the end of the text."""
        self._deeper(len(self._source))
        nodes: list[Any] = []
        while self._at < len(self._parts):
            part = self._parts[self._at]
            self._at += 1
            if isinstance(part, Text):
                nodes.append(part)
                continue
            self._tokens = part
            first = part[0]
            if first.kind == "word" and first.text in ("end", "else"):
                self._tokens = part[1:]
                self._depth -= 1
                return tuple(nodes), first
            node = self._action(first, top)
            if node is not None:
                nodes.append(node)
        self._depth -= 1
        return tuple(nodes), None

    def _deeper(self, offset: int) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error("too deeply nested", offset)

    def _action(self, first: _Token, top: bool) -> Any:
        if first.kind != "word":
            return Action(self._pipeline_to_end(first))
        match first.text:
            case "if" | "with" | "range":
                return self._branch(self._next())
            case "define":
                return self._define(self._next(), top)
            case "block":
                return self._block(self._next())
            case "template":
                return self._call(self._next())
            case "break" | "continue":
                if not self._loops:
                    raise self._error(f"{{{{{first.text}}}}} outside {{{{range}}}}", first.offset)
                self._next()
                self._expect_end(first)
                return Jump(first.text)
            case _:
                return Action(self._pipeline_to_end(first))

    def _branch(self, word: _Token) -> Branch:
        scope = len(self._known)
        pipeline = self._pipeline_to_end(word, ranged=word.text == "range")
        self._loops += word.text == "range"
        then, end = self._list()
        self._loops -= word.text == "range"
        otherwise: tuple[Any, ...] = ()
        if end is not None and end.text == "else":
            if self._tokens and self._tokens[0].text in ("if", "with"):
                self._deeper(word.offset)  # Go nests an `else if` in its `else`, and so do we
                otherwise = (self._branch(self._next()),)
                self._depth -= 1
                del self._known[scope:]
                return Branch(word.text, pipeline, then, otherwise)
            self._expect_end(end)
            otherwise, end = self._list()
        if end is None or end.text != "end":
            raise self._error(f"{{{{{word.text}}}}} without {{{{end}}}}", word.offset)
        self._expect_end(end)
        del self._known[scope:]
        return Branch(word.text, pipeline, then, otherwise)

    def _define(self, word: _Token, top: bool) -> None:
        if not top:
            raise self._error("{{define}} inside another action", word.offset)
        name = self._name(word)
        self._expect_end(word)
        self._parsed.definitions[name] = self._body(word)

    def _block(self, word: _Token) -> Call:
        name = self._name(word)
        pipeline = self._pipeline_to_end(word)
        self._parsed.definitions.setdefault(name, self._body(word))
        return Call(name, pipeline, word.offset)

    def _body(self, word: _Token) -> tuple[Any, ...]:
        outer, self._known = self._known, ["$"]
        nodes, end = self._list()
        self._known = outer
        if end is None or end.text != "end":
            raise self._error(f"{{{{{word.text}}}}} without {{{{end}}}}", word.offset)
        return nodes

    def _call(self, word: _Token) -> Call:
        name = self._name(word)
        pipeline = self._pipeline_to_end(word) if self._tokens else None
        return Call(name, pipeline, word.offset)

    def _name(self, word: _Token) -> str:
        if not self._tokens or self._tokens[0].kind != "string":
            raise self._error(f"{{{{{word.text}}}}} needs a name in quotes", word.offset)
        return self._unquote(self._next())

    # -- pipelines ----------------------------------------------------------------------------------------------------

    def _next(self) -> _Token:
        token, self._tokens = self._tokens[0], self._tokens[1:]
        return token

    def _peek(self) -> str:
        return self._tokens[0].text if self._tokens else ""

    def _expect_end(self, word: _Token) -> None:
        if self._tokens:
            raise self._error(f"unexpected {self._tokens[0].text!r} in {{{{{word.text}}}}}", self._tokens[0].offset)

    def _pipeline_to_end(self, word: _Token, *, ranged: bool = False) -> Pipeline:
        pipeline = self._pipeline(word.offset, ranged=ranged)
        self._expect_end(word)
        return pipeline

    def _pipeline(self, offset: int, *, ranged: bool = False) -> Pipeline:
        variables, assign = self._declaration(ranged)
        commands = [self._command(offset)]
        while self._peek() == "|":
            self._next()
            commands.append(self._command(offset))
        for later in commands[1:]:
            if isinstance(later.operands[0], Literal | Dot):
                raise self._error("a literal or the dot cannot take a piped value", later.offset)
        if not assign:
            self._known.extend(variables)
        return Pipeline(tuple(variables), assign, tuple(commands), offset)

    def _declaration(self, ranged: bool) -> tuple[list[str], bool]:
        names = [token for token in self._tokens[:1] if token.kind == "variable"]
        if not names:
            return [], False
        count = 1
        if ranged and len(self._tokens) > 3 and self._tokens[1].text == "," and self._tokens[2].kind == "variable":
            names.append(self._tokens[2])
            count = 3
        if len(self._tokens) <= count or self._tokens[count].text not in (":=", "="):
            return [], False
        assign = self._tokens[count].text == "="
        if assign:
            for name in names:
                self._check_variable(name)
        self._tokens = self._tokens[count + 1 :]
        return [token.text for token in names], assign

    def _command(self, offset: int) -> Command:
        start = self._tokens[0].offset if self._tokens else offset
        operands: list[Any] = []
        while self._tokens and self._peek() not in ("|", ")"):
            operands.append(self._operand())
        if not operands:
            raise self._error("missing value for command", start)
        if len(operands) > 1 and isinstance(operands[0], Literal | Dot):
            raise self._error("cannot give arguments to something that is not a function", start)
        return Command(tuple(operands), start)

    def _operand(self) -> Any:
        token = self._next()
        operand: Any
        match token.kind:
            case "string":
                operand = Literal(self._unquote(token))
            case "char":
                operand = Literal(ord(self._unescape(token.text[1:-1], token)))
            case "number":
                operand = Literal(self._number(token))
            case "field":
                operand = Chain(Dot(), (token.text[1:],), token.offset)
            case "variable":
                self._check_variable(token)
                operand = Variable(token.text)
            case "word":
                operand = self._word(token)
            case _ if token.text == "(":
                self._deeper(token.offset)
                operand = self._pipeline(token.offset)
                self._depth -= 1
                if self._peek() != ")":
                    raise self._error("unclosed left paren", token.offset)
                self._next()
            case _ if token.text == ".":
                operand = Dot()
            case _:
                raise self._error(f"unexpected {token.text!r} in operand", token.offset)
        return self._chained(operand, token)

    def _chained(self, operand: Any, token: _Token) -> Any:
        fields: list[str] = []
        while self._tokens and self._tokens[0].kind == "field" and not self._tokens[0].spaced:
            fields.append(self._next().text[1:])
        if not fields:
            return operand
        if isinstance(operand, Chain):
            return Chain(operand.operand, (*operand.fields, *fields), token.offset)
        return Chain(operand, tuple(fields), token.offset)

    def _word(self, token: _Token) -> Any:
        match token.text:
            case "true" | "false":
                return Literal(token.text == "true")
            case "nil":
                return Literal(None)
        if token.text not in self._functions:
            raise self._error(f"function {token.text!r} not defined", token.offset)
        return Function(token.text, token.offset)

    def _check_variable(self, token: _Token) -> None:
        if token.text not in self._known:
            raise self._error(f"undefined variable {token.text!r}", token.offset)

    def _number(self, token: _Token) -> int | float:
        text = token.text.replace("_", "")
        try:
            return int(text, 0 if re.match(r"[+-]?0[xXbBoO]", text) else 10)
        except ValueError:
            return float(text)

    def _unquote(self, token: _Token) -> str:
        body = token.text[1:-1]
        return body if token.text[0] == "`" else self._unescape(body, token)

    def _unescape(self, body: str, token: _Token) -> str:
        def one(match: re.Match[str]) -> str:
            code = match.group(1)
            if code[0] in "xuU" and len(code) > 1:
                return chr(int(code[1:], 16))
            if len(code) == 3:
                return chr(int(code, 8))
            if code not in _SIMPLE:
                raise self._error(f"unknown escape \\{code}", token.offset)
            return _SIMPLE[code]

        return _ESCAPE.sub(one, body)
