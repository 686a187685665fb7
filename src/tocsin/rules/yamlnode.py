"""YAML with places: a thin reader over PyYAML's nodes that collects problems instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import yaml

from tocsin.errors import Place, Problem
from tocsin.model.duration import parse_duration_ms

T = TypeVar("T")
_NULL = "tag:yaml.org,2002:null"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Reader:
    """Reads one YAML text; what is wrong lands in `problems` with line and field path."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def compose(self, text: str) -> yaml.Node | None:
        """The root node; None (and a problem) where the text is not YAML, None where it is empty."""
        try:
            return yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(self.file, mark.line + 1, mark.column + 1) if mark else Place(self.file)
            self.problems.append(Problem(place, "", f"not valid YAML: {error.problem or error.context}"))
        except yaml.YAMLError as error:
            self.problems.append(Problem(Place(self.file), "", f"not valid YAML: {error}"))
        return None

    def place(self, node: yaml.Node) -> Place:
        return Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def refuse(self, node: yaml.Node, path: str, message: str) -> None:
        self.problems.append(Problem(self.place(node), path, message))

    def mapping(self, node: yaml.Node, path: str, allowed: set[str] | None = None) -> dict[str, yaml.Node]:
        """The entries of a map; unknown and repeated keys are problems. Null reads as an empty map."""
        if is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.refuse(node, path, "expected a map")
            return {}
        entries: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name in entries:
                self.refuse(key, _join(path, name), f"key {name!r} is given twice")
            elif allowed is not None and name not in allowed:
                self.refuse(key, _join(path, name), f"unknown key {name!r}; expected one of {', '.join(sorted(allowed))}")
            else:
                entries[name] = value
        return entries

    def items(self, node: yaml.Node | None, path: str) -> Iterator[tuple[str, yaml.Node]]:
        """(path, node) of each entry of a list; null reads as an empty list."""
        if node is None or is_null(node):
            return
        if not isinstance(node, yaml.SequenceNode):
            self.refuse(node, path, "expected a list")
            return
        for index, item in enumerate(node.value):
            yield f"{path}[{index}]", item

    def text(self, node: yaml.Node | None, path: str) -> str:
        """A scalar as written; numbers and booleans count as their text, null as empty."""
        if node is None or is_null(node):
            return ""
        if not isinstance(node, yaml.ScalarNode):
            self.refuse(node, path, "expected a text")
            return ""
        return str(node.value)

    def texts(self, node: yaml.Node | None, path: str) -> dict[str, str]:
        """A map of texts."""
        if node is None:
            return {}
        return {name: self.text(value, _join(path, name)) for name, value in self.mapping(node, path).items()}

    def duration_ms(self, node: yaml.Node | None, path: str) -> int:
        return self._parsed(node, path, parse_duration_ms, 0)

    def integer(self, node: yaml.Node | None, path: str) -> int:
        return self._parsed(node, path, int, 0)

    def number(self, node: yaml.Node | None, path: str) -> float:
        return self._parsed(node, path, float, 0.0)

    def _parsed(self, node: yaml.Node | None, path: str, parse: Callable[[str], T], default: T) -> T:
        text = self.text(node, path)
        if node is None or not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.refuse(node, path, str(error))
            return default


def is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
