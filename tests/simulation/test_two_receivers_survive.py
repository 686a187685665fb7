"""Every invariant holds where two receivers hear of the same alerts, and their groups really are one incident."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.simulation.disk import machine
from tests.simulation.several import live_with_two

from tocsin.state.schema import incident_receivers, incidents


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(9))
def test_every_invariant_holds_for_both(seed: int) -> None:
    problems = live_with_two(seed)
    assert not problems, "\n".join(problems)
    with machine().engines[1].connect() as connection:
        joint = connection.execute(sa.select(sa.func.count(sa.distinct(incident_receivers.c.incident)))).scalar_one()
        every = connection.execute(sa.select(sa.func.count()).select_from(incidents)).scalar_one()
    machine().pull_the_plug()
    assert joint >= every / 2, f"{joint} of {every} incidents have both receivers"
