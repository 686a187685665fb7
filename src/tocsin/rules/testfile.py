"""promtool's unit-test files: text -> values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.errors import Problem
from tocsin.model.labels import Labels
from tocsin.rules.document import Field, Reader
from tocsin.rules.notation import NotationError, parse_series, parse_values

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
    fields = reader.mapping(reader.read(text), _FILE_KEYS)
    interval_ms = reader.duration_ms(fields.get("evaluation_interval")) or _DEFAULT_INTERVAL_MS
    order = tuple(reader.text(item) for item in reader.items(fields.get("group_eval_order")))
    for name in {name for name in order if order.count(name) > 1}:
        reader.refuse(fields["group_eval_order"], f"group name repeated in evaluation order: {name}")
    parsed = TestFile(
        rule_files=tuple(reader.text(item) for item in reader.items(fields.get("rule_files"))),
        evaluation_interval_ms=interval_ms,
        group_order=order,
        tests=tuple(_test(reader, item, interval_ms) for item in reader.items(fields.get("tests"))),
        fuzzy=reader.text(fields.get("fuzzy_compare")) == "true",
    )
    return parsed, reader.problems


class _Tolerant(Reader):
    """Leaves unknown keys alone."""

    def mapping(self, field: Field | None, allowed: set[str] | None = None) -> dict[str, Field]:
        entries = super().mapping(field)
        return {key: value for key, value in entries.items() if allowed is None or key in allowed}


def _test(reader: Reader, test: Field, interval_ms: int) -> RuleTest:
    fields = reader.mapping(test, _TEST_KEYS)
    series = (_series(reader, item) for item in reader.items(fields.get("input_series")))
    return RuleTest(
        name=reader.text(fields.get("name")),
        interval_ms=reader.duration_ms(fields.get("interval")) or interval_ms,
        series=tuple(one for one in series if one is not None),
        alerts=tuple(_alert(reader, item) for item in reader.items(fields.get("alert_rule_test"))),
        expressions=tuple(_expression(reader, item) for item in reader.items(fields.get("promql_expr_test"))),
        external_labels=reader.texts(fields.get("external_labels")),
        external_url=reader.text(fields.get("external_url")),
    )


def _series(reader: Reader, item: Field) -> InputSeries | None:
    fields = reader.mapping(item, {"series", "values"})
    try:
        labels = parse_series(reader.text(fields.get("series")))
        return InputSeries(labels, tuple(parse_values(reader.text(fields.get("values")))))
    except NotationError as error:
        reader.refuse(item, str(error))
        return None


def _alert(reader: Reader, item: Field) -> AlertCase:
    fields = reader.mapping(item, {"eval_time", "alertname", "exp_alerts"})
    name = reader.text(fields.get("alertname"))
    if not name:
        reader.refuse(item, "an item under alert_rule_test misses required attribute alertname")
    expected = []
    for alert in reader.items(fields.get("exp_alerts")):
        entry = reader.mapping(alert, {"exp_labels", "exp_annotations"})
        expected.append(ExpectedAlert(reader.texts(entry.get("exp_labels")), reader.texts(entry.get("exp_annotations"))))
    return AlertCase(reader.duration_ms(fields.get("eval_time")), name, tuple(expected))


def _expression(reader: Reader, item: Field) -> ExprCase:
    fields = reader.mapping(item, {"expr", "eval_time", "exp_samples"})
    expected = []
    for sample in reader.items(fields.get("exp_samples")):
        entry = reader.mapping(sample, {"labels", "value", "histogram"})
        if "histogram" in entry:
            reader.refuse(sample, "native histograms are not supported")
            continue
        try:
            labels = parse_series(reader.text(entry.get("labels")))
        except NotationError as error:
            reader.refuse(sample, str(error))
            continue
        expected.append((labels, reader.number(entry.get("value"))))
    return ExprCase(reader.text(fields.get("expr")), reader.duration_ms(fields.get("eval_time")), tuple(expected))
