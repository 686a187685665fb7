"""infrastructure/monitoring: rules that read well, are tested both ways, and mean the same to promtool and to us."""

from __future__ import annotations

import os
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from tocsin.model.rule import AlertRule, Semantics
from tocsin.rules.objectives import ALERT as OBJECTIVE_ALERT
from tocsin.rules.rulefile import parse_rule_file
from tocsin.rules.testing import run_rule_tests

FOLDER = Path(__file__).parents[2] / "infrastructure" / "monitoring"
RUNBOOKS = "docs/operations/runbooks.md"
RULES, TESTS = FOLDER / "alerts.yml", FOLDER / "alerts.test.yml"


def alert_rules() -> list[AlertRule]:
    groups, problems = parse_rule_file(RULES.read_text(), str(RULES))
    assert problems == []
    return [rule for group in groups for rule in group.rules if isinstance(rule, AlertRule)]


def peer(name: str) -> str:
    path = Path(os.environ.get("TOCSIN_PEERS", "/opt/peers")) / "bin" / name
    if not path.exists():
        pytest.skip(f"{name} is not installed")
    return str(path)


def test_every_alert_says_what_it_means_and_what_to_do_first() -> None:
    for rule in alert_rules():
        for name in ("summary", "impact", "first_steps", "runbook_url"):
            assert rule.annotations.get(name), f"{rule.name} has no {name}"
        assert rule.labels.get("severity") in ("critical", "warning", "info", "none"), rule.name
        assert rule.labels.get("signal"), rule.name


def test_every_runbook_link_has_its_section_and_every_section_its_alerts() -> None:
    """The link leads to the page that web serves; the anchor is the section's heading; the section names the alerts."""
    linked = defaultdict(set)
    for rule in alert_rules():
        address, _, anchor = rule.annotations["runbook_url"].partition("#")
        assert address == "{{ $externalURL }}/runbooks", rule.name
        linked[anchor].add(rule.name)
    linked["error-budget"].add(OBJECTIVE_ALERT)  # not in the file: every objective makes its own
    page = (FOLDER.parents[1] / RUNBOOKS).read_text()
    sections = re.findall(r"^## (.+)\n\nAlerts: (.+)\n", page, re.MULTILINE)
    assert len(sections) == page.count("\n## ")
    assert {title.lower().replace(" ", "-"): set(names.split(", ")) for title, names in sections} == linked


def test_links_inside_the_runbooks_lead_to_sections() -> None:
    page = (FOLDER.parents[1] / RUNBOOKS).read_text()
    for file, anchor in re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", page):
        text = (FOLDER.parents[1] / RUNBOOKS).with_name(file).read_text() if file else page
        assert anchor in {title.lower().replace(" ", "-") for title in re.findall(r"^##+ (.+)$", text, re.MULTILINE)}, anchor


def test_every_alert_has_a_case_that_fires_and_one_that_stays_quiet() -> None:
    names = [test["name"] for test in yaml.safe_load(TESTS.read_text())["tests"]]
    for rule in alert_rules():
        words = [name.replace(",", "").split() for name in names]
        assert any(rule.name in one and "fires" in one for one in words), f"no firing case for {rule.name}"
        quiet = any(rule.name in one[: one.index("quiet")] for one in words if "quiet" in one)
        assert quiet or any(rule.name == one[0] and "quiet" not in one for one in words), f"no quiet case for {rule.name}"


def test_settings_of_our_own_are_read() -> None:
    native = [rule for rule in alert_rules() if rule.semantics is Semantics.NATIVE]
    assert len(native) > 15
    assert next(rule for rule in native if rule.name == "HostDiskCritical").native.clear_expr.endswith("< 0.05\n")


@pytest.mark.parametrize(
    "only",
    [
        "DatabaseDown",
        "HostDiskCritical reads",
        "TocsinPages",
        "TocsinBlind",
        "TocsinChannelPaused",
        "TocsinAuditor",
        "ProbeDown",
        "HttpNoSuccess fires",
    ],
)
def test_the_unit_tests_of_the_rules_pass_here(only: str) -> None:
    (result,) = run_rule_tests([TESTS], only=only)
    assert result.ok, result.text


@pytest.mark.slow
def test_all_unit_tests_of_the_rules_pass_here() -> None:
    (result,) = run_rule_tests([TESTS])
    assert result.ok, result.text


@pytest.mark.peer
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        pytest.param(("test", "rules", "alerts.test.yml"), marks=pytest.mark.slow),
        ("check", "config", "prometheus.yml"),
    ],
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([peer("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.peer
def test_amtool_accepts_the_routing() -> None:
    done = subprocess.run(
        [peer("amtool"), "check-config", "alertmanager.yml"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
