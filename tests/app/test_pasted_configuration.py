"""A pasted prometheus.yml: what was understood, with problems at their lines, and without a look at our disk."""

from __future__ import annotations

import pytest

from tocsin.app.preview import preview
from tocsin.errors import CommandError

GOOD = """\
global:
  scrape_interval: 15s
rule_files:
  - /etc/passwd
  - "rules/*.yml"
scrape_configs:
  - job_name: shop
    static_configs: [{targets: ["a:9090", "b:9090"]}]
"""


def test_jobs_and_targets_are_told_and_files_only_named() -> None:
    found = preview(GOOD)
    assert found["jobs"] == [{"name": "shop", "every_ms": 15_000, "targets": ["a:9090", "b:9090"], "count": 2, "discovery": []}]
    assert found["files"] == ["/etc/passwd", "rules/*.yml"]
    assert not [problem for problem in found["problems"] if "passwd" in problem["message"]]


@pytest.mark.parametrize("files", ["rule_files: [a.yml]\n", "rule_files:\n  - a.yml\n", "rule_files:\n- a.yml\n- b.yml\n", ""])
def test_a_problem_keeps_its_line_whatever_stood_before_it(files: str) -> None:
    text = f"{files}scrape_configs:\n  - job_name: shop\n    scrape_interval: soon\n"
    place = f"prometheus.yml:{files.count(chr(10)) + 3}"
    assert any(problem["place"].startswith(place) for problem in preview(text)["problems"]), preview(text)["problems"]


def test_what_is_no_configuration_is_refused_with_advice() -> None:
    assert "prometheus.yml:2" in preview("a: [")["problems"][0]["place"]
    with pytest.raises(CommandError, match="expected a mapping"):
        preview("- just a list")
    with pytest.raises(CommandError, match="the most"):
        preview("x" * 2_000_000)
