"""Go text/template, the subset that Prometheus rules and Alertmanager receivers use, run under limits.

`compile_template(text, functions)` reads (TemplateError with line and column where it cannot); `Template.run(data)` expands.
Values are plain: str, int, float, bool, None, mappings, sequences, and objects with `template_field(name)`. Work, output
and depth are limited, so that no template can hang the caller.
"""

from __future__ import annotations

import html
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from tocsin.formats.goformat import go_text, sprintf
from tocsin.formats.gotemplate_parse import (
    Action,
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Function,
    Jump,
    Literal,
    Parsed,
    Pipeline,
    TemplateError,
    Text,
    Variable,
    parse_template,
    place_of,
)

__all__ = ["Fields", "Limits", "Template", "TemplateError", "compile_template"]

Functions = Mapping[str, Callable[..., Any]]


@runtime_checkable
class Fields(Protocol):
    """An object whose fields (and niladic methods) a template may ask for. Raises KeyError for an unknown one."""

    def template_field(self, name: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What one expansion may cost: steps of work, characters of output, nested template calls."""

    steps: int = 100_000
    output: int = 1_000_000
    depth: int = 50


class Template:
    """A template that was read without error. Immutable and shareable between threads."""

    def __init__(self, parsed: Parsed, functions: Functions, library: Mapping[str, Parsed]) -> None:
        self._parsed = parsed
        self._functions = functions
        self._definitions: dict[str, tuple[Parsed, tuple[Any, ...]]] = {}
        for source in (*library.values(), parsed):
            self._definitions.update({name: (source, nodes) for name, nodes in source.definitions.items()})
        self.constant = not parsed.definitions and all(isinstance(node, Text) for node in parsed.nodes)
        """Only text inside: every expansion is the same."""

    @property
    def source(self) -> str:
        return self._parsed.source

    def missing(self) -> str:
        """The first template that an expansion may call and nobody defines; empty = none."""
        seen: set[str] = set()
        waiting = list(self._parsed.nodes)
        while waiting:
            node = waiting.pop()
            if isinstance(node, Branch):
                waiting += (*node.then, *node.otherwise)
            elif isinstance(node, Call) and node.name not in seen:
                if node.name not in self._definitions:
                    return node.name
                seen.add(node.name)
                waiting += self._definitions[node.name][1]
        return ""

    def run(
        self,
        data: Any,
        *,
        variables: Mapping[str, Any] | None = None,
        functions: Functions | None = None,
        limits: Limits = Limits(),
    ) -> str:
        """Expand. `variables` by name with `$`; `functions` replace those given at compile time. Raises TemplateError."""
        if self.constant:
            return "".join(node.text for node in self._parsed.nodes)
        run = _Run({**self._functions, **(functions or {})}, self._definitions, limits)
        scope = {name: [value] for name, value in {"$": data, **(variables or {})}.items()}
        run.walk_all(self._parsed, self._parsed.nodes, data, scope)
        return "".join(run.out)


def compile_template(
    text: str,
    functions: Functions,
    *,
    variables: tuple[str, ...] = (),
    library: Mapping[str, str] | None = None,
) -> Template:
    """Read a template. `library`: further texts by file name whose `define`s it may call. Raises TemplateError."""
    names = frozenset(functions) | frozenset(_BUILTINS) | {"and", "or"}
    sources = {name: parse_template(body, names) for name, body in (library or {}).items()}
    return Template(parse_template(text, names, variables), {**_BUILTINS, **functions}, sources)


class _Jumped(Exception):
    def __init__(self, kind: str) -> None:
        self.kind = kind


# Variables by name. A value sits in a list of one: an inner block copies the map, so that what it declares stays inside, and
# shares the lists, so that what it assigns to an outer variable stays.
_Scope = dict[str, list[Any]]


class _Run:
    """One expansion."""

    def __init__(self, functions: Functions, definitions: Mapping[str, tuple[Parsed, tuple[Any, ...]]], limits: Limits) -> None:
        self._functions = functions
        self._definitions = definitions
        self._limits = limits
        self._steps = 0
        self._size = 0
        self._depth = 0
        self._source = ""
        self.out: list[str] = []

    def walk_all(self, parsed: Parsed, nodes: Sequence[Any], dot: Any, scope: _Scope) -> None:
        outer, self._source = self._source, parsed.source
        self._walk(nodes, dot, scope)
        self._source = outer

    def _error(self, message: str, offset: int) -> TemplateError:
        line, column = place_of(self._source, offset)
        return TemplateError(message, line=line, column=column)

    def _step(self) -> None:
        self._steps += 1
        if self._steps > self._limits.steps:
            raise TemplateError(f"template does too much work (limit {self._limits.steps} steps)")

    def _write(self, text: str) -> None:
        self._size += len(text)
        if self._size > self._limits.output:
            raise TemplateError(f"template writes too much (limit {self._limits.output} characters)")
        self.out.append(text)

    def _walk(self, nodes: Sequence[Any], dot: Any, scope: _Scope) -> None:
        for node in nodes:
            self._step()
            match node:
                case Text(text):
                    self._write(text)
                case Action(pipeline):
                    value = self._pipeline(pipeline, dot, scope)
                    if not pipeline.variables:
                        self._write(go_text(value))
                case Branch(kind="range"):
                    self._range(node, dot, scope)
                case Branch():
                    inner = dict(scope)
                    value = self._pipeline(node.pipeline, dot, inner)
                    true = truth(value)
                    into = value if node.kind == "with" and true else dot
                    self._walk(node.then if true else node.otherwise, into, inner)
                case Call():
                    self._call(node, dot, scope)
                case Jump(kind):
                    raise _Jumped(kind)

    def _range(self, node: Branch, dot: Any, scope: _Scope) -> None:
        bare = Pipeline((), False, node.pipeline.commands, node.pipeline.offset)
        value = self._pipeline(bare, dot, scope)
        names, assign = node.pipeline.variables, node.pipeline.assign
        empty = True
        for key, item in self._pairs(value, node.pipeline.offset):
            empty = False
            self._step()
            body = dict(scope)
            for name, part in zip(names, (item,) if len(names) == 1 else (key, item), strict=False):
                _set(body, name, part, assign=assign)
            try:
                self._walk(node.then, item, body)
            except _Jumped as jump:
                if jump.kind == "break":
                    break
        if empty:
            self._walk(node.otherwise, dot, dict(scope))

    def _pairs(self, value: Any, offset: int) -> Iterator[tuple[Any, Any]]:
        match value:
            case None:
                return iter(())
            case Mapping():
                return iter([(key, value[key]) for key in sorted(value)])
            case bool() | float() | str():
                raise self._error(f"range can't iterate over {go_text(value)}", offset)
            case int():
                return ((i, i) for i in range(value))
            case Sequence():
                return iter(list(enumerate(value)))
            case _:
                raise self._error(f"range can't iterate over {go_text(value)}", offset)

    def _call(self, node: Call, dot: Any, scope: _Scope) -> None:
        if node.name not in self._definitions:
            raise self._error(f"template {node.name!r} not defined", node.offset)
        if self._depth >= self._limits.depth:
            raise self._error(f"templates call each other too deeply (limit {self._limits.depth})", node.offset)
        data = self._pipeline(node.pipeline, dot, scope) if node.pipeline is not None else None
        parsed, nodes = self._definitions[node.name]
        self._depth += 1
        self.walk_all(parsed, nodes, data, {"$": [data]})
        self._depth -= 1

    # -- values -------------------------------------------------------------------------------------------------------

    def _pipeline(self, pipeline: Pipeline, dot: Any, scope: _Scope) -> Any:
        value: Any = _NOTHING
        for command in pipeline.commands:
            value = self._command(command, dot, scope, value)
        for name in pipeline.variables:
            _set(scope, name, value, assign=pipeline.assign)
        return value

    def _command(self, command: Command, dot: Any, scope: _Scope, piped: Any) -> Any:
        self._step()
        first, *rest = command.operands
        if isinstance(first, Function):
            return self._function(first, rest, dot, scope, piped)
        value = self._value(first, dot, scope)
        if callable(value):
            return self._apply(value, "method", [*self._values(rest, dot, scope), *_given(piped)], command.offset)
        if rest or piped is not _NOTHING:
            raise self._error("cannot give arguments to something that is not a function", command.offset)
        return value

    def _function(self, function: Function, rest: list[Any], dot: Any, scope: _Scope, piped: Any) -> Any:
        if function.name in ("and", "or"):
            return self._short_circuit(function, rest, dot, scope, piped)
        arguments = [*self._values(rest, dot, scope), *_given(piped)]
        return self._apply(self._functions[function.name], function.name, arguments, function.offset)

    def _short_circuit(self, function: Function, rest: list[Any], dot: Any, scope: _Scope, piped: Any) -> Any:
        if not rest and piped is _NOTHING:
            raise self._error(f"wrong number of args for {function.name}: want at least 1 got 0", function.offset)
        value: Any = None
        for operand in rest:
            value = self._value(operand, dot, scope)
            if truth(value) == (function.name == "or"):
                return value
        return value if piped is _NOTHING else piped

    def _values(self, operands: Sequence[Any], dot: Any, scope: _Scope) -> list[Any]:
        values = []
        for operand in operands:
            value = (
                self._function(operand, [], dot, scope, _NOTHING)
                if isinstance(operand, Function)
                else self._value(operand, dot, scope)
            )
            values.append(value() if callable(value) else value)
        return values

    def _apply(self, function: Callable[..., Any], name: str, arguments: list[Any], offset: int) -> Any:
        try:
            return function(*arguments)
        except TemplateError as error:
            raise error if error.line else self._error(error.message, offset) from error
        except Exception as error:  # whatever a function does with odd arguments is the template's error, not ours
            raise self._error(f"error calling {name}: {error}", offset) from error

    def _value(self, operand: Any, dot: Any, scope: _Scope) -> Any:
        self._step()
        match operand:
            case Dot():
                return dot
            case Literal(value):
                return value
            case Variable(name):
                return scope[name][0]
            case Pipeline():
                return self._pipeline(operand, dot, scope)
            case Function():
                return self._function(operand, [], dot, scope, _NOTHING)
            case Chain(inner, fields, offset):
                return self._fields(self._value(inner, dot, scope), fields, offset)
        raise AssertionError(operand)

    def _fields(self, value: Any, names: Sequence[str], offset: int) -> Any:
        for name in names:
            value = value() if callable(value) else value
            # Not isinstance(value, Fields): that looks through all of the protocol's attributes each time.
            own = getattr(type(value), "template_field", None)
            if own is not None:
                try:
                    value = own(value, name)
                except KeyError:
                    raise self._error(f"can't evaluate field {name}", offset) from None
                continue
            match value:
                case Mapping():
                    value = _entry(value, name)
                case None:
                    raise self._error(f"nil data; no entry for key {name!r}", offset)
                case _:
                    raise self._error(f"can't evaluate field {name} in {go_text(value)[:40]!r}", offset)
        return value


_NOTHING: Any = object()


def _set(scope: _Scope, name: str, value: Any, *, assign: bool) -> None:
    if assign:
        scope[name][0] = value
    else:
        scope[name] = [value]


def _given(piped: Any) -> tuple[Any, ...]:
    return () if piped is _NOTHING else (piped,)


def _entry(value: Mapping[Any, Any], name: str) -> Any:
    """A missing key is the zero value (option missingkey=zero): "" in a map of texts."""
    if name in value:
        return value[name]
    return "" if all(isinstance(item, str) for item in value.values()) else None


def truth(value: Any) -> bool:
    """Go's: false, 0, nil and whatever is empty are not true."""
    if isinstance(value, Fields) and not isinstance(value, Mapping | Sequence):
        return True
    return bool(value)


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
        case str():
            return "string"
    raise TemplateError("incompatible types for comparison")


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    for other in others:
        if first is None or other is None:
            if first is other:
                return True
        elif _kind(first) != _kind(other):
            raise TemplateError("incompatible types for comparison")
        elif first == other:
            return True
    return False


def _less(a: Any, b: Any) -> bool:
    if _kind(a) != _kind(b):
        raise TemplateError("incompatible types for comparison")
    if isinstance(a, bool):
        raise TemplateError("invalid type for comparison")
    return bool(a < b)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping) and isinstance(key, str):
            value = _entry(value, key)
        elif isinstance(value, Sequence) and isinstance(key, int) and not isinstance(key, bool):
            if not 0 <= key < len(value):
                raise TemplateError(f"index out of range: {key}")
            value = value[key] if not isinstance(value, str) else ord(value[key])
        else:
            raise TemplateError(f"can't index {go_text(value)[:40]!r} with {go_text(key)}")
    return value


def _slice(value: Any, *bounds: int) -> Any:
    if not isinstance(value, Sequence) or any(not 0 <= bound <= len(value) for bound in bounds):
        raise TemplateError("slice: index out of range")
    start, end = (*bounds, len(value))[:2] if len(bounds) < 2 else bounds[:2]
    return value[start if bounds else 0 : end]


def _sprint(*values: Any) -> str:
    """fmt.Sprint: a space between neighbours when neither is a string."""
    out = ""
    for i, value in enumerate(values):
        if i and not isinstance(value, str) and not isinstance(values[i - 1], str):
            out += " "
        out += go_text(value)
    return out


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Mapping | Sequence):
        return len(value)
    raise TemplateError(f"len of {go_text(value)[:40]!r}")


_BUILTINS: dict[str, Callable[..., Any]] = {
    "not": lambda value: not truth(value),
    "eq": _equal,
    "ne": lambda a, b: not _equal(a, b),
    "lt": _less,
    "le": lambda a, b: _less(a, b) or _equal(a, b),
    "gt": lambda a, b: not (_less(a, b) or _equal(a, b)),
    "ge": lambda a, b: not _less(a, b),
    "len": _length,
    "index": _index,
    "slice": _slice,
    "print": _sprint,
    "println": lambda *values: " ".join(map(go_text, values)) + "\n",
    "printf": lambda form, *values: sprintf(form, values),
    "html": lambda *values: html.escape(_sprint(*values)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "urlquery": lambda *values: urllib.parse.quote_plus(_sprint(*values)),
    "js": lambda *values: _js(_sprint(*values)),
}


def _js(text: str) -> str:
    special = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}
    return "".join(special.get(c, c if c.isprintable() else f"\\u{ord(c):04X}") for c in text)
