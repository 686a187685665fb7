"""Coverage: every missing link between a thing and a person is a finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tocsin.app import coverage
from tocsin.config.config import Config
from tocsin.config.load import build
from tocsin.config.sources import read_sources
from tocsin.model.check import CheckState, CheckStatus
from tocsin.model.labels import Labels, all_match

NOW_MS = 1_700_000_000_000
WHOLE = """
services: [{name: shop}]
checks: [{name: shop, tcp: "127.0.0.1:1", labels: {service: shop}}]
users: [{name: ana, email: ana@shop.example}]
global: {smtp_smarthost: "127.0.0.1:25", smtp_from: a@shop.example}
"""


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def loaded(text: str) -> Config:
        path = tmp_path / "tocsin.yaml"
        path.write_text(text)
        return build(read_sources([path]))

    return loaded


def up(config: Config, state: CheckState = CheckState.UP) -> dict[str, CheckStatus]:
    return {check.id: CheckStatus(check.id, state, NOW_MS) for check in config.checks}


def everything(config: Config) -> list[str]:
    rules, directory = coverage.alert_rules(config), config.directory
    found = [
        *coverage.service_findings(directory, config.checks),
        *coverage.check_findings(config.checks, up(config)),
        *coverage.rule_findings(rules, config.routing.root, directory),
        *coverage.route_findings(config.routing.root, directory, NOW_MS),
    ]
    return [f"{finding.kind} {finding.subject}" for finding in found]


def test_nothing_is_found_where_every_link_is_there(load: Any) -> None:
    assert everything(load(WHOLE)) == []


def test_a_service_without_a_check_and_a_check_without_alert_are_found(load: Any) -> None:
    found = everything(
        load(
            WHOLE.replace("services: [", "services: [{name: mail}, ").replace("service: shop}}", "service: shop}, alert: false}")
        )
    )
    assert found == ["service_without_check mail", "check_without_rule shop"]


@pytest.mark.parametrize("state", [CheckState.PAUSED, CheckState.PENDING, CheckState.UNKNOWN])
def test_a_check_that_sees_nothing_is_found(load: Any, state: CheckState) -> None:
    config = load(WHOLE)
    (finding,) = coverage.check_findings(config.checks, up(config, state))
    assert (finding.kind, finding.subject) == ("check_not_watching", "shop")
    assert coverage.check_findings(config.checks, up(config, CheckState.DOWN)) == []


def test_a_receiver_that_tells_nobody_swallows_rules(load: Any) -> None:
    text = (
        WHOLE
        + """
receivers: [{name: team, webhook_configs: [{url: "http://127.0.0.1:1/"}]}, {name: "null"}]
route: {receiver: team, routes: [{receiver: "null", matchers: ['service="shop"']}]}
"""
    )
    rule, route = everything(load(text))
    assert rule.startswith("rule_without_route ")
    assert route == "route_without_person null"


def test_nobody_configured_is_found(load: Any) -> None:
    config = load('checks: [{name: shop, tcp: "127.0.0.1:1"}]\n')
    (finding,) = coverage.route_findings(config.routing.root, config.directory, NOW_MS)
    assert finding.kind == "route_without_person"
    assert "nobody is configured" in finding.text


def test_an_empty_schedule_reaches_nobody(load: Any) -> None:
    text = (
        WHOLE
        + """
schedules:
  - {name: nights, tz: UTC, layers: [{name: a, from: "2100-01-01T00:00", anchor: "2100-01-01T00:00", users: [ana]}]}
policies: [{name: default, steps: [{notify: "schedule:nights", wait: 5m}]}]
"""
    )
    config = load(text)
    (finding,) = coverage.route_findings(config.routing.root, config.directory, NOW_MS)
    assert "schedule nights has nobody" in finding.text


class Reader:
    """Two series of one target."""

    known = (Labels({"__name__": "up", "job": "a", "instance": "a:1"}), Labels({"__name__": "x", "job": "b", "instance": "b:1"}))

    def series(self, matchers: Any, start_ms: int, end_ms: int, limit: int = 0) -> list[Labels]:
        return [labels for labels in self.known if any(all_match(each, labels) for each in matchers)]


def test_a_target_is_covered_when_a_rule_reads_a_series_of_it(load: Any) -> None:
    text = "groups: [{name: g, rules: [{alert: Down, expr: 'up{job=~\"a|b\"} == 0'}]}]\n"
    config = load(WHOLE)
    rules = [rule for rule in coverage.alert_rules(config) if rule.check_id]
    assert coverage.selected_targets(Reader(), rules, NOW_MS) == set()  # type: ignore[arg-type]
    from tocsin.rules.rulefile import parse_rule_file

    groups, _ = parse_rule_file(text, "f", default_interval_ms=1000)
    seen = coverage.selected_targets(Reader(), groups[0].rules, NOW_MS)  # type: ignore[arg-type]
    assert seen == {("a", "a:1")}
    targets = [{"labels": {"job": name, "instance": f"{name}:1"}, "scrapePool": name} for name in ("a", "b")]
    found = coverage.target_findings(targets, {"d": "discovery failed"}, ["a", "b", "c", "d"], seen)
    assert [(finding.kind, finding.subject) for finding in found] == [
        ("job_with_problem", "d"),
        ("job_without_target", "c"),
        ("target_without_rule", "b:1"),
    ]
