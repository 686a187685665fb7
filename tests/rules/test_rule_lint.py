"""The linter names what will be noisy, and has nothing against the rules we ship."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tocsin.cli.config import config
from tocsin.cli.rules import rules
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


@pytest.mark.parametrize(
    ("settings", "extra", "doubt"),
    [
        ("deploy_grace: 3m", "for: 1m", ""),
        ("depends_on: [Nobody]", "for: 1m", "names 'Nobody'"),
        ("depends_on: [DatabaseDown]", "for: 1m", ""),
        ("proof: 'y == 0'", "for: 1m", "proves nothing"),
        ("clear: 2", "for: 1m", "no hysteresis"),
        ("clear: 0.5", "for: 1m", ""),
    ],
)
def test_settings_that_cannot_do_what_they_say_are_named(settings: str, extra: str, doubt: str) -> None:
    found = doubts("x > 1", f'{extra}\n    annotations: {{tocsin: "{settings}"}}')
    assert (doubt in found) if doubt else not found


def test_a_rule_that_always_fires_on_purpose_is_no_doubt() -> None:
    assert doubts("vector(1)") == ""


def test_a_page_needs_words() -> None:
    listed = "  - {alert: A, expr: x > 1, for: 1m, labels: {severity: critical}}\n  - {alert: B, expr: x > 1, for: 1m}\n"
    text = f"groups:\n- name: g\n  rules:\n{listed}"
    groups, _ = parse_rule_file(text, "r.yml")
    messages = [problem.message for problem in lint(groups)]
    assert [message.split(":")[0] for message in messages] == [
        "pages a person without `summary`, `impact`, `first_steps`, `runbook_url`",
        "no severity label",
    ]


def test_a_description_tells_the_impact_too() -> None:
    words = "summary: s, description: d, runbook_url: 'https://r'"
    rule = f"  - {{alert: A, expr: x > 1, for: 1m, labels: {{severity: page}}, annotations: {{{words}}}}}\n"
    groups, _ = parse_rule_file(f"groups:\n- name: g\n  rules:\n{rule}", "r.yml")
    assert [problem.message for problem in lint(groups)] == ["pages a person without `first_steps`"]


NOISY = """groups:
- name: g
  rules:
  - alert: A
    expr: rate(x_total[1m]) > 1
    labels: {severity: critical}
"""


def test_rules_check_warns_with_the_line_and_accepts(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(NOISY)
    done = CliRunner().invoke(rules, ["check", str(tmp_path / "r.yml")])
    assert done.exit_code == 0
    assert f"{tmp_path / 'r.yml'}:4:" in done.output
    assert "warning: groups.g.A: pages a person without `summary`" in done.output
    assert "1 rules found" in done.output


@pytest.mark.parametrize(("every", "short"), [("15s", False), ("1m", True)])
def test_config_check_warns_about_the_rules_of_the_operator_alone(tmp_path: Path, every: str, short: bool) -> None:
    (tmp_path / "r.yml").write_text(NOISY)
    job = f"{{job_name: a, scrape_interval: {every}, static_configs: [{{targets: ['a:80']}}]}}"
    (tmp_path / "tocsin.yaml").write_text(f"rule_files: [r.yml]\nscrape_configs: [{job}]\n")
    done = CliRunner().invoke(config, ["check", "--config", str(tmp_path / "tocsin.yaml"), "--json"])
    assert done.exit_code == 0
    ours = [problem for problem in json.loads(done.output)["problems"] if problem["path"].startswith("groups.")]
    assert {problem["path"] for problem in ours} == {"groups.g.A"}
    assert all(problem["warning"] and problem["place"].startswith(str(tmp_path / "r.yml:4")) for problem in ours)
    assert any("fewer than four scrapes" in problem["message"] for problem in ours) is short


def test_the_shipped_rules_leave_no_doubt() -> None:
    groups, _ = parse_rule_file(SHIPPED.read_text(), str(SHIPPED))
    assert lint(groups) == []
