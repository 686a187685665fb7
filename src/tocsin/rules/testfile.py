"""promtool's unit-test files: text -> values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from tocsin.errors import Problem
from tocsin.model.labels import Labels
from tocsin.rules.notation import NotationError, parse_series, parse_values
from tocsin.rules.yamlnode import Reader

_FILE_KEYS = {"rule_files", "evaluation_interval", "group_eval_order", "tests", "fuzzy_compare"}
_TEST_KEYS = {"interval", "input_series", "alert_rule_test", "promql_expr_test", "external_labels", "external_url", "name"}
_DEFAULT_INTERVAL_MS = 60_000


@dataclass(frozen=True, slots=True)
class InputSeries:
    labels: Labels
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class ExpectedAlert:
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AlertCase:
    eval_ms: int
    alertname: str
    expected: tuple[ExpectedAlert, ...]


@dataclass(frozen=True, slots=True)
class ExprCase:
    expr: str
    eval_ms: int
    expected: tuple[tuple[Labels, float], ...]


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One entry of `tests`."""

    name: str
    interval_ms: int
    series: tuple[InputSeries, ...] = ()
    alerts: tuple[AlertCase, ...] = ()
    expressions: tuple[ExprCase, ...] = ()
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""

    @property
    def last_ms(self) -> int:
        """The latest instant anything is asked about."""
        return max([0, *(case.eval_ms for case in self.alerts), *(case.eval_ms for case in self.expressions)])


@dataclass(frozen=True, slots=True)
class TestFile:
    __test__ = False  # a test file, not a test case of pytest's

    rule_files: tuple[str, ...]
    evaluation_interval_ms: int
    group_order: tuple[str, ...]
    tests: tuple[RuleTest, ...]
    fuzzy: bool = False


def parse_test_file(text: str, file: str, *, ignore_unknown: bool = False) -> tuple[TestFile, list[Problem]]:
    """The tests of one file and every problem found."""
    reader = _Tolerant(file) if ignore_unknown else Reader(file)
    root = reader.compose(text)
    fields = reader.mapping(root, "", _FILE_KEYS) if root is not None else {}
    interval_ms = reader.duration_ms(fields.get("evaluation_interval"), "evaluation_interval") or _DEFAULT_INTERVAL_MS
    order = tuple(reader.text(node, path) for path, node in reader.items(fields.get("group_eval_order"), "group_eval_order"))
    for name in {name for name in order if order.count(name) > 1}:
        reader.refuse(fields["group_eval_order"], "group_eval_order", f"group name repeated in evaluation order: {name}")
    parsed = TestFile(
        rule_files=tuple(reader.text(node, path) for path, node in reader.items(fields.get("rule_files"), "rule_files")),
        evaluation_interval_ms=interval_ms,
        group_order=order,
        tests=tuple(_test(reader, node, path, interval_ms) for path, node in reader.items(fields.get("tests"), "tests")),
        fuzzy=reader.text(fields.get("fuzzy_compare"), "fuzzy_compare") == "true",
    )
    return parsed, reader.problems


class _Tolerant(Reader):
    """Leaves unknown keys alone."""

    def mapping(self, node: yaml.Node, path: str, allowed: set[str] | None = None) -> dict[str, yaml.Node]:
        entries = super().mapping(node, path)
        return {key: value for key, value in entries.items() if allowed is None or key in allowed}


def _test(reader: Reader, node: yaml.Node, path: str, interval_ms: int) -> RuleTest:
    fields = reader.mapping(node, path, _TEST_KEYS)
    series = (_series(reader, item, at) for at, item in reader.items(fields.get("input_series"), f"{path}.input_series"))
    return RuleTest(
        name=reader.text(fields.get("name"), f"{path}.name"),
        interval_ms=reader.duration_ms(fields.get("interval"), f"{path}.interval") or interval_ms,
        series=tuple(one for one in series if one is not None),
        alerts=tuple(
            _alert(reader, item, at) for at, item in reader.items(fields.get("alert_rule_test"), f"{path}.alert_rule_test")
        ),
        expressions=tuple(
            _expression(reader, item, at) for at, item in reader.items(fields.get("promql_expr_test"), f"{path}.promql_expr_test")
        ),
        external_labels=reader.texts(fields.get("external_labels"), f"{path}.external_labels"),
        external_url=reader.text(fields.get("external_url"), f"{path}.external_url"),
    )


def _series(reader: Reader, node: yaml.Node, path: str) -> InputSeries | None:
    fields = reader.mapping(node, path, {"series", "values"})
    try:
        labels = parse_series(reader.text(fields.get("series"), f"{path}.series"))
        return InputSeries(labels, tuple(parse_values(reader.text(fields.get("values"), f"{path}.values"))))
    except NotationError as error:
        reader.refuse(node, path, str(error))
        return None


def _alert(reader: Reader, node: yaml.Node, path: str) -> AlertCase:
    fields = reader.mapping(node, path, {"eval_time", "alertname", "exp_alerts"})
    name = reader.text(fields.get("alertname"), f"{path}.alertname")
    if not name:
        reader.refuse(node, path, "an item under alert_rule_test misses required attribute alertname")
    expected = []
    for at, item in reader.items(fields.get("exp_alerts"), f"{path}.exp_alerts"):
        entry = reader.mapping(item, at, {"exp_labels", "exp_annotations"})
        expected.append(
            ExpectedAlert(
                reader.texts(entry.get("exp_labels"), f"{at}.exp_labels"),
                reader.texts(entry.get("exp_annotations"), f"{at}.exp_annotations"),
            )
        )
    return AlertCase(reader.duration_ms(fields.get("eval_time"), f"{path}.eval_time"), name, tuple(expected))


def _expression(reader: Reader, node: yaml.Node, path: str) -> ExprCase:
    fields = reader.mapping(node, path, {"expr", "eval_time", "exp_samples"})
    expected = []
    for at, item in reader.items(fields.get("exp_samples"), f"{path}.exp_samples"):
        entry = reader.mapping(item, at, {"labels", "value", "histogram"})
        if "histogram" in entry:
            reader.refuse(item, at, "native histograms are not supported")
            continue
        try:
            labels = parse_series(reader.text(entry.get("labels"), f"{at}.labels"))
        except NotationError as error:
            reader.refuse(item, at, str(error))
            continue
        expected.append((labels, reader.number(entry.get("value"), f"{at}.value")))
    eval_ms = reader.duration_ms(fields.get("eval_time"), f"{path}.eval_time")
    return ExprCase(reader.text(fields.get("expr"), f"{path}.expr"), eval_ms, tuple(expected))
