"""A smoke of `bench/chaos` on the real program: kill -9, SIGTERM and lost answers lose no page, repeat none, end none falsely."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from bench.chaos.__main__ import perform
from bench.chaos.scenarios import SCENARIOS
from bench.chaos.score import Row

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("chaos")]

_SHORT = ("killed_while_firing", "terminated_while_firing", "receivers_lose_answers", "silenced_then_killed")


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    """All at the same time: each mostly waits."""
    with ThreadPoolExecutor(len(_SHORT)) as pool:
        played = pool.map(lambda name: perform(SCENARIOS[name], "tocsin", services=3, fault_s=4.0), _SHORT)
        return dict(zip(_SHORT, played, strict=True))


@pytest.mark.parametrize("name", _SHORT)
def test_a_fault_breaks_no_promise(rows: dict[str, Row], name: str) -> None:
    # How fast it was is the benchmark's business: a wall time says nothing on a busy machine.
    assert not set(rows[name].broken()) - {"back_s"}, rows[name]
