"""Not a byte is left on the real program's disk: it pages, is killed and pages again; with room it comes back by itself.

Where nothing may be mounted (an unprivileged container) no disk can be filled and the test is not collected; the same decisions
are made on disks that only pretend in tests/state/test_disk_reserve.py and tests/tsdb/test_disk_trouble.py.
"""

from __future__ import annotations

import pytest
from bench.chaos.__main__ import perform
from bench.chaos.scenarios import Scenario
from bench.chaos.side import may_mount
from bench.chaos.stage import Stage
from bench.chaos.tocsin_side import TocsinSide

pytestmark = pytest.mark.process


def paged_without_a_byte(stage: Stage) -> None:
    assert isinstance(stage.side, TocsinSide)
    assert stage.disk is not None
    program = stage.side.program
    reserve = program.data / "reserve"
    program.until(reserve.exists, 20, "the reserve is made")
    whole = reserve.stat().st_size
    stage.disk.fill()
    program.until(lambda: unwritten(stage) == 1, 30, "samples are in memory only")
    stage.fail(0.5)
    stage.until_told()
    stage.kill()
    stage.fail()
    stage.until_told()
    assert stage.told("firing") == 4 * len(stage.services.names), "every channel, of every service, on a full disk"
    assert unwritten(stage) == 1, "the disk was full all the time"
    assert reserve.stat().st_size < whole
    stage.disk.free()
    program.until(lambda: unwritten(stage) == 0, 30, "samples are written again")
    program.until(lambda: reserve.stat().st_size == whole, 30, "the reserve is filled")
    stage.recover_and_tell()


def unwritten(stage: Stage) -> int:
    """What /metrics says: the dashboard's store stands still meanwhile."""
    assert isinstance(stage.side, TocsinSide)
    for line in stage.side.program.get("/metrics").splitlines():
        if line.startswith("tocsin_samples_unwritten"):
            return int(float(line.split()[-1]))
    return -1


if may_mount():

    def test_pages_leave_while_the_disk_is_full() -> None:
        row = perform(Scenario(paged_without_a_byte, "F14", "", small_disk=True), "tocsin", services=2, fault_s=1.0)
        assert not row.error
        assert not set(row.broken()) - {"back_s", "late_s"}, row
