"""Several files -> one tree. Lists of things are joined, sections that say the same thing twice differently are errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tocsin.errors import Place, Problem
from tocsin.formats.yaml_tree import Path, Tree, path_text


def merge(trees: Iterable[Tree]) -> tuple[Tree, list[Problem]]:
    """The files in order as one document whose places still name each file."""
    trees = list(trees)
    if len(trees) == 1 and isinstance(trees[0].value, dict):
        return trees[0], []
    value: dict[str, Any] = {}
    places: dict[Path, Place] = {}
    problems: list[Problem] = []
    first = ""
    for tree in trees:
        first = first or tree.file
        if not isinstance(tree.value, dict):
            problems.append(Problem(tree.place(()), "", "expected a mapping of sections such as `checks:`"))
            continue
        for key, item in tree.value.items():
            if key not in value:
                value[key] = item
                _copy_places(tree, (key,), (key,), places)
            elif isinstance(item, list) and isinstance(value[key], list):
                for i, entry in enumerate(item):
                    target = (key, len(value[key]))
                    value[key] = [*value[key], entry]
                    _copy_places(tree, (key, i), target, places)
            elif isinstance(item, dict) and isinstance(value[key], dict):
                value[key] = {**value[key]}
                problems += _merge_mapping(tree, key, item, value[key], places)
            elif item != value[key]:
                problems.append(_twice(tree, (key,), places.get((key,))))
    return Tree(value, {**places, (): Place(first, 1)}, first), problems


def _merge_mapping(tree: Tree, key: str, new: dict[str, Any], into: dict[str, Any], places: dict[Path, Place]) -> list[Problem]:
    problems = []
    for name, item in new.items():
        if name in into and into[name] != item:
            problems.append(_twice(tree, (key, name), places.get((key, name))))
            continue
        into[name] = item
        _copy_places(tree, (key, name), (key, name), places)
    return problems


def _twice(tree: Tree, path: Path, other: Place | None) -> Problem:
    return Problem(tree.place(path), path_text(path), f"is set differently at {other}; say it once")


def _copy_places(tree: Tree, source: Path, target: Path, places: dict[Path, Place]) -> None:
    for path, place in tree.places.items():
        if path[: len(source)] == source:
            places[target + path[len(source) :]] = place
