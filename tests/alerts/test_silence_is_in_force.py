"""A silence that was confirmed covers its alerts from that commit on, before the dispatcher's next step."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from tests.fakes.house import alert
from tests.fakes.virtual import START_MS, VirtualClock, run_virtual

from tocsin.alerts.dispatch import Dispatcher
from tocsin.model.labels import Matcher, MatchOp
from tocsin.model.route import Silence
from tocsin.state.schema import alerts, episodes, metadata
from tocsin.state.sql import Database, sqlite_url


def test_what_a_silence_covers_is_noted_in_its_own_transaction(tmp_path: Path) -> None:
    db = Database(sqlite_url(tmp_path / "state.db"), inline=True)
    metadata.create_all(db.engine)
    dispatcher = Dispatcher(db=db, sink=lambda *_: None, clock=VirtualClock(), changed=lambda *_: None)

    async def story() -> None:
        await dispatcher.post([alert("Down", starts_at_ms=START_MS), alert("Slow", starts_at_ms=START_MS)])
        await dispatcher.step()
        matcher = Matcher("alertname", MatchOp.EQUAL, "Down")
        await dispatcher.set_silence(Silence("", (matcher,), START_MS, START_MS + 60_000, "ana", "planned"))

    run_virtual(story())
    rows = db.read_now(lambda tx: tx.execute(sa.select(alerts.c.labels, alerts.c.suppressed_by)).all())
    assert {row.labels["alertname"]: [cause["kind"] for cause in row.suppressed_by] for row in rows} == {
        "Down": ["silenced"],
        "Slow": [],
    }
    db.close()


def test_a_silence_set_right_after_the_clock_was_moved_stays_in_force(tmp_path: Path) -> None:
    """The dispatcher notices the step of the clock only after the silence, which is shorter than that step."""
    db = Database(sqlite_url(tmp_path / "state.db"), inline=True)
    metadata.create_all(db.engine)
    clock = VirtualClock()
    dispatcher = Dispatcher(db=db, sink=lambda *_: None, clock=clock, changed=lambda *_: None)

    async def story() -> None:
        await dispatcher.post([alert("Down", starts_at_ms=START_MS)])
        await dispatcher.step()
        clock.jump_ms(30_000)
        matcher = Matcher("alertname", MatchOp.EQUAL, "Down")
        now_ms = clock.now_ms()
        await dispatcher.set_silence(Silence("", (matcher,), now_ms, now_ms + 25_000, "ana", "planned"))
        dispatcher.apply(dispatcher.routing)
        await dispatcher.step()

    run_virtual(story())
    rows = db.read_now(lambda tx: tx.execute(sa.select(alerts.c.suppressed_by)).all())
    assert [[cause["kind"] for cause in row.suppressed_by] for row in rows] == [["silenced"]]
    db.close()


def test_a_silence_set_right_after_the_clock_was_moved_ends_no_alert_from_outside(tmp_path: Path) -> None:
    """Whoever reports an alert says until when it holds if he falls silent; an hour that nobody lived is none of it."""
    db = Database(sqlite_url(tmp_path / "state.db"), inline=True)
    metadata.create_all(db.engine)
    clock = VirtualClock()
    dispatcher = Dispatcher(db=db, sink=lambda *_: None, clock=clock, changed=lambda *_: None)

    async def story() -> None:
        await dispatcher.post([alert("Down", starts_at_ms=START_MS, ends_at_ms=START_MS + 300_000)])
        await dispatcher.step()
        clock.jump_ms(3_600_000)
        matcher = Matcher("alertname", MatchOp.EQUAL, "Other")
        now_ms = clock.now_ms()
        await dispatcher.set_silence(Silence("", (matcher,), now_ms, now_ms + 25_000, "ana", "planned"))

    run_virtual(story())
    assert db.read_now(lambda tx: tx.execute(sa.select(episodes.c.ends_at_ms)).scalars().all()) == [0]
    db.close()
