"""Prometheus rule files -> `RuleGroup`s, with the place of everything that is wrong.

What Prometheus refuses is refused here; settings of our own live in one annotation named `tocsin` (rules/native.py), so
that every rule file stays valid for promtool.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from tocsin.errors import ParseError, Problem
from tocsin.formats.gotemplate import TemplateError
from tocsin.model.labels import METRIC_NAME
from tocsin.model.rule import AlertRule, NativeSettings, RecordingRule, Rule, RuleGroup, Semantics
from tocsin.promql.parser import parse
from tocsin.rules.circle import circle_problem
from tocsin.rules.document import Field, Reader
from tocsin.rules.expand import check_template
from tocsin.rules.native import ANNOTATION, parse_native

_GROUP_KEYS = {"name", "interval", "query_offset", "limit", "rules", "labels"}
_RULE_KEYS = {"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"}


def parse_rule_file(
    text: str, file: str, *, default_interval_ms: int = 60_000, default_query_offset_ms: int = 0
) -> tuple[tuple[RuleGroup, ...], list[Problem]]:
    """The groups of one rule file, and every problem found.

    A rule with a problem is left out of its group; a caller that must not run half a file looks at the problems first.
    """
    reader = Reader(file)
    groups = tuple(_groups(reader, reader.read(text), default_interval_ms, default_query_offset_ms))
    if (problem := circle_problem(groups)) is not None:
        reader.problems.append(problem)
    return groups, reader.problems


def _groups(reader: Reader, root: Field, default_interval_ms: int, default_query_offset_ms: int) -> Iterator[RuleGroup]:
    seen: set[str] = set()
    for item in reader.items(reader.mapping(root, {"groups"}).get("groups")):
        fields = reader.mapping(item, _GROUP_KEYS)
        name = reader.text(fields.get("name"))
        if not name:
            reader.refuse(item, "a group needs a name", "name")
        elif name in seen:
            reader.refuse(fields["name"], f"group name {name!r} is repeated in the same file")
        seen.add(name)
        labels = _labels(reader, fields.get("labels"))
        yield RuleGroup(
            name=name,
            file=reader.file,
            interval_ms=reader.duration_ms(fields.get("interval")) or default_interval_ms,
            rules=tuple(_rules(reader, fields.get("rules"), name, labels)),
            limit=reader.integer(fields.get("limit")),
            query_offset_ms=reader.duration_ms(offset) if (offset := fields.get("query_offset")) else default_query_offset_ms,
            labels=labels,
        )


def _rules(reader: Reader, rules: Field | None, group: str, group_labels: Mapping[str, str]) -> Iterator[Rule]:
    used: set[str] = set()
    for item in reader.items(rules):
        before = len(reader.problems)
        rule = _rule(reader, item, group, group_labels)
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


def _rule(reader: Reader, item: Field, group: str, group_labels: Mapping[str, str]) -> Rule | None:
    fields = reader.mapping(item, _RULE_KEYS)
    record, alert, expr = (reader.text(fields.get(key)) for key in ("record", "alert", "expr"))
    labels = _labels(reader, fields.get("labels"))
    if record and alert:
        reader.refuse(item, "only one of 'record' and 'alert' may be set")
    elif not record and not alert:
        reader.refuse(item, "one of 'record' or 'alert' must be set")
    elif not expr:
        reader.refuse(item, "field 'expr' must be set", "expr")
    elif _parses(reader, fields["expr"], expr):
        merged = {**group_labels, **labels}
        if record:
            _check_recording(reader, fields, record)
            return RecordingRule("", group, record, expr, merged, reader.place(item))
        return _alert_rule(reader, item, fields, group, labels, merged)
    return None


def _alert_rule(
    reader: Reader, item: Field, fields: Mapping[str, Field], group: str, labels: Mapping[str, str], merged: Mapping[str, str]
) -> AlertRule:
    """`labels`: the rule's own, which are judged; `merged`: with those of its group, which it carries."""
    name, expr = reader.text(fields["alert"]), reader.text(fields["expr"])
    annotations = reader.texts(fields.get("annotations"))
    for section, texts in (("labels", labels), ("annotations", annotations)):
        _check_templates(reader, fields.get(section), texts, name)
    semantics, native = Semantics.COMPATIBLE, NativeSettings()
    if ANNOTATION in annotations:
        semantics, native = parse_native(reader, reader.mapping(fields["annotations"])[ANNOTATION], expr)
    return AlertRule(
        id="",
        group=group,
        name=name,
        expr=expr,
        for_ms=reader.duration_ms(fields.get("for")),
        keep_firing_for_ms=reader.duration_ms(fields.get("keep_firing_for")),
        labels=merged,
        annotations=annotations,
        semantics=semantics,
        native=native,
        place=reader.place(item),
    )


def _parses(reader: Reader, field: Field, expr: str) -> bool:
    try:
        parse(expr)
    except ParseError as error:
        reader.refuse(field, f"could not parse expression: {error}")
        return False
    return True


def _check_recording(reader: Reader, fields: Mapping[str, Field], name: str) -> None:
    for key in ("annotations", "for", "keep_firing_for"):
        if key in fields and (key == "annotations" or reader.text(fields[key]) not in ("", "0", "0s")):
            reader.refuse(fields[key], f"a recording rule has no '{key}'")
    if "{" in name or "}" in name:
        reader.refuse(fields["record"], f"braces in the recording rule's name {name!r}; labels go under 'labels'")
    elif not name.isprintable():
        reader.refuse(fields["record"], f"invalid recording rule name: {name!r}")


def _labels(reader: Reader, field: Field | None) -> dict[str, str]:
    labels = reader.texts(field)
    for name in labels:
        if field is not None and (not name or name == METRIC_NAME):
            reader.refuse(field, f"invalid label name: {name!r}", name)
    return labels


def _check_templates(reader: Reader, section: Field | None, texts: Mapping[str, str], rule: str) -> None:
    for key, text in texts.items():
        assert section is not None  # it holds the texts
        if not key:
            reader.refuse(section, f"invalid name in {section.path[-1]}: {key!r}")
        if key == ANNOTATION:
            continue
        try:
            check_template(text)
        except TemplateError as error:
            reader.refuse(section, f"template of {rule}: {error}", key)
