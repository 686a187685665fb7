"""Asks the real Prometheus and our engine the same, and judges the answers."""

from __future__ import annotations

import json
import math
import random
import re
from dataclasses import dataclass
from typing import Any

from tests.conformance.promql_peer import PrometheusClient, write_in_order
from tests.conformance.promql_random import SPAN_MS, START_MS, QueryMaker, as_arrays, random_series

from tocsin.errors import QueryError
from tocsin.formats.prometheus_json import encode_result
from tocsin.promql.engine import Engine, EngineOptions
from tocsin.promql.memory import MemoryReader

KNOWN = {
    r"%.*\^|\^.*%|%.*exp|exp.*%": "the remainder of a huge power is its last bit: rounding of the power decides it",
    r"(minute|hour|day|month|year).*(cosh|sinh|exp|\^)": "the calendar of a huge computed number hangs on its last bits",
    r"time\(\) %": "the remainder of a large number by a computed one magnifies the rounding of the latter",
    r"std(dev|var).*(ts_of|time)": "Prometheus's running variance rounds where values are far larger than their spread",
    r"timestamp\(.*(@.*offset|offset.*@)": "Prometheus ignores the offset of a selector with @ inside timestamp()",
    r"info\(": "Prometheus 3.5 finds info series by the position in the step's vector: wrong where a series has no sample",
}
FLAGS = "--enable-feature=promql-experimental-functions,promql-duration-expr"
RELATIVE = 1e-9
ABSOLUTE = 1e-11
"""Where sums cancel to nothing, both sides keep a rest of rounding: 0 on one, 3e-16 on the other."""


@dataclass
class Difference:
    query: str
    when: str
    what: str
    prometheus: str
    ours: str

    def __str__(self) -> str:
        return f"{self.query}\n  {self.when}: {self.what}\n  prometheus {self.prometheus}\n  ours       {self.ours}"


class Comparison:
    """Random queries over random data in both; `differences` are those not equal."""

    def __init__(self, client: PrometheusClient, rng: random.Random) -> None:
        self.rng = rng
        self.client = client
        self.maker = QueryMaker(rng)
        series = random_series(rng)
        write_in_order(client, series)
        features = frozenset({"promql-experimental-functions", "promql-duration-expr"})
        reader = MemoryReader((labels, *as_arrays(samples)) for labels, samples in series)
        self.engine = Engine(reader, EngineOptions(features=features))
        self.asked = self.failing = self.empty = self.explained = 0
        self.differences: list[Difference] = []

    def go(self, count: int) -> None:
        for _ in range(count):
            self.ask(self.maker.query())

    def ask(self, query: str) -> None:
        rng = self.rng
        self.asked += 1
        if rng.random() < 0.5:
            at = START_MS + rng.randrange(60_000, SPAN_MS + 400_000)
            when = {"time": at / 1000}
            theirs = self.client.get("/api/v1/query", query=query, **when)
            ours = self._ours(lambda: encode_result(self.engine.instant(query, at)))
        else:
            start = START_MS + rng.randrange(SPAN_MS)
            step = rng.choice((1_000, 15_000, 17_000, 60_000, 300_000))
            end = start + step * rng.randrange(1, 40)
            when = {"start": start / 1000, "end": end / 1000, "step": step / 1000}
            theirs = self.client.get("/api/v1/query_range", query=query, **when)
            ours = self._ours(lambda: encode_result(self.engine.range(query, start, end, step)))
        self._count(theirs)
        how = "labels"
        if query.startswith(("topk", "bottomk")):
            how = "values"
        elif "time" in when and query.startswith(("sort(", "sort_desc(")):
            how = "ordered values"
        elif "time" in when and query.startswith("sort_by_label"):
            how = "ordered labels"
        what = compare(theirs, ours, how)
        if what and any(re.search(pattern, query) for pattern in KNOWN):
            self.explained += 1
        elif what:
            self.differences.append(Difference(query, str(when), what, _essence(theirs, ours), _essence(ours, theirs)))

    def _ours(self, ask: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(ask())
        except QueryError as error:
            return {"status": "error", "errorType": error.error_type, "error": str(error)}
        return answer

    def _count(self, answer: dict[str, Any]) -> None:
        if answer["status"] != "success":
            self.failing += 1
        elif not answer["data"]["result"]:
            self.empty += 1

    def summary(self) -> str:
        equal = self.asked - len(self.differences)
        share = 100 * equal / max(self.asked, 1)
        return f"{equal} of {self.asked} equal ({share:.2f} %), {self.failing} failing, {self.empty} empty"


def compare(theirs: dict[str, Any], ours: dict[str, Any], how: str = "labels") -> str:
    """What differs, or nothing. `how`: series by their labels, or (where ties are free) only the values at each step."""
    if theirs["status"] != ours["status"]:
        return "one fails"
    if theirs["status"] != "success":
        return "" if theirs["errorType"] == ours["errorType"] else "another kind of error"
    a, b = theirs["data"], ours["data"]
    if a["resultType"] != b["resultType"]:
        return "another type"
    if sorted(theirs.get("warnings", ())) != sorted(ours.get("warnings", ())):
        return "other warnings"
    if sorted(theirs.get("infos", ())) != sorted(ours.get("infos", ())):
        return "other infos"
    if a["resultType"] in ("scalar", "string"):
        return "" if _same_points([a["result"]], [b["result"]]) else "another value"
    if "values" in how:
        return "" if _same_values(a["result"], b["result"], ordered="ordered" in how) else "other values"
    left, right = _by_labels(a["result"]), _by_labels(b["result"])
    if left.keys() != right.keys():
        return f"other series: {sorted(left.keys() ^ right.keys())[:3]}"
    if "ordered" in how and list(left) != list(right):
        return "another order"
    for key, points in left.items():
        if not _same_points(points, right[key]):
            return f"other points of {key}"
    return ""


def _essence(answer: dict[str, Any], other: dict[str, Any]) -> str:
    """The part of an answer that the other does not have."""
    if answer["status"] != "success" or other["status"] != "success":
        return json.dumps(answer)[:400]
    notes = [note for key in ("warnings", "infos") for note in answer.get(key, ()) if note not in other.get(key, ())]
    if answer["data"]["resultType"] not in ("vector", "matrix"):
        return str((notes, answer["data"]["result"]))
    theirs = _by_labels(other["data"]["result"])
    rows = [
        (key, [point for point in points if point not in theirs.get(key, ())])
        for key, points in _by_labels(answer["data"]["result"]).items()
    ]
    return str((notes, [row for row in rows if row[1]]))[:600]


def _by_labels(result: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {json.dumps(row["metric"], sort_keys=True): row["values"] if "values" in row else [row["value"]] for row in result}


def _point_order(point: list[Any]) -> tuple[float, bool, float]:
    value = float(point[1])
    return point[0], math.isnan(value), 0.0 if math.isnan(value) else value


def _same_values(a: list[dict[str, Any]], b: list[dict[str, Any]], *, ordered: bool) -> bool:
    sides = []
    for rows in (a, b):
        points = [point for row in rows for point in row.get("values", [row.get("value")])]
        sides.append(points if ordered else sorted(points, key=_point_order))
    return _same_points(sides[0], sides[1])


def _same_points(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(x[0] == y[0] and same_number(x[1], y[1]) for x, y in zip(a, b, strict=True))


def same_number(a: str, b: str) -> bool:
    if a == b:
        return True
    try:
        x, y = float(a), float(b)
    except ValueError:
        return False
    return abs(x - y) <= max(RELATIVE * max(abs(x), abs(y)), ABSOLUTE)
