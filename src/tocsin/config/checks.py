"""`checks`: each entry -> a check, with what is wrong at its place."""

from __future__ import annotations

from pydantic import ValidationError

from tocsin.collect.catalog import parse_check
from tocsin.config.fields import problems_of
from tocsin.errors import Problem
from tocsin.formats.yaml_tree import Path, Tree, path_text
from tocsin.model.check import CheckSpec


def read_checks(tree: Tree) -> tuple[tuple[CheckSpec, ...], list[Problem]]:
    raw_checks = tree.value.get("checks") or []
    if not isinstance(raw_checks, list):
        return (), [Problem(tree.place(("checks",)), "checks", "expected a list of checks")]
    problems: list[Problem] = []
    specs: dict[str, CheckSpec] = {}
    for i, raw in enumerate(raw_checks):
        path: Path = ("checks", i)
        if not isinstance(raw, dict):
            text = "expected a mapping with `name` and a check type"
            problems.append(Problem(tree.place(path), path_text(path), text))
            continue
        try:
            spec = parse_check(raw, source=str(tree.place(path)))
        except ValidationError as error:
            problems += problems_of(error, tree, path)
            continue
        if spec.id in specs:
            text = f"another check is called {specs[spec.id].name!r} too (at {specs[spec.id].source}); names must differ"
            problems.append(Problem(tree.place((*path, "name")), path_text((*path, "name")), text))
        specs[spec.id] = spec
    return tuple(specs.values()), problems
