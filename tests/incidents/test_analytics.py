"""Analytics from the rows that paging writes: a week of a noisy rule and a real one, told on virtual time and by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.house import WEB, House, alert, directory, page, person, policy
from tests.fakes.virtual import START_MS, run_virtual

from tocsin.incidents.analytics import SELFTEST, analytics, week_ms
from tocsin.incidents.hours import KINDS, kind_at
from tocsin.state.schema import incident_alerts, incidents, metadata
from tocsin.state.sql import Database

DAY_MS = 86_400_000
MINUTE_MS = 60_000


def insert(tx: Any, number: int, rule: str, *, ack: int = 0, end: int = 0, verdict: str = "", state: str = "resolved") -> None:
    """An incident that began at START, was acknowledged after `ack` and ended after `end` minutes (0 = never)."""
    at = {
        name: START_MS + minutes * MINUTE_MS if minutes else 0
        for name, minutes in (("acknowledged_ms", ack), ("resolved_ms", end))
    }
    values = {"key": str(number), "title": rule, "severity": "critical", "urgency": "high", "receiver": "web", "service": ""}
    rest = {"policy": {}, "group_labels": {}, "remediation": {}, "extra": {}, "created_ms": START_MS}
    tx.execute(sa.insert(incidents).values(number=number, state=state, verdict=verdict, **at, **values, **rest))
    tx.execute(sa.insert(incident_alerts).values(incident=number, fingerprint="f", labels={"alertname": rule}, annotations={}))


def test_times_and_noise_per_rule(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 's.db'}", inline=True)
    metadata.create_all(db.engine)

    def write(tx: Any) -> dict[str, Any]:
        insert(tx, 1, "Real", ack=2, end=30, verdict="real")
        insert(tx, 2, "Real", ack=4, end=60)
        insert(tx, 3, "Flappy", end=3, verdict="noise")
        insert(tx, 4, "Flappy", end=4)
        insert(tx, 5, "Flappy", ack=6, end=20, verdict="real")
        insert(tx, 6, "Flappy", state="merged")
        return analytics(tx, START_MS, START_MS + DAY_MS)

    found = db.write_now(write)
    db.close()
    assert (found["incidents"], found["acknowledged"], found["resolved"]) == (5, 3, 5)
    assert (found["mtta_ms"], found["median_tta_ms"], found["median_ttr_ms"]) == (4 * MINUTE_MS, 4 * MINUTE_MS, 20 * MINUTE_MS)
    week = next(week for week in found["weeks"] if week["incidents"])
    assert (week["start_ms"], week["incidents"], week["noise"], week["mtta_ms"]) == (week_ms(START_MS), 5, 1, 4 * MINUTE_MS)
    rules = {rule["rule"]: rule for rule in found["rules"]}
    assert (rules["Flappy"]["quick"], rules["Flappy"]["precision"], rules["Flappy"]["never_acknowledged"]) == (2, 0.5, 2)
    assert (rules["Real"]["quick"], rules["Real"]["precision"]) == (0, 1.0)


def test_who_was_interrupted_is_counted_by_what_arrived(tmp_path: Path) -> None:
    async def story() -> dict[str, Any]:
        people = directory(person("ana"), person("ben"), policy=policy(["ana"], ["ben"], delay_ms=20_000))
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert()))
            await h.wait(30)
            await h.escalator.command("acknowledge", {"number": 1}, WEB)
            await h.wait(1)
            return h.db.read_now(lambda tx: analytics(tx, START_MS, START_MS + DAY_MS))

    found = run_virtual(story())
    kinds = {name: int(name == kind_at(START_MS, "UTC")) for name in KINDS}
    monday = [{"start_ms": week_ms(START_MS), "pages": 1, **kinds}]
    assert [(row["who"], row["pages"], row["weeks"]) for row in found["people"]] == [(name, 1, monday) for name in ("ana", "ben")]
    assert found["answered_by"] == [{"via": "ui", "count": 1}] and found["pages"] == 2
    assert found["mtta_ms"] == 30_000 and found["mttr_ms"] is None and found["rules"][0]["pages"] == 2


@settings(max_examples=30)
@given(st.integers(0, 4_000_000_000_000))
def test_a_week_begins_on_monday(t_ms: int) -> None:
    start = datetime.fromtimestamp(week_ms(t_ms) / 1000, UTC)
    assert (start.weekday(), start.hour, start.minute) == (0, 0, 0) and 0 <= t_ms - week_ms(t_ms) < 7 * DAY_MS


def test_weeks_have_no_holes_and_what_comes_back_names_its_last_fix(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 's.db'}", inline=True)
    metadata.create_all(db.engine)

    def write(tx: Any) -> dict[str, Any]:
        for number in (1, 2, 3, 4):
            insert(tx, number, "Full", end=5)
        tx.execute(sa.update(incidents).where(incidents.c.number < 4).values(key="same"))
        tx.execute(sa.update(incidents).where(incidents.c.number == 2).values(remediation={"summary": "made room"}))
        tx.execute(sa.update(incidents).where(incidents.c.number == 4).values(receiver=SELFTEST))
        return analytics(tx, START_MS - 21 * DAY_MS, START_MS + DAY_MS)

    found = db.write_now(write)
    db.close()
    assert found["incidents"] == 3, "a self-test is nobody's incident"
    assert [(row["times"], row["last"], row["last_fix"]) for row in found["recurring"]] == [(3, 3, "made room")]
    assert len(found["weeks"]) == 4 and [week["incidents"] for week in found["weeks"]][-1] == 3
