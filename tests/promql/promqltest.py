"""Runs scripts in Prometheus's promqltest language against the engine.

    for case in read_script(text): ...        # Load, Clear, Eval
    failures = Runner().run(text)              # messages, each with its line

Each instant case is also run as the middle of a range query, and with `@` on every selector at other instants, as
upstream does. Cases that touch native histograms are set apart, since the store has none.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tocsin.errors import ParseError, QueryError
from tocsin.model.duration import parse_duration_ms
from tocsin.model.labels import Labels, all_match
from tocsin.model.series import QueryResult, ValueType, is_absent
from tocsin.promql import ast
from tocsin.promql.description import parse_series, split_metric
from tocsin.promql.durations import parse_number
from tocsin.promql.engine import Engine, EngineOptions
from tocsin.promql.functions import FUNCTIONS
from tocsin.promql.memory import MemoryReader
from tocsin.promql.parser import parse

EXPERIMENTAL = frozenset({"promql-experimental-functions", "promql-duration-expr"})
ALL_FEATURES = EXPERIMENTAL | {"promql-delayed-name-removal"}
EPSILON = 1e-6

_INSTANT = re.compile(r"^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$")
_RANGE = re.compile(r"^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$")
_LOAD = re.compile(r"^load(?:_(with_nhcb))?\s+(.+?)$")
_EXPECT = re.compile(r"^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$")


@dataclass
class Load:
    line: int
    step_ms: int
    series: list[tuple[Labels, list[float | None]]]
    native: list[Labels]
    """Series that hold native histograms."""


@dataclass
class Clear:
    line: int


@dataclass
class Eval:
    line: int
    query: str
    start_ms: int
    end_ms: int
    step_ms: int
    instant: bool
    ordered: bool = False
    expects: list[tuple[str, str, str]] = field(default_factory=list)
    """(fail | warn | info | no_warn | no_info, msg | regex | "", text)"""
    rows: list[tuple[Labels, list[float | None]]] = field(default_factory=list)
    scalar: float | None = None
    native: bool = False

    def expects_any(self, kind: str) -> bool:
        return any(each[0] == kind for each in self.expects)


def upstream_scripts() -> Path | None:
    """Folder of Prometheus's own scripts: `$TOCSIN_SHARED/data/promqltest-3.5`, or beside the repository."""
    shared = os.environ.get("TOCSIN_SHARED") or Path(__file__).resolve().parents[3] / "shared"
    folder = Path(shared) / "data" / "promqltest-3.5"
    return folder if folder.is_dir() else None


def read_script(text: str) -> Iterator[Load | Clear | Eval]:
    lines = ["" if line.strip().startswith("#") else line.strip() for line in text.split("\n")]
    number = 0
    while number < len(lines):
        line, number = lines[number], number + 1
        if not line:
            continue
        body_start = number
        if line == "clear":
            yield Clear(number)
            continue
        while number < len(lines) and lines[number]:
            number += 1
        body = lines[body_start:number]
        if match := _LOAD.match(line):
            yield _read_load(body_start, match, body)
        elif line.startswith("eval"):
            case, used = _read_eval(body_start, line, body)
            number = body_start + used
            yield case
        else:
            raise ValueError(f"line {body_start}: invalid command {line!r}")


def _read_load(line: int, match: re.Match[str], body: list[str]) -> Load:
    load = Load(line, parse_duration_ms(match[2]), [], [])
    for text in body:
        labels, rest = split_metric(text)
        if "{{" in rest:
            load.native.append(labels)
            rest = re.sub(r"\{\{.*?\}\}(?:[+-]\{\{.*?\}\})?(?:x([0-9]+))?", _blanks, rest)
            load.series.append((labels, parse_series("x " + rest)[1]))
        else:
            load.series.append(parse_series(text))
        if match[1] and "le" in labels:
            base = labels.merged({"__name__": labels["__name__"].removesuffix("_bucket"), "le": ""})
            load.native.append(base)
    return load


def _blanks(match: re.Match[str]) -> str:
    return f"_x{int(match[1]) + 1}" if match[1] else "_"


def _read_eval(line: int, text: str, body: list[str]) -> tuple[Eval, int]:
    if match := _INSTANT.match(text):
        at = parse_duration_ms(match[2] or "0s")
        case = Eval(line, match[3], at, at, 1, True)
    elif match := _RANGE.match(text):
        start, end, step = (parse_duration_ms(part) for part in match.group(2, 3, 4))
        case = Eval(line, match[5], start, end, step, False)
    else:
        raise ValueError(f"line {line}: invalid eval {text!r}")
    kind = match[1]
    case.ordered = kind == "ordered"
    if kind in ("fail", "warn", "info"):
        case.expects.append((kind, "", ""))
    for used, row in enumerate(body, 1):
        if row.startswith(("expected_fail_message", "expected_fail_regexp")):
            how = "msg" if "message" in row[:24] else "regex"
            case.expects = [("fail", how, row.split(None, 1)[1])]
            return case, used
        if row.split()[0] == "expect":
            expected = _EXPECT.match(row)
            assert expected is not None, f"line {line}: {row}"
            if expected[1] == "ordered":
                case.ordered = True
            else:
                case.expects.append((expected[1], expected[2] or "", (expected[3] or "").strip()))
            continue
        if (number := _plain_number(row)) is not None:
            case.scalar = number
            return case, used
        if "{{" in split_metric(row)[1]:
            case.native = True
        else:
            case.rows.append(parse_series(row))
    return case, len(body)


def _plain_number(text: str) -> float | None:
    try:
        sign = -1.0 if text.startswith("-") else 1.0
        return sign * parse_number(text.lstrip("+-"))
    except ValueError:
        return None


class Runner:
    """Executes one script. `skipped` lists the lines of cases that need native histograms."""

    def __init__(self, features: frozenset[str] = ALL_FEATURES) -> None:
        self.reader = MemoryReader()
        self.engine = Engine(self.reader, EngineOptions(features=features))
        self.features = features
        self.native: set[Labels] = set()
        self.passed = 0
        self.skipped: list[int] = []

    def run(self, text: str) -> list[str]:
        failures: list[str] = []
        for command in read_script(text):
            match command:
                case Clear():
                    self.reader.clear()
                    self.native.clear()
                case Load():
                    self._load(command)
                case Eval():
                    failures += self._judge(command)
        return failures

    def _load(self, load: Load) -> None:
        self.native.update(load.native)
        for labels, values in load.series:
            present = [(i * load.step_ms, value) for i, value in enumerate(values) if value is not None]
            if present:
                self.reader.append(labels, [t for t, _ in present], [value for _, value in present])

    def _judge(self, case: Eval) -> list[str]:
        if case.native or self._touches_native(case.query):
            self.skipped.append(case.line)
            return []
        problems = self._problems(case)
        if not problems:
            self.passed += 1
        return [f"line {case.line}: {case.query}\n    {problem}" for problem in problems]

    def _touches_native(self, query: str) -> bool:
        if not self.native:
            return False
        try:
            selectors = ast.selectors(parse(query, self.features))
        except ParseError:
            return False
        return any(all_match(selector.matchers, labels) for selector in selectors for labels in self.native)

    def _problems(self, case: Eval) -> list[str]:
        if not case.instant:
            problem = self._range(case)
            return [problem] if problem else []
        variants: list[tuple[str | ast.Expr, int]] = [(case.query, case.start_ms)]
        variants += self._at_variants(case)
        for query, at_ms in variants:
            problem = self._instant(case, query, at_ms)
            if problem:
                shown = "" if query is case.query else f" (with @, at {at_ms} ms)"
                return [problem + shown]
        return []

    def _at_variants(self, case: Eval) -> list[tuple[ast.Expr, int]]:
        try:
            expr = parse(case.query, self.features)
        except ParseError:
            return []
        calls = [node.name for node in ast.walk(expr) if isinstance(node, ast.Call)]
        if any(name == "info" or not FUNCTIONS[name].at_safe for name in calls):
            return []  # info looks at its info series at the time of the step
        if ast.type_of(expr) is ValueType.STRING:
            return []
        fixed, at = _with_at(expr, case.start_ms), case.start_ms
        return [(fixed, t) for t in ((-10 * at, 0, at // 5, at, 10 * at) if at else (-1000, 0, 1000))]

    def _instant(self, case: Eval, query: str | ast.Expr, at_ms: int) -> str:
        try:
            result = self.engine.instant(query, at_ms)
        except QueryError as error:
            return _check_failure(case, error)
        if case.expects_any("fail"):
            return "expected an error, got none"
        if problem := _check_notes(case, result) or _compare_instant(case, result):
            return problem
        if result.type in (ValueType.STRING, ValueType.MATRIX) or case.ordered:
            return ""
        try:
            ranged = self.engine.range(query, at_ms - 60_000, at_ms + 60_000, 60_000)
        except QueryError as error:
            return f"range mode: {error}"
        return _compare_middle(case, ranged)

    def _range(self, case: Eval) -> str:
        try:
            result = self.engine.range(case.query, case.start_ms, case.end_ms, case.step_ms)
        except QueryError as error:
            return _check_failure(case, error)
        if case.expects_any("fail"):
            return "expected an error, got none"
        return _check_notes(case, result) or _compare_range(case, result)


def _with_at(expr: ast.Expr, at_ms: int) -> ast.Expr:
    """`@ at_ms` on every selector and subquery without one; what stands inside a subquery is left alone."""
    match expr:
        case ast.VectorSelector():
            return expr if expr.at is not None else dataclasses.replace(expr, at=at_ms)
        case ast.MatrixSelector():
            return dataclasses.replace(expr, selector=_with_at(expr.selector, at_ms))
        case ast.Subquery():
            return expr if expr.at is not None else dataclasses.replace(expr, at=at_ms)
        case ast.Paren() | ast.Unary():
            return dataclasses.replace(expr, expr=_with_at(expr.expr, at_ms))
        case ast.Binary():
            return dataclasses.replace(expr, left=_with_at(expr.left, at_ms), right=_with_at(expr.right, at_ms))
        case ast.Aggregate():
            param = expr.param and _with_at(expr.param, at_ms)
            return dataclasses.replace(expr, expr=_with_at(expr.expr, at_ms), param=param)
        case ast.Call():
            return dataclasses.replace(expr, args=tuple(_with_at(argument, at_ms) for argument in expr.args))
        case _:
            return expr


def _check_failure(case: Eval, error: QueryError) -> str:
    if not case.expects_any("fail"):
        return f"unexpected error: {error}"
    for kind, how, text in case.expects:
        if kind == "fail" and how and not _note_matches(how, text, str(error)):
            return f"expected the error {text!r}, got {str(error)!r}"
    return ""


def _note_matches(how: str, text: str, note: str) -> bool:
    return note == text if how == "msg" else re.search(text, note) is not None


def _check_notes(case: Eval, result: QueryResult) -> str:
    notes = {"warn": result.annotations.warnings, "info": result.annotations.infos}
    for kind, found in notes.items():
        # Scripts give the texts without the position.
        bare = [re.sub(r" \([0-9]+:[0-9]+\)$", "", note) for note in found]
        wanted = [(how, text) for each, how, text in case.expects if each == kind]
        for how, text in wanted:
            if not bare or (how and not any(_note_matches(how, text, note) for note in bare)):
                return f"expected {kind} {text!r}, got {bare}"
        if wanted and not all(any(not how or _note_matches(how, text, note) for how, text in wanted) for note in bare):
            return f"unexpected {kind}: {bare}"
        if case.expects_any(f"no_{kind}") and bare:
            return f"expected no {kind}, got {bare}"
    return ""


def _compare_instant(case: Eval, result: QueryResult) -> str:
    if result.type is ValueType.SCALAR:
        if case.scalar is None:
            return f"expected a vector, got the scalar {result.scalar}"
        return "" if almost_equal(case.scalar, result.scalar) else f"expected {case.scalar}, got {result.scalar}"
    if case.scalar is not None:
        return f"expected a scalar, got {result.type}"
    if result.raw is not None or result.vector is None:
        return "" if not case.rows else f"cannot compare {result.type}"
    got = dict(zip(result.vector.labels, result.vector.values.tolist(), strict=True))
    problem = _compare_rows(case, got)
    if problem or not case.ordered:
        return problem
    order = [labels for labels, _ in case.rows]
    return "" if order == list(got) else f"expected the order {list(map(str, order))}, got {list(map(str, got))}"


def _compare_rows(case: Eval, got: dict[Labels, float]) -> str:
    wanted = {labels: values[0] for labels, values in case.rows if values}
    if missing := wanted.keys() - got.keys():
        return f"expected {sorted(map(str, missing))} not found, got {sorted(map(str, got))}"
    if extra := got.keys() - wanted.keys():
        return f"unexpected {sorted(map(str, extra))}"
    for labels, value in wanted.items():
        if value is not None and not almost_equal(value, got[labels]):
            return f"expected {value} for {labels}, got {got[labels]}"
    return ""


def _compare_middle(case: Eval, result: QueryResult) -> str:
    matrix = result.matrix
    assert matrix is not None
    if case.scalar is not None:
        value = float(matrix.values[0, 1])
        return "" if almost_equal(case.scalar, value) else f"range mode: expected {case.scalar}, got {value}"
    middle = np.ascontiguousarray(matrix.values[:, 1]) if matrix.labels else np.empty(0)
    present = ~is_absent(middle)
    got = {labels: float(middle[row]) for row, labels in enumerate(matrix.labels) if present[row]}
    problem = _compare_rows(case, got)
    return f"range mode: {problem}" if problem else ""


def _compare_range(case: Eval, result: QueryResult) -> str:
    matrix = result.matrix
    assert matrix is not None
    if case.scalar is not None:
        return "a number stands for a scalar, which range queries do not give"
    got = {}
    for labels, values in zip(matrix.labels, matrix.values, strict=True):
        holes = is_absent(np.ascontiguousarray(values))
        got[labels] = [None if hole else value for value, hole in zip(values.tolist(), holes.tolist(), strict=True)]
    wanted = {labels: values + [None] * (len(matrix.t_ms) - len(values)) for labels, values in case.rows}
    if missing := wanted.keys() - got.keys():
        return f"expected {sorted(map(str, missing))} not found, got {sorted(map(str, got))}"
    if extra := got.keys() - wanted.keys():
        return f"unexpected {sorted(map(str, extra))}"
    for labels, values in wanted.items():
        pairs = list(zip(values, got[labels], strict=False))
        if len(values) != len(got[labels]) or not all(_same_cell(a, b) for a, b in pairs):
            return f"{labels}: expected {values}, got {got[labels]}"
    return ""


def _same_cell(a: float | None, b: float | None) -> bool:
    return a is b if a is None or b is None else almost_equal(a, b)


def almost_equal(a: float, b: float, epsilon: float = EPSILON) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if a == b:
        return True
    if math.isinf(a) or math.isinf(b):
        return False
    total, difference = abs(a) + abs(b), abs(a - b)
    if a == 0 or b == 0 or total < 2.2250738585072014e-308:
        return difference < epsilon * 2.2250738585072014e-308
    return difference / min(total, 1.7976931348623157e308) < epsilon
