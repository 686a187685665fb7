"""How long a rule took is told, as Prometheus's API tells it."""

from __future__ import annotations

import itertools

from tocsin.model.labels import Labels
from tocsin.model.rule import AlertRule, RuleGroup
from tocsin.promql.engine import Engine
from tocsin.promql.memory import MemoryReader
from tocsin.rules.group import GroupRun, Surroundings
from tocsin.rules.shown import shown_groups


def test_evaluation_time_is_measured() -> None:
    reader = MemoryReader([(Labels({"__name__": "x"}), [0], [1.0])])
    group = RuleGroup("g", "f", 15_000, (AlertRule("a", "g", "A", "x > 0"), AlertRule("b", "g", "B", "x > 5")))
    ticks = itertools.count()
    run = GroupRun(group)
    run.evaluate(run.runs, 0, Surroundings(Engine(reader), monotonic_s=lambda: next(ticks) / 4))
    (shown,) = shown_groups([run])
    assert [rule["evaluationTime"] for rule in shown["rules"]] == [0.25, 0.25]
    assert shown["evaluationTime"] == 0.5
