"""Random series and random queries, from a seed."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import STALE_NAN
from tocsin.promql.functions import FUNCTIONS

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""
SPAN_MS = 2 * 3_600_000

OURS_ALONE = frozenset({"baseline", "baseline_upper", "baseline_lower", "anomaly_score"})
NATIVE_ONLY = frozenset({"histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev", "histogram_stdvar"})

Series = tuple[Labels, list[tuple[int, float]]]


def random_series(rng: random.Random) -> list[Series]:
    """Counters with resets, gauges with NaN and infinities, histograms; gaps, jitter, staleness markers, short lives."""
    series: list[Series] = []
    for job in ("api", "db"):
        for instance in ("a", "b", "c"):
            shared = [START_MS + rng.randrange(15_000) + step * 15_000 for step in range(SPAN_MS // 15_000)]
            base = {"job": job, "instance": instance}
            for path in ("/", "/x", "/y"):
                labels = Labels({"__name__": "c_total", **base, "path": path})
                series.append((labels, _holes(rng, _counter(rng, shared))))
                series.append((Labels({"__name__": "g", **base, "path": path}), _holes(rng, _gauge(rng, shared))))
            series.append((Labels({"__name__": "special", **base}), _holes(rng, _special(rng, shared))))
            series.append((Labels({"__name__": "jittered_total", **base}), _counter(rng, _jittered(rng))))
            series.append((Labels({"__name__": "limits", **base}), [(t, float(rng.randrange(1, 50))) for t in shared[::8]]))
            series.append((Labels({"__name__": "app_info", **base, "version": rng.choice("12")}), [(t, 1.0) for t in shared]))
            series += _histogram(rng, base, shared)
    return [(labels, samples) for labels, samples in series if samples]


def _counter(rng: random.Random, times: list[int]) -> list[tuple[int, float]]:
    value, out = float(rng.randrange(1000)), []
    whole = rng.random() < 0.5
    for t in times:
        value += rng.randrange(10) if whole else rng.random() * 10
        if rng.random() < 0.01:
            value = float(rng.randrange(3))
        out.append((t, value))
    return out


def _gauge(rng: random.Random, times: list[int]) -> list[tuple[int, float]]:
    level, out = rng.uniform(-100, 100), []
    step = rng.choice((0.0, 1.0, 5.0))
    for t in times:
        level += rng.uniform(-step, step)
        out.append((t, round(level, 2) if rng.random() < 0.9 else level))
    return out


def _special(rng: random.Random, times: list[int]) -> list[tuple[int, float]]:
    odd = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300, -1e300, 1e-300)
    return [(t, rng.choice(odd) if rng.random() < 0.05 else rng.gauss(0, 3)) for t in times]


def _jittered(rng: random.Random) -> list[int]:
    out, t = [], START_MS + rng.randrange(5000)
    while t < START_MS + SPAN_MS:
        out.append(t)
        t += rng.choice((1000, 9_000, 10_000, 10_137, 11_000, 60_000))
    return out


def _histogram(rng: random.Random, base: dict[str, str], times: list[int]) -> list[Series]:
    bounds = ("0.1", "0.5", "1", "2.5", "+Inf")
    counts = [0] * len(bounds)
    columns: list[list[tuple[int, float]]] = [[] for _ in bounds]
    for t in times:
        for _ in range(rng.randrange(6)):
            first = rng.randrange(len(bounds))
            for bucket in range(first, len(bounds)):
                counts[bucket] += 1
        for bucket, column in enumerate(columns):
            column.append((t, float(counts[bucket])))
    return [
        (Labels({"__name__": "h_bucket", **base, "le": bound}), _holes(rng, column, rare=True))
        for bound, column in zip(bounds, columns, strict=True)
    ]


def _holes(rng: random.Random, samples: list[tuple[int, float]], *, rare: bool = False) -> list[tuple[int, float]]:
    """Missed scrapes, a stretch without any, an end marked stale, a life shorter than the whole."""
    kind = rng.random() * (3 if rare else 1)
    if kind < 0.2:
        return [sample for sample in samples if rng.random() > 0.05]
    if kind < 0.4:
        begin = rng.randrange(len(samples))
        end = begin + 1 + rng.randrange(60)
        return samples[:begin] + ([(samples[begin][0], STALE_NAN)] if rng.random() < 0.7 else []) + samples[end:]
    if kind < 0.5:
        return samples[rng.randrange(len(samples) // 2) :]
    return samples


RANGED = tuple(name for name, each in FUNCTIONS.items() if each.takes_windows and name not in OURS_ALONE)
_MATHS = [
    "abs",
    "ceil",
    "floor",
    "exp",
    "sqrt",
    "ln",
    "log2",
    "log10",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "rad",
    "deg",
    "sgn",
    "round",
    "minute",
    "hour",
    "day_of_week",
    "day_of_month",
    "day_of_year",
    "days_in_month",
    "month",
    "year",
    "timestamp",
]
_ODD = (
    "absent", "vector", "clamp", "clamp_min", "clamp_max", "sort", "sort_desc", "sort_by_label", "sort_by_label_desc",
    "absent_over_time", "info",
)  # fmt: skip
_PICKED = ("topk", "bottomk", "quantile", "count_values", "limitk", "limit_ratio")
_SETS = ("and", "or", "unless")
_AGGREGATIONS = ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"]
_ARITHMETIC = ("+", "-", "*", "/", "%", "^", "atan2")
_COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
_LABELS = ("job", "instance", "path")


class QueryMaker:
    """Random expressions of PromQL; `used` counts functions, operators and modifiers."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.used: Counter[str] = Counter()

    def _use(self, name: str) -> str:
        self.used[name] += 1
        return name

    def query(self) -> str:
        maker = self.rng.choices((self.vector, self.scalar, self._top), (24, 2, 1))[0]
        return maker(self.rng.choice((1, 2, 2, 3)))

    def _top(self, depth: int) -> str:
        name = self._use(self.rng.choice(("topk", "bottomk")))
        return f"{name}{self._grouping()}({self.rng.randrange(1, 5)}, {self.vector(depth - 1)})"

    def vector(self, depth: int) -> str:
        if depth <= 0:
            return self.selector()
        makers = {
            self._ranged: RANGED, self._maths: _MATHS, self._aggregate: _AGGREGATIONS, self._picked: _PICKED,
            self._arithmetic: _ARITHMETIC, self._matched: _COMPARISONS, self._sets: _SETS,
            self._histogram: ("histogram_quantile", "histogram_fraction"), self._native: sorted(NATIVE_ONLY),
            self._relabelled: ("label_replace", "label_join"), self._odd: _ODD, self.selector: ("offset",),
        }  # fmt: skip
        if self.rng.random() < 0.4:
            return self.rng.choice(list(makers))(depth)
        # Where names have come up least, so that a short run reaches all of them.
        return min(makers, key=lambda maker: min(self.used[name] for name in makers[maker]))(depth)

    def _pick(self, names: Sequence[str]) -> str:
        """One of these, mostly of those used least."""
        if self.rng.random() < 0.3:
            return self._use(self.rng.choice(names))
        least = min(self.used[name] for name in names)
        return self._use(self.rng.choice([name for name in names if self.used[name] == least]))

    def scalar(self, depth: int = 0) -> str:
        rng = self.rng
        kind = rng.randrange(6)
        if kind == 0 and depth > 0:
            return f"{self._use('scalar')}({self.vector(depth - 1)})"
        if kind == 1:
            return f"{self._use('time')}()"
        if kind == 2:
            return f"{self._use('pi')}()"
        if kind == 3 and depth > 0:
            return f"({self.scalar(depth - 1)} {self._use(rng.choice(_ARITHMETIC))} {self.scalar(depth - 1)})"
        if kind == 4 and depth > 0:
            comparison = self._use(rng.choice(_COMPARISONS))
            return f"({self.scalar(0)} {comparison} {self._use('bool')} {self.scalar(0)})"
        return rng.choice(("0", "1", "2", "0.5", "-1", "10", "1e3", "NaN", "Inf"))

    def selector(self, depth: int = 0, *, name: str = "") -> str:
        rng = self.rng
        name = name or rng.choice(
            ("c_total", "g", "g", "special", "jittered_total", "limits", "h_bucket", "c_total", "gone")[
                : 9 if rng.random() < 0.3 else 8
            ]
        )
        matchers = []
        if rng.random() < 0.4:
            matchers.append(rng.choice(('job="api"', 'job!="db"', 'instance=~"a|b"', 'instance!~"c.*"', 'path="/"', 'none=""')))
        text = name + (f"{{{matchers[0]}}}" if matchers else "")
        return text + self._modifiers()

    def _modifiers(self) -> str:
        rng, text = self.rng, ""
        if rng.random() < 0.12:
            text += f" {self._use('offset')} {rng.choice(('1m', '7m', '-3m', '33s'))}"
        if rng.random() < 0.08:
            self._use("@")
            text += rng.choice((f" @ {START_MS / 1000 + rng.randrange(7200)}", " @ start()", " @ end()"))
        return text

    def range_vector(self, depth: int, *, name: str = "", plain: bool = False) -> str:
        rng = self.rng
        length = rng.choice(("20s", "1m", "2m", "5m", "7m", "10m"))
        if rng.random() < 0.2:
            self._use("subquery")
            step = rng.choice(("", "30s", "1m", "17s"))
            inner = self.vector(min(depth - 1, 1)) if rng.random() < 0.7 and not plain else self.selector()
            return f"({inner})[{length}:{step}]{self._modifiers()}"
        base = self.selector(name=name)
        for modifier in (" offset", " @"):
            base = base.split(modifier)[0]
        return f"{base}[{length}]{self._modifiers()}"

    def _ranged(self, depth: int) -> str:
        name = self._pick(RANGED)
        # Whether a computed value fell or changed may hang on its last bit.
        series = self.range_vector(depth, plain=name in ("rate", "increase", "irate", "resets", "changes"))
        if name == "quantile_over_time":
            return f"{name}({self.rng.choice(('0.9', '0.5', '0', '1', '-1', '2', '0.333'))}, {series})"
        if name == "predict_linear":
            return f"{name}({series}, {self.rng.choice(('60', '3600', '-30'))})"
        if name == "double_exponential_smoothing":
            return f"{name}({series}, {self.rng.choice(('0.3', '0.7'))}, {self.rng.choice(('0.1', '0.5'))})"
        return f"{name}({series})"

    def _maths(self, depth: int) -> str:
        name = self._pick(_MATHS)
        if name in ("sin", "cos", "tan"):  # of huge numbers they are noise: the last bit of the argument decides
            return f"{name}({self.rng.choice(('g', 'limits', 'rate(c_total[1m])', 'c_total % 10'))})"
        if name == "round" and self.rng.random() < 0.5:
            return f"round({self.vector(depth - 1)}, {self.rng.choice(('5', '0.1', '0.25'))})"
        return f"{name}({self.vector(depth - 1)})"

    def _grouping(self) -> str:
        rng = self.rng
        if rng.random() < 0.3:
            return ""
        word = self._use(rng.choice(("by", "without")))
        return f" {word} ({', '.join(rng.sample(_LABELS, rng.randrange(3)))}) "

    def _aggregate(self, depth: int) -> str:
        name = self._pick(_AGGREGATIONS)
        if name.startswith("std"):
            # Prometheus's running variance loses digits where values are far larger than their spread (timestamps).
            return f"{name}{self._grouping()}({self.rng.choice((self.selector(), 'rate(c_total[5m])', 'h_bucket'))})"
        return f"{name}{self._grouping()}({self.vector(depth - 1)})"

    def _picked(self, depth: int) -> str:
        rng = self.rng
        name = self._pick(_PICKED)
        inner = self.vector(depth - 1)
        if name == "limitk":  # which series are first is the store's choice: only how many is comparable
            return f"count({name}{self._grouping()}({rng.randrange(1, 4)}, {inner}))"
        if name in ("topk", "bottomk"):  # nor which of equal values: only how many, or the values of the whole answer
            return f"count({name}{self._grouping()}({rng.randrange(1, 5)}, {inner}))"
        parameter = {
            "quantile": rng.choice(("0.5", "0.99", "0", "-1", "1.5")),
            "count_values": '"value"',
            "limit_ratio": rng.choice(("0.5", "-0.5", "0.1", "1")),
        }[name]
        if name == "count_values":
            inner = rng.choice(("limits", "app_info", "round(g, 50)", "changes(limits[10m])"))
        return f"{name}{self._grouping()}({parameter}, {inner})"

    def _arithmetic(self, depth: int) -> str:
        rng = self.rng
        if rng.random() < 0.15:
            return f"{self._use('unary')[:0]}-({self.vector(depth - 1)})"
        operator = self._pick(_ARITHMETIC + _COMPARISONS)
        if operator in _COMPARISONS and rng.random() < 0.5:
            operator += " " + self._use("bool")
        sides = [self.vector(depth - 1), self.scalar(1)]
        rng.shuffle(sides)
        return f"({sides[0]} {operator} {sides[1]})"

    def _matched(self, depth: int) -> str:
        rng = self.rng
        operator = self._pick(_ARITHMETIC + _COMPARISONS)
        if operator in _COMPARISONS and rng.random() < 0.4:
            operator += " " + self._use("bool")
        if rng.random() < 0.6:
            self._use(grouped := rng.choice(("group_left", "group_right")))
            labels = rng.choice(("on (job, instance)", "ignoring (path)"))
            self._use(labels.split()[0])
            many, one = f"{rng.choice(('c_total', 'g'))}", rng.choice(("limits", "special", "jittered_total"))
            if rng.random() < 0.3 and "on" in labels:
                one, grouped = "app_info", f"{grouped} (version)"
            left, right = (many, one) if grouped.startswith("group_left") else (one, many)
            return f"{left} {operator} {labels} {grouped} {right}"
        if rng.random() < 0.5:
            matching = rng.choice(("on (job, instance, path)", "ignoring (none)", "on (job, instance)"))
            self._use(matching.split()[0])
            pairs = (("c_total", "g"), ("limits", "special"), ("rate(c_total[5m])", "avg_over_time(g[3m])"))
            left, right = rng.choice(pairs)
            return f"{left} {operator} {matching} {right}"
        same = self.selector()
        return f"({same} {operator} {same.split(' ')[0]}{self._modifiers()})"

    def _sets(self, depth: int) -> str:
        rng = self.rng
        operator = self._pick(_SETS)
        matching = rng.choice(("", "", " on (job, instance)", " ignoring (path, le)", " on ()"))
        return f"({self.vector(depth - 1)} {operator}{matching} {self.vector(depth - 1)})"

    def _histogram(self, depth: int) -> str:
        rng = self.rng
        source = rng.choice(
            (
                "h_bucket",
                "rate(h_bucket[5m])",
                "sum by (le, job) (rate(h_bucket[2m]))",
                "sum by (le) (h_bucket)",
                "increase(h_bucket[3m])",
            )
        )
        if rng.random() < 0.3:
            limits = f"{rng.choice(('0', '-Inf', '0.3'))}, {rng.choice(('1', '2', '0.2'))}"
            return f"{self._use('histogram_fraction')}({limits}, {source})"
        return f"{self._use('histogram_quantile')}({rng.choice(('0.5', '0.9', '0.99', '0', '1', '-1', '1.1'))}, {source})"

    def _native(self, depth: int) -> str:
        return f"{self._pick(sorted(NATIVE_ONLY))}({self.selector()})"

    def _relabelled(self, depth: int) -> str:
        rng, inner = self.rng, self.vector(depth - 1)
        if self._pick(("label_replace", "label_join")) == "label_replace":
            return f'label_replace({inner}, "copy", "$1-x", "{rng.choice(_LABELS)}", "(.).*")'
        return f'label_join({inner}, "joined", "/", "job", "instance")'

    def _odd(self, depth: int) -> str:
        rng = self.rng
        if rng.random() < 0.05:
            return f"{self._use(rng.choice(_MATHS[23:31]))}()"
        kind = self._pick(_ODD)
        if kind == "vector":
            return f"vector({self.scalar(1)})"
        if kind == "info":
            return rng.choice(("info(g)", 'info(limits, {__name__="app_info"})', 'info(g, {__name__="app_info", version=~".+"})'))
        inner = self.vector(depth - 1)
        if kind == "absent":
            return f"absent({rng.choice((inner, 'gone', self.selector()))})"
        if kind == "absent_over_time":
            return f"absent_over_time({self.range_vector(depth)})"
        if kind == "clamp":
            return f"clamp({inner}, {rng.choice(('0', '-5', '7'))}, {rng.choice(('1', '100', '3'))})"
        if kind.startswith("clamp_"):
            return f"{kind}({inner}, {self.scalar(0)})"
        if kind.startswith("sort_by"):
            return f'{kind}({inner}, "instance", "path")'
        return f"{kind}({inner})"


def all_names() -> list[str]:
    """Everything that a run has to reach."""
    functions = [name for name in FUNCTIONS if name not in OURS_ALONE]
    aggregations = [*_AGGREGATIONS, "topk", "bottomk", "quantile", "count_values", "limitk", "limit_ratio"]
    words = [*_ARITHMETIC, *_COMPARISONS, "and", "or", "unless", "bool", "on", "ignoring", "group_left", "group_right"]
    return [*functions, *aggregations, *words, "by", "without", "offset", "@", "subquery"]


def as_arrays(samples: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([t for t, _ in samples], np.int64), np.array([value for _, value in samples], np.float64)
