"""Rules that come out of `slos:`: what they say, when they fire over history, and what a bad `alert:` is told."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import yaml

from tocsin.alerts.inhibit import Inhibitions, InhibitRules
from tocsin.alerts.route import DEFAULT_INHIBITIONS
from tocsin.backtest.replay import Replayer
from tocsin.config.load import build
from tocsin.config.sources import Sources
from tocsin.errors import ConfigError
from tocsin.model.labels import Labels
from tocsin.model.rule import AlertRule, RuleGroup
from tocsin.promql.engine import Engine
from tocsin.promql.memory import MemoryReader
from tocsin.rules.errorcount import error_count
from tocsin.rules.objectives import ALERT, FILE
from tocsin.rules.testing import run_rule_tests

START = 1_700_006_400_000
MINUTE = 60_000
HOUR = 60 * MINUTE
EXPR = '1 - sum(rate(req_total{code=~"5.."}[$window])) / sum(rate(req_total[$window]))'
ANSWERS = f"""
- name: checkout answers
  service: checkout
  target: 0.999
  expr: '{EXPR}'
  alert: true
"""


def groups_of(slos: str, extra: str = "") -> list[RuleGroup]:
    text = f"shipped_rules: false\nslos:{slos}{extra}"
    return [group for group in build(Sources(("t.yaml",), {"t.yaml": text})).rule_groups if group.file == FILE]


def rules_of(slos: str) -> list[AlertRule]:
    return [rule for group in groups_of(slos) for rule in group.rules if isinstance(rule, AlertRule)]


def problems_of(slos: str) -> list[str]:
    """Errors, else warnings."""
    try:
        config = build(Sources(("t.yaml",), {"t.yaml": f"shipped_rules: false\nslos:{slos}"}))
    except ConfigError as error:
        return [str(problem) for problem in error.problems if not problem.warning]
    return [str(problem) for problem in config.warnings if "slos" in str(problem)]


def requests(hours: float, share: Callable[[np.ndarray], np.ndarray], *, a_minute: float = 600) -> MemoryReader:
    """Counters of good and bad requests, one sample a minute; `share` of them fails, by the hour."""
    t_ms = START + np.arange(0, int(hours * HOUR), MINUTE)
    bad = np.cumsum(a_minute * share((t_ms - START) / HOUR))
    good = np.cumsum(np.full(t_ms.size, a_minute)) - bad
    return MemoryReader(
        [
            (Labels({"__name__": "req_total", "code": code}), t_ms.tolist(), values.tolist())
            for code, values in (("200", good), ("500", bad))
        ]
    )


def between(begin_h: float, end_h: float, share: float, otherwise: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    return lambda hour: np.where((hour >= begin_h) & (hour < end_h), share, otherwise)


def fired(reader: MemoryReader, hours: float, slos: str = ANSWERS) -> list[tuple[str, float, float]]:
    """(window, hour of firing, hour of its end or 0)."""
    groups = groups_of(slos)
    result = Replayer(groups, start_ms=START, end_ms=START + int(hours * HOUR) - MINUTE, reader=reader, build=Engine).run()
    assert not result.errors
    return [
        (one.labels.get("window"), (one.fired_ms - START) / HOUR, (one.resolved_ms - START) / HOUR if one.resolved_ms else 0.0)
        for one in result.firings
    ]


def test_an_outage_pages_within_two_minutes_once_and_ends_by_the_short_window() -> None:
    ((window, begin, end),) = fired(requests(20, between(8, 8.25, 1.0)), 20)
    assert window == "1h"
    assert 8 < begin <= 8 + 3 / 60
    assert 8.25 + 3 / 60 <= end <= 8.25 + 7 / 60


def test_a_slow_burn_pages_over_six_hours_and_ends_by_half_an_hour() -> None:
    ((window, begin, end),) = fired(requests(96, between(74, 82, 0.008)), 96)
    assert window == "6h"
    assert 74 + 4.4 <= begin <= 74 + 4.7  # 6/8 of six hours
    assert 82 < end <= 82.5


def test_a_slow_leak_is_a_ticket() -> None:
    found = fired(requests(72, between(20, 72, 0.002)), 72)
    assert [window for window, *_ in found] == ["3d"]
    assert found[0][1] > 24


def test_two_minutes_of_a_fifth_failing_tell_nobody() -> None:
    assert fired(requests(16, between(8, 8 + 2 / 60, 0.2)), 16) == []


def test_burning_on_slowly_after_an_outage_is_told_when_the_outage_has_left_the_short_window() -> None:
    def share(hour: np.ndarray) -> np.ndarray:
        return np.where((hour >= 8) & (hour < 8.25), 1.0, np.where((hour >= 8.25) & (hour < 12), 0.01, 0.0))

    found = fired(requests(20, share), 20)
    assert [window for window, *_ in found] == ["1h", "6h"]
    assert found[1][1] >= found[0][2] + 0.4


def test_without_traffic_nothing_fires_and_what_fires_ends() -> None:
    assert fired(requests(12, between(0, 12, 1.0), a_minute=0), 12) == []
    t_ms = START + np.arange(0, 12 * HOUR, MINUTE)
    stops = np.minimum(np.arange(t_ms.size), 8 * 60 + 5)  # the counters stand still from 8:05 on
    bad = np.where(stops > 8 * 60, (stops - 8 * 60) * 600.0, 0.0)
    good = np.minimum(stops, 8 * 60) * 600.0
    still = MemoryReader(
        [(Labels({"__name__": "req_total", "code": c}), t_ms.tolist(), v.tolist()) for c, v in (("200", good), ("500", bad))]
    )
    ((_, begin, end),) = fired(still, 12)
    assert begin < 8.1 < end < 8.3


def test_at_tiny_traffic_the_number_of_errors_guards() -> None:
    t_ms = START + np.arange(0, 16 * HOUR, MINUTE)
    good = np.floor(np.arange(t_ms.size) / 20)  # three an hour
    bad = np.where(t_ms >= START + 10 * HOUR, 1.0, 0.0)
    reader = MemoryReader(
        [(Labels({"__name__": "req_total", "code": c}), t_ms.tolist(), v.tolist()) for c, v in (("200", good), ("500", bad))]
    )
    assert fired(reader, 16) == []
    careless = ANSWERS.replace("alert: true", "alert: {min_errors: 0}")
    assert next(window for window, *_ in fired(reader, 16, careless)) == "1h"


def of_a_check(hours: float, downs: Iterable[tuple[float, float]]) -> MemoryReader:
    t_ms = START + np.arange(0, int(hours * HOUR), 30_000)
    hour = (t_ms - START) / HOUR
    down = np.zeros(t_ms.size)
    for begin, end in downs:
        down[(hour >= begin) & (hour < end)] = 1.0
    states = {"up": 1 - down, "degraded": 0 * down, "down": down, "unknown": 0 * down}
    return MemoryReader(
        [
            (Labels({"__name__": "tocsin_check_state", "check": "web", "state": name}), t_ms.tolist(), values.tolist())
            for name, values in states.items()
        ]
    )


UPTIME = "\n- {name: web is up, check: web, target: 0.999, alert: true}\n"


def test_the_uptime_of_a_check_burns_while_it_is_down_and_not_a_moment_longer() -> None:
    ((window, begin, end),) = fired(of_a_check(20, [(8, 8.2)]), 20, UPTIME)
    assert window == "1h"
    assert begin <= 8 + 3 / 60 and end <= 8.2 + 1.5 / 60
    assert fired(of_a_check(20, [(8, 8 + 0.5 / 60)]), 20, UPTIME) == []


def test_many_short_failures_of_a_check_are_a_ticket() -> None:
    uptime = UPTIME.replace("0.999", "0.99")
    downs = [(hour, hour + 0.05) for hour in np.arange(4.0, 40.0, 2.0)]  # three minutes of every two hours
    assert {window for window, *_ in fired(of_a_check(40, downs), 40, uptime)} == {"3d"}


# -- what the rules say ----------------------------------------------------------------------------------------------------


def test_the_rules_are_alert_rules_with_the_place_in_the_file() -> None:
    groups = groups_of(ANSWERS)
    assert [(group.name, group.interval_ms) for group in groups] == [
        ("slos: checkout answers", MINUTE),
        ("slos: checkout answers, 3d", 5 * MINUTE),
    ]
    fast, slow, ticket = (rule for group in groups for rule in group.rules)
    assert dict(fast.labels) == {"service": "checkout", "slo": "checkout answers", "severity": "critical", "window": "1h"}
    assert (slow.labels["severity"], slow.labels["window"], ticket.labels["severity"]) == ("critical", "6h", "warning")
    assert str(fast.place).startswith("t.yaml:7")
    assert fast.expr.splitlines() == [
        f"(1 - ({EXPR.replace('$window', '1h')})) / 0.001 > 14.4",
        f"and (1 - ({EXPR.replace('$window', '5m')})) / 0.001 > 14.4",
        'and (sum(rate(req_total{code=~"5.."}[1h])) * 3600) >= 10',
    ]
    assert ticket.expr.count("unless on ()") == 2
    assert {"summary", "impact", "first_steps", "runbook_url"} <= set(fast.annotations)


def test_the_block_chooses_severities_labels_and_texts() -> None:
    block = "{page: warning, ticket: false, for: 3m, labels: {team: payments}, annotations: {runbook_url: 'https://wiki'}}"
    fast, slow = rules_of(ANSWERS.replace("alert: true", f"alert: {block}"))
    assert fast.labels["severity"] == slow.labels["severity"] == "warning"
    assert fast.labels["team"] == "payments"
    assert fast.for_ms == 3 * MINUTE
    assert fast.annotations["runbook_url"] == "https://wiki"
    assert "unless" not in slow.expr  # with a `for`, samples do not say what was told
    assert rules_of(ANSWERS.replace("alert: true", "alert: false")) == []


def test_the_slow_one_is_covered_by_the_fast_one_and_that_of_a_check_by_the_check() -> None:
    rules = InhibitRules(DEFAULT_INHIBITIONS)
    fast, slow, ticket = (Labels({**rule.labels, "alertname": rule.name}) for rule in rules_of(ANSWERS))
    others = Inhibitions(rules, [("fast", fast), ("slow", slow)])
    assert [others.inhibitor_of(one) for one in (fast, slow, ticket)] == ["", "fast", "fast"]
    assert not others.inhibitor_of(Labels({**slow, "slo": "another"}))
    down = Labels({"alertname": "CheckDown", "severity": "critical", "check": "web"})
    (burn, *_) = (Labels({**rule.labels, "alertname": rule.name}) for rule in rules_of(UPTIME))
    assert Inhibitions(rules, [("down", down)]).inhibitor_of(burn) == "down"


def test_errors_are_counted_where_the_expression_tells_them() -> None:
    def count(good: str) -> str:
        return error_count(good)

    assert count("1 - sum(rate(b[$window])) / sum(rate(a[$window]))") == "sum(rate(b[$window])) * $seconds"
    assert (
        count("1 - (sum(increase(b[$window])) or vector(0)) / sum(increase(a[$window]))")
        == "(sum(increase(b[$window])) or vector(0))"
    )
    assert (
        count("sum(increase(g[$window])) / sum(increase(a[$window]))")
        == "(sum(increase(a[$window])) - sum(increase(g[$window])))"
    )
    assert count("(sum(rate(x[$window])) + sum(rate(y[$window]))) / sum(rate(a[$window]))").endswith("* $seconds")
    for other in (
        "avg_over_time(up[$window])",
        "1 - sum(rate(b[5m])) / sum(rate(a[$window]))",
        "1 - sum by (x) (rate(b[$window])) / on (x) sum by (x) (rate(a[$window]))",
        "1 - sum(rate(b[$window])) / sum(increase(a[$window]))",
        "1 - histogram_quantile(0.9, sum(rate(b[$window]))) / sum(rate(a[$window]))",
        "not promql",
    ):
        assert count(other) == "", other


# -- bad input -------------------------------------------------------------------------------------------------------------


def slo(alert: str = "true", *, expr: str = EXPR, target: float = 0.999) -> str:
    return f"\n- name: a\n  target: {target}\n  expr: '{expr}'\n  alert: {alert}\n"


@pytest.mark.parametrize(
    ("slos", "place", "said"),
    [
        (slo(expr="sum(rate(b[5m]))"), "t.yaml:5", "no $window"),
        (slo(expr="scalar(sum(rate(b[$window])))"), "t.yaml:5", "this is a number"),
        (slo("{page: urgent}"), "t.yaml:6", "no severity 'urgent'"),
        (slo("{page: false, ticket: false}"), "t.yaml:6", "nothing is left to tell"),
        (slo("{errors: 'sum(rate(b[5m]))'}"), "t.yaml:6", "no $window"),
        (slo("{errors: 'sum(('}"), "t.yaml:6", "no $window"),
        (slo("{errors: 'sum(x[$window]'}"), "t.yaml:6", "not PromQL"),
        (slo("{labels: {severity: x}}"), "t.yaml:6", "cannot be a label here"),
        (slo("{annotations: {summary: '{{ $value'}}"), "t.yaml:6", "not a template"),
        (slo("{pages: critical}"), "t.yaml:6", "pages"),
        (slo("sometimes"), "t.yaml:6", "alert"),
        (
            "\n- {name: a, check: web, target: 0.99, alert: {errors: 'sum(rate(b[$window]))'}}\n",
            "t.yaml:3",
            "a check counts no errors",
        ),
    ],
)
def test_a_bad_alert_is_told_with_its_place(slos: str, place: str, said: str) -> None:
    found = problems_of(slos)
    assert any(line.startswith(place) and said in line for line in found), found


def test_a_rule_that_could_never_fire_is_left_out_and_said() -> None:
    slos = slo(target=0.9)
    assert [rule.labels["window"] for rule in rules_of(slos)] == ["6h", "3d"]
    (said,) = problems_of(slos)
    assert "at most 10 times" in said and "14.4x over 1h" in said and said.startswith("t.yaml:4")
    assert [rule.labels["window"] for rule in rules_of(slo(target=0.5))] == ["3d"]
    assert problems_of(slo()) == []


def test_errors_that_cannot_be_counted_are_said() -> None:
    (said,) = problems_of(slo(expr="avg(avg_over_time(ok[$window]))"))
    assert "does not tell how many" in said and "min_errors: 0" in said
    assert problems_of(slo("{min_errors: 0}", expr="avg(avg_over_time(ok[$window]))")) == []
    (fast, *_) = rules_of(slo("{errors: 'sum(increase(b[$window]))'}", expr="avg by (x) (avg_over_time(ok[$window]))"))
    assert fast.expr.endswith("and on () (sum(increase(b[1h]))) >= 10")


def test_names_and_services_are_no_templates() -> None:
    (fast, *_) = rules_of(slo().replace("name: a", "name: '{{ boom }}'"))
    assert fast.labels["slo"] == '{{ "{{ boom }}" }}'


# -- promtool --------------------------------------------------------------------------------------------------------------


def rule_file(folder: Path) -> Path:
    """The rules of the objective as a file of Prometheus, with a unit test of promtool's beside it."""
    groups = [
        {
            "name": group.name,
            "interval": f"{group.interval_ms // 1000}s",
            "rules": [
                {
                    "alert": rule.name,
                    "expr": rule.expr,
                    "for": f"{rule.for_ms // 1000}s",
                    "labels": dict(rule.labels),
                    "annotations": dict(rule.annotations),
                }
                for rule in group.rules
                if isinstance(rule, AlertRule)
            ],
        }
        for group in groups_of(ANSWERS)
    ]
    (folder / "slos.yml").write_text(yaml.safe_dump({"groups": groups}))
    test = {
        "rule_files": ["slos.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "external_url": "http://t",
                "input_series": [
                    {"series": 'req_total{code="200"}', "values": "0+600x10 6000+0x10"},
                    {"series": 'req_total{code="500"}', "values": "0+0x10 0+600x10"},
                ],
                "alert_rule_test": [
                    {"alertname": ALERT, "eval_time": "10m", "exp_alerts": []},
                    {
                        "alertname": ALERT,
                        "eval_time": "15m",
                        "exp_alerts": [{"exp_labels": LABELS, "exp_annotations": ANNOTATIONS}],
                    },
                ],
            }
        ],
    }
    path = folder / "slos.test.yml"
    path.write_text(yaml.safe_dump(test))
    return path


LABELS = {"service": "checkout", "slo": "checkout answers", "severity": "critical", "window": "1h"}
ANNOTATIONS = {
    "summary": "checkout burns its error budget 285.7 times too fast (checkout answers, 99.9 %)",
    "impact": "28.57% of what the objective counts failed in the last hour, and it went on in the last 5 minutes. "
    "At this pace the budget of 30 days is gone in 2h 31m 0s.",
    "first_steps": "1. See when it began and how fast it burns: http://t/services/checkout/slo\n"
    "2. Look for a deploy or a change at the begin; roll it back first, ask later.\n"
    "3. Find the route, instance or dependency that fails; other alerts of the service name it.",
    "runbook_url": "http://t/runbooks#error-budget",
}


def test_the_rules_run_in_unit_tests_of_promtool(tmp_path: Path) -> None:
    (result,) = run_rule_tests([rule_file(tmp_path)])
    assert result.ok, result.text


@pytest.mark.peer
def test_promtool_agrees_with_them(tmp_path: Path) -> None:
    promtool = Path(os.environ.get("TOCSIN_PEERS", "/opt/peers")) / "bin" / "promtool"
    if not promtool.exists():
        pytest.skip("promtool is not installed")
    done = subprocess.run([promtool, "test", "rules", rule_file(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
