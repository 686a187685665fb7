"""Rules that depend on each other in a circle: each would wait for the next, and nobody would ever be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tocsin.errors import Problem
from tocsin.model.rule import AlertRule, RuleGroup


def circle_problem(groups: Iterable[RuleGroup]) -> Problem | None:
    """The problem of the first circle that is found, at the place of one of its rules."""
    rules = [rule for group in groups for rule in group.rules if isinstance(rule, AlertRule)]
    circle = find_circle(rules)
    if not circle:
        return None
    names = " -> ".join(rule.name for rule in (*circle, circle[0]))
    message = f"depends_on goes in a circle: {names}; remove one of these, or none of them could ever fire"
    return Problem(circle[0].place, f"groups.{circle[0].group}.{circle[0].name}.annotations.tocsin.depends_on", message)


def find_circle(rules: Iterable[AlertRule]) -> Sequence[AlertRule]:
    """The rules of one circle, each depending on the next; empty if there is none."""
    by_name: dict[str, list[AlertRule]] = {}
    for rule in rules:
        by_name.setdefault(rule.name, []).append(rule)
    done: set[str] = set()
    for name in by_name:
        if circle := _walk(name, by_name, [], done):
            return circle
    return ()


def _walk(name: str, by_name: Mapping[str, Sequence[AlertRule]], path: list[AlertRule], done: set[str]) -> Sequence[AlertRule]:
    names = [rule.name for rule in path]
    if name in names:
        return path[names.index(name) :]
    if name in done:
        return ()
    for rule in by_name.get(name, ()):
        for parent in rule.native.depends_on:
            if circle := _walk(parent, by_name, [*path, rule], done):
                return circle
    done.add(name)
    return ()
