"""Seeds of the whole alert path: crashes at every statement, commit and await, and every fault of the outside.

A failing seed names the command that lives it again. TOCSIN_SEEDS=N lives the seeds 0 to N-1: CI a thousand (`.ci/run`),
`make test` by hand fewer, for they take two minutes of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from tests.simulation.planted import BUGS, found_by
from tests.simulation.run import failure, live, live_many

SEEDS = int(os.environ.get("TOCSIN_SEEDS", "150"))
CHUNK = max(5, SEEDS // 20)
"""Twenty parts, so that the workers end together."""


def test_a_short_life_keeps_every_invariant() -> None:
    _, problems = live(1, transitions=8, lives=1)
    assert not problems, failure(1, problems)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_invariant_holds(first: int, record_property: Callable[[str, object], None]) -> None:
    totals = live_many(range(first, min(first + CHUNK, SEEDS)))
    record_property("simulation", totals.plain())
    assert not totals.failed, "\n".join(failure(seed, problems) for seed, problems in totals.failed.items())
    assert totals.least_transitions >= 50


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", sorted(BUGS))
def test_every_planted_bug_is_found(name: str, record_property: Callable[[str, object], None]) -> None:
    seed, problem = found_by(BUGS[name])
    record_property("planted", f"{name}: found by seed {seed}: {problem}")
    assert seed >= 0, f"the simulation is blind to: {name}"
