"""The linter names what will be noisy, and has nothing against the rules we ship."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.rules.lint import lint
from tocsin.rules.rulefile import parse_rule_file

SHIPPED = Path(__file__).parents[2] / "infrastructure" / "monitoring" / "alerts.yml"


def doubts(expr: str, extra: str = "") -> str:
    text = f"groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {expr}\n    labels: {{severity: warning}}\n    {extra}\n"
    groups, problems = parse_rule_file(text, "r.yml")
    assert not problems
    return " / ".join(problem.message for problem in lint(groups))


@pytest.mark.parametrize(
    ("expr", "extra", "doubt"),
    [
        ("x > 1", "", "one bad sample"),
        ("x > 1", "for: 1m", ""),
        ("x > 1", "annotations: {tocsin: 'hold: 2 of 3'}", ""),
        ("x", "for: 1m", "compares with nothing"),
        ("absent(x)", "", ""),
        ("rate(a[5m]) / rate(b[5m]) > 0.1", "for: 1m", "ratio without a minimum"),
        ("rate(a[5m]) / rate(b[5m]) > 0.1 and rate(b[5m]) > 1", "for: 1m", ""),
        ("rate(a[30s]) > 1", "for: 1m", "fewer than four scrapes"),
    ],
)
def test_a_doubt_is_named(expr: str, extra: str, doubt: str) -> None:
    found = doubts(expr, extra)
    assert (doubt in found) if doubt else not found


def test_a_page_needs_words() -> None:
    rules = "  - {alert: A, expr: x > 1, for: 1m, labels: {severity: critical}}\n  - {alert: B, expr: x > 1, for: 1m}\n"
    text = f"groups:\n- name: g\n  rules:\n{rules}"
    groups, _ = parse_rule_file(text, "r.yml")
    messages = [problem.message for problem in lint(groups)]
    assert [message.split(":")[0] for message in messages] == [
        "pages a person without `summary`",
        "pages a person without `runbook_url`",
        "no severity label",
    ]


def test_the_shipped_rules_leave_no_doubt() -> None:
    groups, _ = parse_rule_file(SHIPPED.read_text(), str(SHIPPED))
    assert lint(groups) == []
