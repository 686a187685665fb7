"""`tocsin rules test`: promtool's unit-test files, run by our rules, state machine and engine; promtool's verdicts."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tocsin.errors import QueryError
from tocsin.formats.goformat import format_float
from tocsin.model.duration import format_duration
from tocsin.model.labels import METRIC_NAME, Labels, MatchOp
from tocsin.model.rule import AlertRule, RuleGroup
from tocsin.model.series import QueryResult, ValueType, Vector
from tocsin.promql.ast import Call, Expr, selectors, type_of, walk
from tocsin.promql.engine import Engine, EngineOptions
from tocsin.rules.alerting import is_firing
from tocsin.rules.group import GroupRun, Surroundings, as_vector, batch_of
from tocsin.rules.memory import MemoryStore
from tocsin.rules.rulefile import parse_rule_file
from tocsin.rules.testfile import AlertCase, ExprCase, RuleTest, TestFile, parse_test_file


@dataclass(frozen=True, slots=True)
class FileResult:
    """Verdict on one test file."""

    path: str
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        return not self.failures

    @property
    def text(self) -> str:
        """As promtool prints it."""
        lines = [f"Unit Testing:  {self.path}", *(f"  WARNING: {warning}" for warning in self.warnings)]
        lines += ["  SUCCESS"] if self.ok else ["  FAILED:", *self.failures]
        return "\n".join(lines) + "\n"


def run_rule_tests(paths: Iterable[str | Path], *, only: str = "", ignore_unknown_fields: bool = False) -> list[FileResult]:
    """Run test files. `only` runs the tests whose name contains it."""
    return [_run_file(Path(path), only, ignore_unknown_fields) for path in paths]


def _run_file(path: Path, only: str, ignore_unknown: bool) -> FileResult:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        return FileResult(str(path), (f"    {error}",))
    tests, problems = parse_test_file(text, str(path), ignore_unknown=ignore_unknown)
    if problems:
        return FileResult(str(path), tuple(f"    {problem}" for problem in problems))
    files, warnings = _rule_files(path, tests)
    failures: list[str] = []
    for test in tests.tests:
        if only in test.name:
            failures += _run_test(test, tests, files)
    return FileResult(str(path), tuple(failures), tuple(warnings))


def _rule_files(path: Path, tests: TestFile) -> tuple[list[str], list[str]]:
    """Rule files, globs resolved relative to the test file; patterns that match nothing are warnings."""
    found: list[str] = []
    warnings: list[str] = []
    for pattern in tests.rule_files:
        absolute = str(path.parent / pattern)
        matches = sorted(glob.glob(absolute))
        found += matches
        if not matches:
            warnings.append(f"no file match pattern {absolute}")
    return found, warnings


def load_groups(files: Sequence[str], interval_ms: int) -> tuple[list[RuleGroup], list[str]]:
    """Rule groups of files, and what is wrong with them as text."""
    groups: list[RuleGroup] = []
    failures: list[str] = []
    for file in files:
        parsed, problems = parse_rule_file(Path(file).read_text(), file, default_interval_ms=interval_ms)
        groups += parsed
        failures += [f"    {problem}" for problem in problems if not problem.warning]
    return groups, failures


def _run_test(test: RuleTest, tests: TestFile, files: Sequence[str]) -> list[str]:
    groups, failures = load_groups(files, test.interval_ms)
    if failures:
        return failures
    order = {name: place for place, name in enumerate(tests.group_order)}
    groups.sort(key=lambda group: order.get(group.name, 0))
    return _Bench(test, tests, groups).run()


class _Sparse:
    """An engine that does not evaluate what cannot have a result: an expression over metrics that the test has none of.

    Most rules of a file have no data in most of its tests.
    """

    def __init__(self, engine: Engine, store: MemoryStore) -> None:
        self._engine = engine
        self._store = store
        self._needs: dict[str, frozenset[str]] = {}

    def instant(self, query: str, t_ms: int) -> QueryResult:
        needs = self._needs.get(query)
        if needs is None:
            needs = self._needs[query] = _needed_metrics(self._engine.parse(query))
        if needs and not any(self._store.has_metric(name) for name in needs):
            return QueryResult(ValueType.VECTOR, t_ms, Vector((), np.empty(0), np.empty(0, dtype=np.int64)))
        return self._engine.instant(query, t_ms)

    def range(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> QueryResult:
        return self._engine.range(query, start_ms, end_ms, step_ms)


def _needed_metrics(tree: Expr) -> frozenset[str]:
    """Metrics of which at least one must exist for a result; empty = it may have one without any."""
    calls = {node.name for node in walk(tree) if isinstance(node, Call)}
    names = {
        next((m.value for m in node.matchers if m.name == METRIC_NAME and m.op is MatchOp.EQUAL), "") for node in selectors(tree)
    }
    if "" in names or calls & {"absent", "absent_over_time", "vector"} or type_of(tree) is not ValueType.VECTOR:
        return frozenset()
    return frozenset(names)


class _Bench:
    """One test with its own store, on its own time that starts at zero."""

    def __init__(self, test: RuleTest, tests: TestFile, groups: Sequence[RuleGroup]) -> None:
        self._test = test
        self._interval_ms = tests.evaluation_interval_ms
        self._fuzzy = tests.fuzzy
        self._store = MemoryStore()
        self._engine = Engine(self._store, EngineOptions(subquery_step_ms=tests.evaluation_interval_ms))
        self._runs = [GroupRun(group) for group in groups]
        self._around = Surroundings(_Sparse(self._engine, self._store), test.external_url, test.external_labels, bare=True)
        for series in test.series:
            pairs = [(i * test.interval_ms, value) for i, value in enumerate(series.values) if value is not None]
            self._store.load(series.labels, [t_ms for t_ms, _ in pairs], [value for _, value in pairs])

    def run(self) -> list[str]:
        failures: list[str] = []
        cases = sorted(self._test.alerts, key=lambda case: case.eval_ms)
        for t_ms in range(0, self._test.last_ms + 1, self._interval_ms):
            self._store.horizon_ms = t_ms
            errors = self._evaluate(t_ms)
            if errors:
                return failures + errors
            now = [case for case in cases if t_ms <= case.eval_ms < t_ms + self._interval_ms]
            failures += [failure for case in now for failure in self._check_alerts(case)]
        for expression in self._test.expressions:
            failures += self._check_expression(expression)
        return failures

    def _evaluate(self, t_ms: int) -> list[str]:
        for group in self._runs:
            for run in group.runs:
                batch = batch_of(group.evaluate([run], t_ms, self._around))
                if batch is not None:
                    self._store.append(batch)
        return [
            f"    rule: {run.rule.name}, time: {format_duration(t_ms)}, err: {run.error}"
            for group in self._runs
            for run in group.runs
            if run.error
        ]

    def _check_alerts(self, case: AlertCase) -> list[str]:
        got = sorted(
            (state.labels, Labels(state.annotations))
            for group in self._runs
            for run in group.runs
            if isinstance(run.rule, AlertRule) and run.rule.name == case.alertname
            for state in run.states.values()
            if is_firing(state.phase)
        )
        expected = sorted(
            (Labels({**alert.labels, "alertname": case.alertname}), Labels(alert.annotations)) for alert in case.expected
        )
        if got == expected:
            return []
        return [
            f"{self._name()}    alertname: {case.alertname}, time: {format_duration(case.eval_ms)},\n"
            f"        exp:{_alerts_text(expected)},\n        got:{_alerts_text(got)}"
        ]

    def _check_expression(self, case: ExprCase) -> list[str]:
        where = f'{self._name()}    expr: "{case.expr}", time: {format_duration(case.eval_ms)}'
        try:
            vector = as_vector(self._engine.instant(case.expr, case.eval_ms))
        except QueryError as error:
            return [f"{where}, err: {error}"]
        got = sorted(zip(vector.labels, vector.values.tolist(), strict=True), key=lambda pair: pair[0])
        expected = sorted(case.expected, key=lambda pair: pair[0])
        same = len(got) == len(expected) and all(
            a[0] == b[0] and _equal(a[1], b[1], fuzzy=self._fuzzy) for a, b in zip(got, expected, strict=True)
        )
        return [] if same else [f"{where},\n        exp: {_samples_text(expected)}\n        got: {_samples_text(got)}"]

    def _name(self) -> str:
        return f"    name: {self._test.name},\n" if self._test.name else ""


def _equal(a: float, b: float, *, fuzzy: bool) -> bool:
    """Equal, or one unit in the last place apart where the file says `fuzzy_compare`."""
    if a == b or (math.isnan(a) and math.isnan(b)):
        return True
    return fuzzy and (math.nextafter(a, math.inf) == b or math.nextafter(a, -math.inf) == b)


def _alerts_text(alerts: Sequence[tuple[Labels, Labels]]) -> str:
    if not alerts:
        return "[]"
    lines = [
        f"            {i}:\n              Labels:{labels}\n              Annotations:{annotations}"
        for i, (labels, annotations) in enumerate(alerts)
    ]
    return "[\n" + ",\n".join(lines) + "\n            ]"


def _samples_text(samples: Sequence[tuple[Labels, float]]) -> str:
    return ", ".join(f"{labels} {format_float(value, 'e', -1)}" for labels, value in samples) or "nil"
