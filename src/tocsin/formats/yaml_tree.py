"""YAML text -> plain values that remember where they stood: the one reader of what operators write.

A YAML text is hostile until proved otherwise: aliases may multiply (limit on nodes), nesting may be deep (limit), keys
may repeat (an error), `on` and `12:30` may mean something else than they say (kept as text).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tocsin.errors import ConfigError, Place, Problem

Path = tuple[str | int, ...]

_MOST_NODES = 500_000
_MOST_BY_ALIAS = 50_000
"""How many more values than are written down: a text of a hundred lines may stand for billions."""
_DEEPEST = 60
_MERGE = "tag:yaml.org,2002:merge"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Tree:
    """A document: its values and the place of every node, by path."""

    value: Any
    places: Mapping[Path, Place] = field(default_factory=dict)
    file: str = ""

    def place(self, path: Path) -> Place:
        """Where `path` stands; the nearest enclosing node when it does not stand anywhere itself (a missing key)."""
        for length in range(len(path), -1, -1):
            found = self.places.get(path[:length])
            if found is not None:
                return found
        return Place(self.file, 1)


def path_text(path: Path) -> str:
    """`("checks", 3, "timeout")` -> `checks[3].timeout`."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else str(part)
    return out


def parse_yaml(text: str, file: str) -> Tree:
    """The document with numbers, booleans and null as such. Raises ConfigError with every problem and its place."""
    tree, problems = read_yaml(text, file)
    if problems:
        raise ConfigError(problems)
    return tree


def read_yaml(text: str, file: str, scalar: Callable[[yaml.ScalarNode], Any] | None = None) -> tuple[Tree, list[Problem]]:
    """The document and what is wrong with it; an empty one is an empty mapping, as is one that is not YAML at all.

    scalar: what a leaf becomes; left out, what YAML says it is.
    """
    builder = _Builder(file, scalar or plain)
    try:
        node, written = _compose(text, file)
        builder.most = written + _MOST_BY_ALIAS
        value = {} if node is None else builder.build(node, ())
    except ConfigError as error:
        return Tree({}, {(): Place(file, 1)}, file), error.problems
    return Tree(value, builder.places or {(): Place(file, 1)}, file), builder.problems


def as_written(node: yaml.ScalarNode) -> str | None:
    """A leaf as the text that stands there (`1.10` keeps its zero); None where there is nothing, `~` or `null`."""
    return None if node.tag.endswith(":null") else str(node.value)


def plain(node: yaml.ScalarNode) -> Any:
    """A leaf as None, bool, int, float or text; `on`, `12:30` and what is no number after all stay text."""
    text: str = node.value
    match node.tag.rsplit(":", 1)[-1]:
        case "null":
            return None
        case "bool" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "int" if ":" not in text:
            return _number(text, lambda: int(text, 0))
        case "float" if ":" not in text:
            return _number(text, lambda: float(text.replace("_", "")))
        case _:
            return text


def _number(text: str, parse: Callable[[], int | float]) -> int | float | str:
    try:
        return parse()
    except ValueError:
        return text


def _compose(text: str, file: str) -> tuple[Any, int]:
    """The root node (None of an empty document) and how many values are written down. Raises ConfigError with line and column."""
    if "\x00" in text:
        raise ConfigError(Problem(Place(file, 1), "", "the file contains NUL bytes; expected YAML text"))
    try:
        written = _measure(text, file)
        return yaml.compose(text, Loader=_Loader), written
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(Problem(place, "", f"this is not valid YAML: {what}")) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(Problem(Place(file), "", f"this is not valid YAML: {error}")) from None


def _measure(text: str, file: str) -> int:
    """How many values are written down. Raises ConfigError where they are too many or nested too deeply.

    libyaml's composer recurses in C: 100 KB of `[` would end the process. Reading the events alone costs a quarter of composing.
    """
    values = depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.NodeEvent):
            values += 1
            depth += isinstance(event, yaml.CollectionStartEvent)
            if depth > _DEEPEST or values > _MOST_NODES:
                raise _too_much(_place(event, file), ())
        else:
            depth -= isinstance(event, yaml.CollectionEndEvent)
    return values


def _too_much(place: Place, path: Path) -> ConfigError:
    return ConfigError(Problem(place, path_text(path), "too many or too deeply nested values (aliases count each time)"))


def _place(at: Any, file: str) -> Place:
    """Where a node or an event begins."""
    return Place(file, at.start_mark.line + 1, at.start_mark.column + 1)


class _Builder:
    def __init__(self, file: str, scalar: Callable[[yaml.ScalarNode], Any]) -> None:
        self._file = file
        self._scalar = scalar
        self.most = _MOST_NODES
        """Values that may be built."""
        self._nodes = 0
        self._merging = 0
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []

    def build(self, node: Any, path: Path) -> Any:
        self._count(node, path)
        self.places.setdefault(path, self._place(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._child(item, item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        out: dict[str, Any] = {}
        self._merging += 1
        for source in reversed(list(self._merged(node, path))):
            self._count(source, path)  # what takes itself in, or the same thing twice at each step, would never end
            out.update(self._mapping(source, path))
        self._merging -= 1
        own: set[str] = set()
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(self._place(key_node), path_text(path), "a key must be plain text"))
                continue
            key = str(key_node.value)
            if key in own:
                text = f"the key {key!r} is set twice in the same mapping"
                self.problems.append(Problem(self._place(key_node), path_text((*path, key)), text))
            elif key_node.tag != _MERGE:
                own.add(key)
                out[key] = self._child(key_node, value_node, (*path, key))
        return out

    def _count(self, node: Any, path: Path) -> None:
        self._nodes += 1
        if self._nodes > self.most or len(path) + self._merging > _DEEPEST:
            raise _too_much(self._place(node), path)

    def _child(self, at: Any, node: Any, path: Path) -> Any:
        self.places[path] = self._place(at)
        return self.build(node, path)

    def _merged(self, node: Any, path: Path) -> Iterator[yaml.MappingNode]:
        """The mappings that `<<` takes in, the strongest first; the mapping's own keys win over all of them."""
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                for source in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                    if isinstance(source, yaml.MappingNode):
                        yield source
                    else:
                        text = "expected a mapping to take in, such as <<: *defaults, or a list of them"
                        self.problems.append(Problem(self._place(key_node), path_text((*path, "<<")), text))

    def _place(self, node: Any) -> Place:
        return _place(node, self._file)
