"""Our own scripts, and Prometheus's where they are at hand: every case that needs no native histogram gives its result."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.promql.promqltest import EXPERIMENTAL, Runner, upstream_scripts

OWN = sorted(Path(__file__).parent.glob("*.test"))

# Upstream cases whose data, query or result holds native histograms, which are not stored: the whole list of what
# cannot be run, by file. Everything else must pass.
NATIVE_HISTOGRAM_CASES = {
    "aggregators": 35, "at_modifier": 0, "collision": 0, "duration_expression": 0, "functions": 105, "histograms": 60,
    "limit": 36, "literals": 0, "name_label_dropping": 0, "native_histograms": 320, "operators": 72, "range_queries": 0,
    "selectors": 0, "staleness": 0, "subquery": 2, "trig_functions": 0, "type_and_unit": 0,
}  # fmt: skip


@pytest.mark.parametrize("script", OWN, ids=lambda path: path.stem)
def test_our_script_gives_the_results_it_states(script: Path) -> None:
    runner = Runner(EXPERIMENTAL)
    failures = runner.run(script.read_text())
    assert not failures, "\n".join(failures)
    assert runner.passed and not runner.skipped


@pytest.mark.parametrize("name", NATIVE_HISTOGRAM_CASES)
def test_prometheus_script_gives_the_same_results(name: str) -> None:
    folder = upstream_scripts()
    if folder is None:
        pytest.skip("Prometheus's promqltest scripts are not beside this repository (data/promqltest-3.5)")
    runner = Runner()
    failures = runner.run((folder / f"{name}.test").read_text())
    assert not failures, "\n".join(failures)
    assert len(runner.skipped) == NATIVE_HISTOGRAM_CASES[name], f"lines left out: {runner.skipped}"


def test_every_prometheus_script_is_run() -> None:
    folder = upstream_scripts()
    if folder is None:
        pytest.skip("Prometheus's promqltest scripts are not beside this repository (data/promqltest-3.5)")
    assert {path.stem for path in folder.glob("*.test")} == set(NATIVE_HISTOGRAM_CASES)
