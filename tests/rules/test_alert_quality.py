"""The benchmark of alert quality: same seed, same data; and the shipped rules keep what they promise on a small run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "alert_quality"


def run(*arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--json", "--jobs", "1", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


@pytest.mark.slow
def test_the_shipped_rules_find_incidents_and_wake_nobody_for_nothing() -> None:
    score = run("--seed", "21", "--services", "10", "--days", "28")
    assert score["incidents"] > 20
    assert score["recall"] >= 0.95
    assert score["page_precision"] >= 0.95
    assert score["false_pages_per_service_week"] <= 0.03


@pytest.mark.slow
def test_a_seed_gives_the_same_score_twice_and_a_dump_that_is_openmetrics(tmp_path: Path) -> None:
    arguments = ("--seed", "5", "--services", "1", "--days", "7")
    assert run(*arguments) == run(*arguments, "--dump", str(tmp_path))
    text = (tmp_path / "seed5" / "s00.om").read_text()
    assert text.endswith("# EOF\n")
    assert 'http_server_request_duration_seconds_bucket{http_request_method="GET"' in text
    assert json.loads((tmp_path / "seed5" / "s00.json").read_text())["service"] == "s00"


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["21", "33"])
def test_deleting_a_fifth_of_all_samples_adds_no_page(seed: str) -> None:
    """Each sample of each series is lost by itself: the buckets of a histogram no longer fit together."""
    where = ("--seed", seed, "--services", "3", "--days", "7")
    whole, thinned = run(*where), run(*where, "--lose", "0.2")
    assert thinned["false_pages_per_service_week"] <= whole["false_pages_per_service_week"]
    assert thinned["recall"] >= whole["recall"]
