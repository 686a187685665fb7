"""A YAML document read field by field: each has its path and its place, and what is wrong is collected instead of raised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from tocsin.errors import Place, Problem
from tocsin.formats.yaml_tree import Path, Tree, as_written, path_text, read_yaml
from tocsin.model.duration import parse_duration_ms

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Field:
    """A value that stands in the document: a dict, a list, a text as it was written, or None."""

    path: Path
    value: Any


class Reader:
    """Reads one document; what is wrong lands in `problems` with line and field path."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._tree = Tree({}, {}, file)

    def read(self, text: str) -> Field:
        """The root; an empty map (and a problem) where the text is not YAML."""
        self._tree, problems = read_yaml(text, self.file, as_written)
        self.problems += problems
        return Field((), self._tree.value)

    def place(self, field: Field, key: str = "") -> Place:
        return self._tree.place((*field.path, key) if key else field.path)

    def refuse(self, field: Field, message: str, key: str = "") -> None:
        """`key`: what is wrong is this key of `field`, which may be missing."""
        path = (*field.path, key) if key else field.path
        self.problems.append(Problem(self._tree.place(path), path_text(path), message))

    def mapping(self, field: Field | None, allowed: set[str] | None = None) -> dict[str, Field]:
        """The entries of a map; unknown keys are problems. Null reads as an empty map."""
        if field is None or field.value is None:
            return {}
        if not isinstance(field.value, dict):
            self.refuse(field, "expected a map")
            return {}
        entries = {name: Field((*field.path, name), value) for name, value in field.value.items()}
        if allowed is None:
            return entries
        for name in entries.keys() - allowed:
            self.refuse(field, f"unknown key {name!r}; expected one of {', '.join(sorted(allowed))}", name)
        return {name: entry for name, entry in entries.items() if name in allowed}

    def items(self, field: Field | None) -> Iterator[Field]:
        """The entries of a list; null reads as an empty list."""
        if field is None or field.value is None:
            return
        if not isinstance(field.value, list):
            self.refuse(field, "expected a list")
            return
        for index, value in enumerate(field.value):
            yield Field((*field.path, index), value)

    def text(self, field: Field | None) -> str:
        """A scalar as written; numbers and booleans count as their text, null as empty."""
        if field is None or field.value is None:
            return ""
        if not isinstance(field.value, str):
            self.refuse(field, "expected a text")
            return ""
        return field.value

    def texts(self, field: Field | None) -> dict[str, str]:
        """A map of texts."""
        return {name: self.text(value) for name, value in self.mapping(field).items()}

    def duration_ms(self, field: Field | None) -> int:
        return self._parsed(field, parse_duration_ms, 0)

    def integer(self, field: Field | None) -> int:
        return self._parsed(field, int, 0)

    def number(self, field: Field | None) -> float:
        return self._parsed(field, float, 0.0)

    def _parsed(self, field: Field | None, parse: Callable[[str], T], default: T) -> T:
        text = self.text(field)
        if field is None or not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.refuse(field, str(error))
            return default
