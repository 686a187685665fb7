"""The rules that come with Tocsin: `infrastructure/monitoring/alerts.yml`, the same file that Prometheus and promtool read."""

from __future__ import annotations

from pathlib import Path

from tocsin.model.rule import RuleGroup
from tocsin.rules.rulefile import parse_rule_file

FILE = "tocsin:shipped"


def shipped_path() -> Path:
    """In an installed package it lies beside this module; in a clone or editable install at the top of the project."""
    packaged = Path(__file__).with_name("shipped_alerts.yml")
    if packaged.exists():
        return packaged
    return Path(__file__).resolve().parents[3] / "infrastructure" / "monitoring" / "alerts.yml"


def shipped_groups(*, default_interval_ms: int) -> tuple[RuleGroup, ...]:
    """Their groups. The file is ours: a problem in it is a mistake of ours."""
    groups, problems = parse_rule_file(shipped_path().read_text(), FILE, default_interval_ms=default_interval_ms)
    errors = [str(problem) for problem in problems if not problem.warning]
    assert not errors, f"the shipped rules are wrong: {errors}"
    return groups
