"""A replay finds exactly what evaluating at every single instant finds."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest

from tocsin.backtest.replay import Firing, Replayer, slots
from tocsin.model.labels import Labels
from tocsin.model.rule import AlertRule, NativeSettings, RecordingRule, RuleGroup, Semantics
from tocsin.promql.engine import Engine
from tocsin.promql.memory import MemoryReader
from tocsin.rules.alerting import fires, resolves
from tocsin.rules.blindness import Sight
from tocsin.rules.group import GroupRun, Surroundings

STEP = 15_000
HOUR = 3_600_000


def stored(dice: random.Random, length: int) -> MemoryReader:
    """Two series in spells above and below 10, with gaps; and the `up` of their target, which fails now and then."""
    reader = MemoryReader()
    for instance in ("a", "b"):
        values: list[float] = []
        ups: list[float] = []
        while len(values) < length:
            spell = dice.choice([1, 2, 3, 4, 8, 21, 40])
            kind = dice.choice(["low", "middle", "high", "gap", "down"])
            level = {"low": 1.0, "middle": 8.0, "high": 20.0, "gap": np.nan, "down": np.nan}[kind]
            values += [level] * spell
            ups += [0.0 if kind == "down" else 1.0] * spell
        for name, row in (("load", values), ("up", ups)):
            here = [(i * STEP, v) for i, v in enumerate(row[:length]) if not np.isnan(v)]
            labels = Labels({"__name__": name, "job": "j", "instance": instance})
            reader.append(labels, [t for t, _ in here], [v for _, v in here])
    return reader


def rules(dice: random.Random) -> AlertRule:
    rule = AlertRule(
        "r",
        "g",
        "High",
        dice.choice(["load > 10", "rate(load[1m]) > 0 or load > 15", "sum(load) > 25", "max_over_time(load[2m]) > 10"]),
        for_ms=dice.choice([0, 0, 30_000, 60_000, 300_000]),
        keep_firing_for_ms=dice.choice([0, 0, 60_000]),
        annotations={"summary": "{{ $value }}"},
        semantics=dice.choice(list(Semantics)),
    )
    if rule.semantics is not Semantics.NATIVE:
        return rule
    native = NativeSettings(
        hold_m=(m := dice.choice([0, 2, 3])),
        hold_n=5 if m else 0,
        clear_expr=dice.choice(["", "load > 5"]),
        clear_for_ms=dice.choice([0, 90_000]),
        on_nodata=dice.choice(["keep", "ok", "alert"]),
        min_traffic_expr=(traffic := dice.choice(["", "count by (job) (load)"])),
        min_traffic=2.0 if traffic else 0.0,
        thresholds=dice.choice([(), (('{instance="b"}', 7.0),)]) if rule.expr == "load > 10" else (),
    )
    return dataclasses.replace(rule, native=native)


def looked_at_every_instant(group: RuleGroup, reader: MemoryReader, start_ms: int, end_ms: int) -> list[Firing]:
    run = GroupRun(group)
    around = Surroundings(Engine(reader), unsighted=Sight(reader).unsighted)
    found, still = [], {}
    for t_ms in slots(group, start_ms, end_ms).tolist():
        (outcome,) = run.evaluate(run.runs, t_ms, around)
        for move in outcome.transitions:
            if fires(move):
                still[move.labels] = Firing("r", "High", move.labels, move.active_at_ms, move.at_ms, 0, move.value, move.reason)
            elif resolves(move):
                found.append(dataclasses.replace(still.pop(move.labels), resolved_ms=move.at_ms, reason=move.reason))
    return sorted([*found, *still.values()], key=lambda firing: (firing.fired_ms, firing.labels.pairs))


@pytest.mark.parametrize("seed", range(24))
def test_replay_equals_looking_at_every_instant(seed: int) -> None:
    dice = random.Random(seed)
    length = 240
    reader = stored(dice, length)
    group = RuleGroup("g", "f", STEP, (rules(dice),), query_offset_ms=dice.choice((0, STEP, 7_000)))
    result = Replayer([group], start_ms=0, end_ms=length * STEP, reader=reader, build=Engine, warm_up_ms=0).run()
    expected = looked_at_every_instant(group, reader, -1, length * STEP)
    assert list(map(repr, result.firings)) == list(map(repr, expected))  # a NaN equals none, its text does
    assert result.evaluations >= result.looks
    assert not result.errors


def test_quiet_hours_cost_no_look() -> None:
    times = np.arange(0, 24 * HOUR, STEP)
    reader = MemoryReader([(Labels({"__name__": "x"}), times.tolist(), np.where(times == 12 * HOUR, 5.0, 0.0).tolist())])
    group = RuleGroup("g", "f", STEP, (AlertRule("r", "g", "X", "x > 1"),))
    result = Replayer([group], start_ms=0, end_ms=24 * HOUR, reader=reader, build=Engine).run()
    assert [firing.name for firing in result.firings] == ["X"]
    assert result.evaluations >= 5_760
    assert result.looks <= 4


def test_recording_rules_are_recomputed_and_what_was_recorded_is_not_looked_at() -> None:
    times = np.arange(0, 6 * HOUR, STEP)
    stored = [
        (Labels({"__name__": "x", "i": "1"}), times.tolist(), np.where(times > 3 * HOUR, 5.0, 0.0).tolist()),
        (Labels({"__name__": "job:x:sum"}), times.tolist(), [100.0] * times.size),
    ]
    rules = (
        AlertRule("r", "g", "X", "avg_over_time(job:x:twice[5m]) > 8"),
        RecordingRule("b", "g", "job:x:twice", "job:x:sum * 2"),
        RecordingRule("a", "g", "job:x:sum", "sum(x)"),
    )
    result = Replayer(
        [RuleGroup("g", "f", STEP, rules)], start_ms=HOUR, end_ms=6 * HOUR, reader=MemoryReader(stored), build=Engine
    ).run()
    (firing,) = result.firings
    assert 3 * HOUR < firing.fired_ms < 3 * HOUR + 600_000
    assert not firing.resolved_ms


def test_a_query_that_fails_is_told_and_stops_nothing_else() -> None:
    reader = MemoryReader([(Labels({"__name__": "x", "i": str(i)}), [0, STEP], [1.0, 1.0]) for i in range(2)])
    bad = AlertRule("r", "g", "Bad", "x * on () group_left () x > 0")
    good = AlertRule("s", "g", "Good", "x > 0")
    result = Replayer([RuleGroup("g", "f", STEP, (bad, good))], start_ms=0, end_ms=STEP, reader=reader, build=Engine).run()
    assert set(result.errors) == {"Bad"}
    assert {firing.name for firing in result.firings} == {"Good"}
