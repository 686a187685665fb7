"""Prometheus rule files -> `RuleGroup`s, with the place of everything that is wrong.

What Prometheus refuses is refused here; settings of our own live in one annotation named `tocsin` (rules/native.py), so
that every rule file stays valid for promtool.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

import yaml

from tocsin.errors import ParseError, Problem
from tocsin.formats.gotemplate import TemplateError
from tocsin.model.labels import METRIC_NAME
from tocsin.model.rule import AlertRule, NativeSettings, RecordingRule, Rule, RuleGroup, Semantics
from tocsin.promql.parser import parse
from tocsin.rules.circle import circle_problem
from tocsin.rules.expand import check_template
from tocsin.rules.native import ANNOTATION, parse_native
from tocsin.rules.yamlnode import Reader

_GROUP_KEYS = {"name", "interval", "query_offset", "limit", "rules", "labels"}
_RULE_KEYS = {"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"}


def parse_rule_file(text: str, file: str, *, default_interval_ms: int = 60_000) -> tuple[tuple[RuleGroup, ...], list[Problem]]:
    """The groups of one rule file, and every problem found.

    A rule with a problem is left out of its group; a caller that must not run half a file looks at the problems first.
    """
    reader = Reader(file)
    root = reader.compose(text)
    groups = tuple(_groups(reader, root, default_interval_ms)) if root is not None else ()
    if (problem := circle_problem(groups)) is not None:
        reader.problems.append(problem)
    return groups, reader.problems


def _groups(reader: Reader, root: yaml.Node, default_interval_ms: int) -> Iterator[RuleGroup]:
    top = reader.mapping(root, "", {"groups"})
    seen: set[str] = set()
    for path, node in reader.items(top.get("groups"), "groups"):
        fields = reader.mapping(node, path, _GROUP_KEYS)
        name = reader.text(fields.get("name"), f"{path}.name")
        if not name:
            reader.refuse(node, f"{path}.name", "a group needs a name")
        elif name in seen:
            reader.refuse(fields["name"], f"{path}.name", f"group name {name!r} is repeated in the same file")
        seen.add(name)
        labels = reader.texts(fields.get("labels"), f"{path}.labels")
        _check_label_names(reader, fields.get("labels"), labels, f"{path}.labels")
        yield RuleGroup(
            name=name,
            file=reader.file,
            interval_ms=reader.duration_ms(fields.get("interval"), f"{path}.interval") or default_interval_ms,
            rules=tuple(_rules(reader, fields.get("rules"), f"{path}.rules", name, labels)),
            limit=reader.integer(fields.get("limit"), f"{path}.limit"),
            query_offset_ms=reader.duration_ms(fields.get("query_offset"), f"{path}.query_offset"),
            labels=labels,
        )


def _rules(reader: Reader, node: yaml.Node | None, path: str, group: str, group_labels: Mapping[str, str]) -> Iterator[Rule]:
    used: set[str] = set()
    for rule_path, item in reader.items(node, path):
        before = len(reader.problems)
        rule = _rule(reader, item, rule_path, group, group_labels)
        if len(reader.problems) > before or rule is None:
            continue
        identity = rule_id(reader.file, group, rule.name, rule.labels, used)
        used.add(identity)
        yield replace(rule, id=identity)


def rule_id(file: str, group: str, name: str, labels: Mapping[str, str], used: set[str]) -> str:
    """A stable identity: file, group and name; rules of one name in one group are told apart by their labels, then by order.

    Expression, `for` and annotations are not part of it: editing them keeps the state.
    """
    plain = f"{name}:{_digest(file, group, name)}"
    if plain not in used:
        return plain
    labelled = f"{name}:{_digest(file, group, name, *(part for pair in sorted(labels.items()) for part in pair))}"
    order = 1
    identity = labelled
    while identity in used:
        order += 1
        identity = f"{labelled}.{order}"
    return identity


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:16]


def _rule(reader: Reader, node: yaml.Node, path: str, group: str, group_labels: Mapping[str, str]) -> Rule | None:
    fields = reader.mapping(node, path, _RULE_KEYS)
    texts = {key: reader.text(fields.get(key), f"{path}.{key}") for key in ("record", "alert", "expr")}
    labels = reader.texts(fields.get("labels"), f"{path}.labels")
    _check_label_names(reader, fields.get("labels"), labels, f"{path}.labels")
    if texts["record"] and texts["alert"]:
        reader.refuse(node, path, "only one of 'record' and 'alert' may be set")
    elif not texts["record"] and not texts["alert"]:
        reader.refuse(node, path, "one of 'record' or 'alert' must be set")
    elif not texts["expr"]:
        reader.refuse(fields.get("expr", node), f"{path}.expr", "field 'expr' must be set")
    elif _parses(reader, fields["expr"], f"{path}.expr", texts["expr"]):
        place = reader.place(node)
        merged = {**group_labels, **labels}
        if texts["record"]:
            _check_recording(reader, node, fields, path, texts["record"])
            return RecordingRule("", group, texts["record"], texts["expr"], merged, place)
        annotations = reader.texts(fields.get("annotations"), f"{path}.annotations")
        _check_templates(reader, fields, path, texts["alert"], labels, annotations)
        semantics, native = Semantics.COMPATIBLE, NativeSettings()
        if ANNOTATION in annotations:
            semantics, native = parse_native(reader, fields["annotations"], annotations[ANNOTATION], texts["expr"], path)
        return AlertRule(
            id="",
            group=group,
            name=texts["alert"],
            expr=texts["expr"],
            for_ms=reader.duration_ms(fields.get("for"), f"{path}.for"),
            keep_firing_for_ms=reader.duration_ms(fields.get("keep_firing_for"), f"{path}.keep_firing_for"),
            labels=merged,
            annotations=annotations,
            semantics=semantics,
            native=native,
            place=place,
        )
    return None


def _parses(reader: Reader, node: yaml.Node, path: str, expr: str) -> bool:
    try:
        parse(expr)
    except ParseError as error:
        reader.refuse(node, path, f"could not parse expression: {error}")
        return False
    return True


def _check_recording(reader: Reader, node: yaml.Node, fields: Mapping[str, yaml.Node], path: str, name: str) -> None:
    for key in ("annotations", "for", "keep_firing_for"):
        if key in fields and (key == "annotations" or reader.text(fields[key], f"{path}.{key}") not in ("", "0", "0s")):
            reader.refuse(fields[key], f"{path}.{key}", f"a recording rule has no '{key}'")
    if "{" in name or "}" in name:
        reader.refuse(
            fields["record"], f"{path}.record", f"braces in the recording rule's name {name!r}; labels go under 'labels'"
        )
    elif not name.isprintable():
        reader.refuse(fields.get("record", node), f"{path}.record", f"invalid recording rule name: {name!r}")


def _check_label_names(reader: Reader, node: yaml.Node | None, labels: Mapping[str, str], path: str) -> None:
    for name in labels:
        if node is not None and (not name or name == METRIC_NAME):
            reader.refuse(node, f"{path}.{name}", f"invalid label name: {name!r}")


def _check_templates(
    reader: Reader,
    fields: Mapping[str, yaml.Node],
    path: str,
    name: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> None:
    for section, texts in (("labels", labels), ("annotations", annotations)):
        for key, text in texts.items():
            if not key:
                reader.refuse(fields[section], f"{path}.{section}", f"invalid name in {section}: {key!r}")
            if key == ANNOTATION:
                continue
            try:
                check_template(text)
            except TemplateError as error:
                reader.refuse(fields[section], f"{path}.{section}.{key}", f"template of {name}: {error}")
