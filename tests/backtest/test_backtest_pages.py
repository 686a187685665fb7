"""The chain behind the rules, the figures, the sweep of thresholds, and the two commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tocsin.app.preflight import LAST_GOOD
from tocsin.backtest.columns import ColumnQueryable
from tocsin.backtest.rehearsal import rehearse
from tocsin.backtest.replay import Firing, Replayer
from tocsin.backtest.summary import only_in, pages_of, summarise
from tocsin.backtest.sweep import comparison_of, firings_per_threshold
from tocsin.backtest.trial import condition, try_out
from tocsin.cli.main import cli
from tocsin.config.load import build
from tocsin.config.sources import Sources
from tocsin.errors import ExecutionError, UsageError
from tocsin.model.alert import AlertReason
from tocsin.model.labels import Labels
from tocsin.model.rule import AlertRule, RuleGroup
from tocsin.promql.engine import Engine
from tocsin.promql.memory import MemoryReader
from tocsin.tsdb.db import Store
from tocsin.tsdb.settings import StoreSettings

HOUR = 3_600_000
STEP = 15_000
START = 1_700_006_400_000  # a midnight in UTC, on a Wednesday
CONFIG = """
global: {smtp_smarthost: "mail.example:25", smtp_from: tocsin@shop.example, smtp_require_tls: false}
users:
  - {name: ana, email: ana@shop.example}
  - {name: ben, email: ben@shop.example}
policies:
  - {name: default, steps: [{notify: ana, wait: 5m}, {notify: ben, wait: 5m}]}
rule_files: [rules.yml]
shipped_rules: false
"""
RULES = """
groups:
- name: shop
  interval: 15s
  rules:
  - alert: Slow
    expr: latency > LIMIT
    for: 1m
    labels: {severity: critical}
    annotations: {summary: slow}
"""


def config(limit: float = 1.0) -> object:
    return build(Sources(("tocsin.yaml",), {"tocsin.yaml": CONFIG, "rules.yml": RULES.replace("LIMIT", str(limit))}))


def firing(fired_h: float, length_h: float = 1.0, name: str = "Slow", severity: str = "critical", **labels: str) -> Firing:
    fired_ms = START + int(fired_h * HOUR)
    all_labels = Labels({"alertname": name, "severity": severity, **labels})
    ended_ms = fired_ms + int(length_h * HOUR) if length_h else 0
    return Firing(f"r{name}", name, all_labels, fired_ms, fired_ms, ended_ms, 1.0, AlertReason.HOLD_MET)


def test_a_firing_becomes_one_page_and_one_incident_when_it_is_answered() -> None:
    made = config()
    result = rehearse([firing(3)], made.routing, made.directory, start_ms=START, end_ms=START + 24 * HOUR)
    pages = pages_of(result, START, START + 24 * HOUR)
    assert (pages.pages, pages.incidents, pages.untold, dict(pages.by_person)) == (1, 1, 0, {"ana": 1})
    assert pages.at_night == 1
    assert pages.pages_per_week == pytest.approx(7)


def test_nobody_answers_and_the_next_one_is_paged() -> None:
    made = config()
    result = rehearse([firing(3)], made.routing, made.directory, start_ms=START, end_ms=START + 24 * HOUR, ack_after_ms=0)
    assert {message.who for message in result.told} == {"ana", "ben"}


def test_alerts_of_one_group_are_one_page_and_two_rehearsals_are_equal() -> None:
    made = config()
    many = [firing(3, instance=str(i)) for i in range(5)]
    once = rehearse(many, made.routing, made.directory, start_ms=START, end_ms=START + 6 * HOUR)
    again = rehearse(many, made.routing, made.directory, start_ms=START, end_ms=START + 6 * HOUR)
    assert once == again
    assert pages_of(once, START, START + 6 * HOUR).pages == 1


def test_figures_of_a_rule() -> None:
    replay = Replayer([], start_ms=START, end_ms=START + 7 * 24 * HOUR, reader=MemoryReader(), build=Engine).run()
    replay.firings = [firing(12, 0.05), firing(12.1, 2), firing(26, 0)]
    (rule,) = summarise(replay)
    assert (rule.firings, rule.per_week, rule.at_night, rule.short, rule.again, rule.still_firing) == (3, 3.0, 1, 1, 1, 1)
    assert only_in(replay.firings, [firing(12, 1)]) == [firing(26, 0)]


def test_sweep_counts_what_each_threshold_would_fire() -> None:
    random = np.random.default_rng(5)
    times = np.arange(START, START + 6 * HOUR, STEP)
    series = []
    for i in range(4):
        values = np.round(np.abs(np.cumsum(random.normal(0, 0.3, times.size))), 2)
        kept = random.random(times.size) < 0.97
        series.append((Labels({"__name__": "latency", "i": str(i)}), times[kept].tolist(), values[kept].tolist()))
    engine = Engine(MemoryReader(series))
    compared = comparison_of("latency > 3")
    thresholds = [0.5, 1.0, 2.25, 3.0, 7.0]
    group = RuleGroup("g", "f", STEP, (AlertRule("r", "g", "R", "x", for_ms=60_000),))
    counted = []
    for threshold in thresholds:
        rule = AlertRule("r", "g", "R", f"latency > {threshold}", for_ms=60_000)
        replayer = Replayer(
            [RuleGroup("g", "f", STEP, (rule,))],
            start_ms=START,
            end_ms=START + 6 * HOUR,
            queryable=engine,
            warm_up_ms=0,
        )
        counted.append(len(replayer.run().firings))
    from tocsin.backtest.replay import slots

    grid = slots(group, START - 1, START + 6 * HOUR)
    columns = ColumnQueryable(engine, points=500).fetch(compared.left, int(grid[0]), int(grid[-1]), STEP)
    assert firings_per_threshold(columns, compared.sign, 4, thresholds) == counted
    below = comparison_of("latency < 2")
    assert (below.left, below.threshold, below.sign) == ("latency", 2.0, -1)
    with pytest.raises(ExecutionError, match="can be swept where"):
        comparison_of("latency")


def test_conditions_name_what_they_may_compare() -> None:
    made = config()
    replay = Replayer([], start_ms=START, end_ms=START + HOUR, reader=MemoryReader(), build=Engine).run()
    trial = try_out(replay, made.routing, made.directory)
    assert condition("pages_per_week >= 0")(trial)
    assert not condition("firings>0")(trial)
    for wrong in ("pages", "sleep>1", "pages>x"):
        with pytest.raises(UsageError, match="pages_per_week"):
            condition(wrong)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with six hours of a latency that is 5 s for half an hour, and a configuration beside it."""

    class Clock:
        t_ms = START

        def now_ms(self) -> int:
            return self.t_ms

        def monotonic_s(self) -> float:
            return self.t_ms / 1000

        async def sleep_until_ms(self, t_ms: int) -> None:
            raise AssertionError

    clock = Clock()
    store = Store(path=tmp_path / "data" / "store", settings=StoreSettings(), clock=clock)
    store.open()
    refs = store.refs([Labels({"__name__": "latency", "instance": "a"})])
    for t_ms in range(START, START + 6 * HOUR, STEP):
        clock.t_ms = t_ms
        slow = 2 * HOUR <= t_ms - START < 2.5 * HOUR
        store.append_refs(refs, t_ms, np.array([5.0 if slow else 0.2]), grid_ms=STEP)
    store.close()
    (tmp_path / "tocsin.yaml").write_text(CONFIG)
    (tmp_path / "rules.yml").write_text(RULES.replace("LIMIT", "1"))
    in_force = Sources(("tocsin.yaml",), {"tocsin.yaml": CONFIG, "rules.yml": RULES.replace("LIMIT", "10")})
    (tmp_path / "data" / LAST_GOOD).write_bytes(in_force.to_json())
    monkeypatch.chdir(tmp_path)
    return tmp_path


SPAN = ["--since", "2023-11-15T00:00Z", "--until", "2023-11-15T06:00Z"]


def test_command_backtest(shop: Path) -> None:
    result = CliRunner().invoke(cli, ["backtest", *SPAN, "--json"], catch_exceptions=False)
    answer = json.loads(result.output)
    assert result.exit_code == 0
    (found,) = answer["firings"]
    assert found["rule"] == "Slow"
    assert 60_000 <= found["fired_ms"] - START - 2 * HOUR <= 75_000
    assert answer["figures"]["pages"] == 1
    text = CliRunner().invoke(cli, ["backtest", "rules.yml", *SPAN, "--rule", "Slow"], catch_exceptions=False).output
    assert "Slow" in text and "1 pages" in text and "ana: 1" in text


def test_command_backtest_fails_where_it_is_told_to(shop: Path) -> None:
    result = CliRunner().invoke(cli, ["backtest", *SPAN, "--fail-if", "pages>0", "--fail-if", "pages>5"])
    assert result.exit_code == 1
    assert "failed: pages>0" in result.output and "pages>5" not in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rule", "Nope"], "there is no alert 'Nope'; there are Slow"),
        (["--since", "yesterday"], "neither a duration such as 30d nor an instant"),
        (["--data-dir", "elsewhere"], "there is no store in elsewhere"),
        (["--since", "2023-11-16T00:00Z"], "--since must be before --until"),
    ],
)
def test_command_backtest_says_what_is_wrong(shop: Path, arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(cli, ["backtest", "--until", "2023-11-15T06:00Z", *arguments])
    assert says in str(result.exception)


def test_command_plan_compares_with_what_is_in_force(shop: Path) -> None:
    result = CliRunner().invoke(cli, ["plan", *SPAN, "--json"], catch_exceptions=False)
    answer = json.loads(result.output)
    assert (answer["before"]["pages"], answer["after"]["pages"]) == (0, 1)
    assert [found["rule"] for found in answer["only_after"]] == ["Slow"]
    assert answer["only_before"] == []
    text = CliRunner().invoke(cli, ["plan", *SPAN], catch_exceptions=False).output
    assert "would come:" in text and "Slow" in text
