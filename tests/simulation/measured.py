"""The measured side: targets whose series turn bad and good, a scraper that may lose them, and the truth about all of it.

`Measured` answers the rules' queries (a `Queryable`) and tells `Sight` which targets were seen (a `SampleReader`), as the store
would; the truth is kept apart, in true time.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np

from tocsin.errors import ExecutionError
from tocsin.model.labels import Labels
from tocsin.model.ports import AppendResult
from tocsin.model.rule import AlertRule, RuleGroup
from tocsin.model.series import STALE_NAN, Batch, QueryResult, ValueType, Vector
from tocsin.rules.memory import MemoryStore

INTERVAL_S = 10.0
_LOOKBACK_MS = 300_000
METRICS = ("errors", "latency", "drops")
INSTANCES = ("a", "b", "c")
EXPRESSIONS = {"errors > 0": "errors", "latency > 0": "latency", "rate(drops[1m]) > 0": "drops"}
SLOWEST_S = 50.0
"""From a change of the truth to the transition at the latest: a scrape, `for` or `keep_firing_for`, an evaluation."""
Series = tuple[str, str]
"""(metric, instance)"""


def rule_groups(*, for_ms: int = 15_000, summary: str = "bad", file: str = "rules.yml") -> list[RuleGroup]:
    """Three rules: at once, after a hold, and one that goes on for a while."""
    labels = {"severity": "critical", "service": "web"}
    texts = {"summary": summary}

    def rule(name: str, expr: str, **more: Any) -> AlertRule:
        return AlertRule(f"{name}-id", "sim", name, expr, labels=labels, annotations=texts, **more)

    fast = rule("Errors", "errors > 0")
    held = rule("Latency", "latency > 0", for_ms=for_ms)
    kept = rule("Drops", "rate(drops[1m]) > 0", keep_firing_for_ms=20_000)
    return [RuleGroup("one", file, round(INTERVAL_S * 1000), (fast, held)), RuleGroup("two", file, 10_000, (kept,))]


@dataclass
class Measured:
    chance: random.Random
    store: MemoryStore = field(default_factory=MemoryStore)
    bad: dict[Series, bool] = field(default_factory=lambda: {(m, i): False for m in METRICS for i in INSTANCES})
    history: list[tuple[float, Series, bool]] = field(default_factory=list)
    """(true time, series, bad from then on)"""
    failing: set[str] = field(default_factory=set)
    """Instances whose scrape fails."""
    silent: set[str] = field(default_factory=set)
    """Instances that nobody scrapes."""
    queries_fail: bool = False
    good_scrapes: list[tuple[float, Series]] = field(default_factory=list)
    """Every time a series was seen to be good: only that may end an alert."""
    _samples: dict[Series, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    _scraped_ms: int = 0

    def turn(self, series: Series, *, bad: bool, t_s: float) -> None:
        if self.bad[series] != bad:
            self.bad[series] = bad
            self.history.append((t_s, series, bad))

    def scrape(self, now_ms: int, t_s: float) -> None:
        """One round of all targets, as the scraper would write it. A wall clock that went back has its samples refused."""
        if now_ms <= self._scraped_ms:
            return
        self._scraped_ms = now_ms
        for instance in INSTANCES:
            if instance in self.silent:
                continue
            up = instance not in self.failing
            self._write("up", instance, now_ms, float(up))
            for metric in METRICS:
                held = self._samples[(metric, instance)]
                value = float(self.bad[(metric, instance)]) if up else STALE_NAN
                if not up and (not held or held[-1][1] != held[-1][1]):
                    continue
                held.append((now_ms, value))
                self._write(metric, instance, now_ms, value)
                if not value:
                    self.good_scrapes.append((t_s, (metric, instance)))

    def _write(self, metric: str, instance: str, t_ms: int, value: float) -> None:
        self.store.load(_labels(metric, instance), [t_ms], [value])

    # -- as the engine --

    def instant(self, query: str, t_ms: int) -> QueryResult:
        if self.queries_fail and self.chance.random() < 0.7:
            raise ExecutionError("query processing would load too many samples")
        metric = EXPRESSIONS[query]
        found = []
        for instance in INSTANCES:
            held = self._samples[(metric, instance)]
            at = bisect_right(held, t_ms, key=itemgetter(0)) - 1
            if at >= 0 and held[at][1] > 0 and held[at][0] > t_ms - _LOOKBACK_MS:
                found.append((_labels(metric, instance), held[at][1]))
        labels = tuple(labels for labels, _ in found)
        values = np.array([value for _, value in found])
        return QueryResult(ValueType.VECTOR, t_ms, vector=Vector(labels, values, np.full(len(found), t_ms, dtype=np.int64)))

    def range(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> QueryResult:
        raise NotImplementedError

    # -- as the store's door for rule results, which nobody reads here --

    def append(self, batch: Batch) -> AppendResult:
        return AppendResult(len(batch.labels), {})


_KNOWN: dict[tuple[str, str], Labels] = {}


def _labels(metric: str, instance: str) -> Labels:
    found = _KNOWN.get((metric, instance))
    if found is None:
        found = _KNOWN[(metric, instance)] = Labels({"__name__": metric, "job": "web", "instance": instance})
    return found
