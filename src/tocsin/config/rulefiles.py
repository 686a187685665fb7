"""`rule_files` and the rules that come with Tocsin, evaluated as the operator wants them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from tocsin.config.prometheus import PrometheusPart
from tocsin.config.schema import OwnSections
from tocsin.config.sources import expand
from tocsin.errors import Problem
from tocsin.formats.yaml_tree import Tree
from tocsin.model.rule import AlertRule, RuleGroup, Semantics
from tocsin.rules.circle import circle_problem
from tocsin.rules.rulefile import parse_rule_file
from tocsin.rules.shipped import shipped_groups


def rule_paths(tree: Tree) -> list[Path]:
    return expand([str(p) for p in tree.value.get("rule_files") or []], Path(tree.file).parent)


def read_rules(
    tree: Tree, texts: Mapping[str, str], own: OwnSections, prom: PrometheusPart
) -> tuple[tuple[RuleGroup, ...], list[Problem]]:
    """`texts`: file name -> text of what was read; a rule file that is missing there is a problem."""
    groups: list[RuleGroup] = []
    problems: list[Problem] = []
    semantics = Semantics(own.semantics)
    for path in rule_paths(tree):
        text = texts.get(str(path))
        if text is None:
            problems.append(_missing(path, tree))
            continue
        found, wrong = parse_rule_file(
            text,
            str(path),
            default_interval_ms=prom.evaluation_interval_ms,
            default_query_offset_ms=prom.rule_query_offset_ms,
        )
        groups += (_with_semantics(group, semantics) for group in found)
        problems += wrong
    if own.shipped_rules:
        groups += shipped_groups(default_interval_ms=prom.evaluation_interval_ms)
    problem = circle_problem(groups)  # within one file it was found already
    if problem is not None and problem not in problems:
        problems.append(problem)
    return tuple(groups), problems


def _missing(path: Path, tree: Tree) -> Problem:
    where = next((i for i, p in enumerate(tree.value["rule_files"]) if str(path).endswith(str(p))), 0)
    return Problem(tree.place(("rule_files", where)), f"rule_files[{where}]", f"there is no file {path}")


def _with_semantics(group: RuleGroup, semantics: Semantics) -> RuleGroup:
    """Imported rules evaluated as the operator wants them; those with a `tocsin` annotation stay native."""
    if semantics is Semantics.COMPATIBLE:
        return group
    rules = tuple(
        dataclasses.replace(rule, semantics=semantics)
        if isinstance(rule, AlertRule) and rule.semantics is Semantics.COMPATIBLE
        else rule
        for rule in group.rules
    )
    return dataclasses.replace(group, rules=rules)
