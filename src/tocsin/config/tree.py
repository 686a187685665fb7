"""YAML text -> plain values that remember where they stood.

A YAML text is hostile until proved otherwise: aliases may multiply (limit on nodes), nesting may be deep (limit), keys
may repeat (an error), `on` and `12:30` may mean something else than they say (kept as text).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tocsin.errors import ConfigError, Place, Problem

Path = tuple[str | int, ...]

_MOST_NODES = 500_000
_DEEPEST = 60
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
    """Raises ConfigError with line and column. An empty document is an empty mapping."""
    if "\x00" in text:
        raise ConfigError(Problem(Place(file, 1), "", "the file contains NUL bytes; expected YAML text"))
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(Problem(place, "", f"this is not valid YAML: {what}")) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(Problem(Place(file), "", f"this is not valid YAML: {error}")) from None
    if node is None:
        return Tree({}, {(): Place(file, 1)}, file)
    builder = _Builder(file)
    value = builder.build(node, ())
    if builder.problems:
        raise ConfigError(builder.problems)
    return Tree(value, builder.places, file)


class _Builder:
    def __init__(self, file: str) -> None:
        self._file = file
        self._nodes = 0
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []

    def build(self, node: Any, path: Path) -> Any:
        self._nodes += 1
        if self._nodes > _MOST_NODES or len(path) > _DEEPEST:
            raise ConfigError(
                Problem(self._place(node), path_text(path), "too many or too deeply nested values (aliases count each time)")
            )
        self.places.setdefault(path, self._place(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(self._place(key_node), path_text(path), "a key must be plain text"))
                continue
            key = str(key_node.value)
            if key == "<<" and isinstance(value_node, yaml.MappingNode):
                out = {**self._mapping(value_node, path), **out}
                continue
            if key in out:
                self.problems.append(
                    Problem(self._place(key_node), path_text((*path, key)), f"the key {key!r} is set twice in the same mapping")
                )
                continue
            self.places[*path, key] = self._place(key_node)
            out[key] = self.build(value_node, (*path, key))
        return out

    def _place(self, node: Any) -> Place:
        return Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)


def _scalar(node: Any) -> Any:
    text: str = node.value
    match node.tag.rsplit(":", 1)[-1]:
        case "null":
            return None
        case "bool" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "int" if ":" not in text:
            try:
                return int(text.replace("_", ""), 0) if not text.lstrip("+-").startswith("0") or len(text) == 1 else int(text, 0)
            except ValueError:
                return text
        case "float" if ":" not in text:
            try:
                return float(text.replace("_", ""))
            except ValueError:
                return text
        case _:
            return text
