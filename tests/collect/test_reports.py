"""Reports of agents: counted once, dated by our clock, bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.collect.fakes import ManualClock, MemoryWriter

from tocsin.collect.catalog import parse_check
from tocsin.collect.receive import CheckReceiver
from tocsin.collect.reports import ReportId, within_bounds
from tocsin.model.check import CheckReason, CheckResult, CheckState
from tocsin.state import schema
from tocsin.state.sql import Database, sqlite_url

FAR = parse_check({"name": "far", "tcp": "10.0.0.1:1", "locations": ["paris"]})


def _failed(clock: ManualClock, *, ago_ms: int = 0, **more: object) -> CheckResult:
    values = {"location": "paris", "duration_ms": 20.0} | more
    return CheckResult(FAR.id, clock.t_ms - ago_ms - 20, ok=False, reason=CheckReason.REFUSED, message="no", **values)  # type: ignore[arg-type]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    found = Database(sqlite_url(tmp_path / "state.db"), inline=True)
    schema.metadata.create_all(found.engine)
    yield found
    found.close()


def _receiver(db: Database, writer: MemoryWriter, clock: ManualClock) -> CheckReceiver:
    found = CheckReceiver(writer=writer, db=db, clock=clock, changed=lambda *_: None, confirmed=lambda _: None)
    found.apply([FAR])
    return found


async def test_a_report_whose_answer_was_lost_is_not_counted_twice_nor_after_a_restart(
    db: Database, writer: MemoryWriter, clock: ManualClock
) -> None:
    receiver, result = _receiver(db, writer, clock), _failed(clock)
    for _ in range(3):
        await receiver.take([result], ReportId("paris", "s1", 1))
    assert receiver.status(FAR.id).consecutive_failures == 1
    reborn = _receiver(db, writer, clock)
    await reborn.take([result], ReportId("paris", "s1", 1))
    assert reborn.status(FAR.id).consecutive_failures == 1
    await reborn.take([_failed(clock)], ReportId("paris", "s1", 2))
    await reborn.take([_failed(clock)], ReportId("paris", "s2", 1))
    assert reborn.status(FAR.id).state is CheckState.DOWN, "another number or another session is news"
    assert len(db.read_now(lambda c: list(c.execute(sa.select(schema.check_runs))))) == 3


async def test_a_clock_that_lies_is_set_right_and_what_waited_keeps_its_age(
    db: Database, writer: MemoryWriter, clock: ManualClock
) -> None:
    receiver = _receiver(db, writer, clock)
    for number, lie_ms in enumerate((-3_600_000, 0, 86_400_000 * 400, -86_400_000 * 4000), 1):
        there_ms = clock.t_ms + lie_ms
        old = CheckResult(FAR.id, there_ms - 30_020, 20.0, True, CheckReason.OK, "", location="paris")
        await receiver.take([old], ReportId("paris", "s", number, sent_ms=there_ms))
        assert writer.series("probe_success", location="paris")[-1] == (clock.t_ms - 30_000, 1.0), lie_ms
        clock.t_ms += 1_000


async def test_a_result_of_the_far_past_is_not_believed(db: Database, writer: MemoryWriter, clock: ManualClock) -> None:
    receiver = _receiver(db, writer, clock)
    await receiver.take([_failed(clock, ago_ms=26 * 3_600_000)], ReportId("paris", "s", 1, sent_ms=clock.t_ms))
    assert (receiver.status(FAR.id).state, writer.samples.keys() & set()) == (CheckState.PENDING, set())
    await receiver.take([_failed(clock, ago_ms=24 * 3_600_000)], ReportId("paris", "s", 2, sent_ms=clock.t_ms))
    assert receiver.status(FAR.id).consecutive_failures == 1


def test_an_agent_cannot_write_series_of_ours_nor_endless_durations(clock: ManualClock) -> None:
    samples = tuple((name, {}, 1.0) for name in ("up", "tocsin_check_state", "ALERTS", "scrape_samples_scraped", "pg_locks"))
    found = within_bounds(_failed(clock, samples=samples, duration_ms=1e300), 0, clock.t_ms)
    assert found is not None
    assert ([name for name, _, _ in found.samples], found.duration_ms) == (["pg_locks"], 3_600_000.0)
    assert found.started_ms == clock.t_ms - 3_600_000
    backwards = within_bounds(_failed(clock, duration_ms=-5.0), 0, clock.t_ms)
    assert backwards is not None and backwards.duration_ms == 0.0
    local = within_bounds(_failed(clock, samples=samples, location="local"), 0, clock.t_ms)
    assert local is not None and len(local.samples) == 5


async def test_what_a_failed_commit_held_is_in_the_next(db: Database, writer: MemoryWriter, clock: ManualClock) -> None:
    receiver = _receiver(db, writer, clock)
    with db.engine.begin() as connection:
        connection.execute(sa.text("alter table check_runs rename to hidden"))
    with pytest.raises(Exception, match="check_runs"):
        await receiver.take([_failed(clock) for _ in range(3)], ReportId("paris", "s", 1))
    with db.engine.begin() as connection:
        connection.execute(sa.text("alter table hidden rename to check_runs"))
    await receiver.take([_failed(clock)], ReportId("paris", "s", 1))  # the agent tries again
    await receiver.tick()
    rows = db.read_now(lambda c: list(c.execute(sa.select(schema.check_changes))))
    assert [(row.before, row.after) for row in rows] == [("pending", "down")]
    assert receiver.status(FAR.id).consecutive_failures == 3
