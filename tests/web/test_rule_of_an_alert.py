"""Which rule an alert came from, when several rules share its name."""

from __future__ import annotations

from typing import Any

from tocsin.web.api.alert_rows import RuleIndex


def _rule(name: str, query: str, labels: dict[str, str], rule_id: str = "") -> dict[str, Any]:
    return {"type": "alerting", "name": name, "query": query, "labels": labels, "tocsin": {"id": rule_id}}


def _index(*rules: dict[str, Any]) -> RuleIndex:
    return RuleIndex.of({"groups": [{"name": "checks", "rules": list(rules)}]})


def test_rules_of_checks_share_a_name_and_are_told_apart_by_their_labels() -> None:
    index = _index(
        _rule("CheckDown", "a", {"check": "shop", "severity": "critical", "state": ""}, "check:shop"),
        _rule("CheckDown", "b", {"check": "export", "severity": "critical", "state": ""}, "check:export"),
    )
    labels = {"alertname": "CheckDown", "check": "export", "severity": "critical", "service": "shop"}
    assert index.find("", labels).expr == "b"
    assert index.find("check:shop", labels).expr == "a", "an id is certain"
    assert index.find("", {**labels, "check": "gone"}).expr == ""


def test_the_rule_that_says_most_of_the_labels_is_meant() -> None:
    index = _index(
        _rule("Slow", "any", {}),
        _rule("Slow", "worst", {"severity": "critical"}),
        _rule("Slow", "templated", {"severity": "critical", "zone": "{{ $labels.az }}"}),
    )
    assert index.find("", {"alertname": "Slow", "severity": "critical"}).expr == "worst"
    assert index.find("", {"alertname": "Slow", "severity": "warning"}).expr == "any"


def test_the_only_rule_of_a_name_is_meant_though_relabelling_changed_the_alert() -> None:
    index = _index(_rule("Full", "x", {"severity": "warning"}))
    assert index.find("", {"alertname": "Full", "severity": "critical"}).expr == "x"
    assert index.find("", {"alertname": "Other"}).expr == ""
