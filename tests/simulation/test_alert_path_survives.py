"""Seeds of the whole alert path with crashes and provider trouble. A failure prints the seed; run it alone with

python -m tests.simulation.run --seed N
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.simulation.run import live


@pytest.mark.parametrize("seed", range(3))
def test_no_alert_is_lost_doubled_or_told_out_of_order(seed: int, tmp_path: Path) -> None:
    world, problems = live(seed, tmp_path / "state.db")
    assert world.transitions >= 50
    assert not problems, f"seed {seed}: " + "; ".join(problems)
