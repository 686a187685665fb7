"""Seeds of the whole alert path with crashes and provider trouble. A failure prints the seed; run it alone with

python -m tests.simulation.run --seed N
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.simulation.planted import BUGS, found_by
from tests.simulation.run import live


def test_no_alert_is_lost_doubled_or_told_out_of_order_in_a_short_life(tmp_path: Path) -> None:
    _, problems = live(1, tmp_path / "state.db", transitions=8, lives=2)
    assert not problems, "seed 1: " + "; ".join(problems)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_no_alert_is_lost_doubled_or_told_out_of_order(seed: int, tmp_path: Path) -> None:
    world, problems = live(seed, tmp_path / "state.db")
    assert world.transitions >= 50
    assert not problems, f"seed {seed}: " + "; ".join(problems)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BUGS))
def test_every_planted_bug_is_found(name: str) -> None:
    seed, _ = found_by(BUGS[name])
    assert seed >= 0, f"the simulation is blind to: {name}"
