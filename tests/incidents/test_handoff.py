"""Who comes and who goes hears of each change of a schedule exactly once, over restarts and daylight-saving time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection
from tests.fakes.house import directory, person, policy
from tests.fakes.ports import SeededRandom

from tocsin.incidents.handoff import Handoffs, HandoffSettings
from tocsin.incidents.oncall import Override, Schedule, oncall_at
from tocsin.incidents.people import Directory
from tocsin.incidents.schedule import parse_schedule
from tocsin.model.incident import QuietHours
from tocsin.state.schema import events, incidents, metadata, notifications
from tocsin.state.sql import Database

HOUR = 3_600_000
DAY = 24 * HOUR
START_MS = round(datetime(2026, 3, 27, 12, tzinfo=UTC).timestamp() * 1000)
"""Two days before Europe puts its clocks forward."""


def schedule(**layer: Any) -> Schedule:
    base = {"users": ["ben", "ana"], "anchor": "2026-01-05T09:00", "period": {"unit": "days"}}
    return parse_schedule({"tz": "Europe/Berlin", "layers": [{**base, **layer}]}, name="web")


def people(made: Schedule, **more: Any) -> Directory:
    ana, ben, chi = person("ana"), person("ben", "email", "sms", **more), person("chi", "sms", "pagerduty")
    return directory(ana, ben, chi, policy=policy(["ana"]), schedules={"web": made})


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Connection]:
    db = Database(f"sqlite:///{tmp_path / 's.db'}", inline=True)
    metadata.create_all(db.engine)
    with db.engine.begin() as connection:
        yield connection
    db.close()


def told(tx: Connection) -> list[tuple[str, str, str]]:
    c = notifications.c
    rows = tx.execute(sa.select(c.recipient, c.channel, c.payload).order_by(c.id))
    return [(row.recipient, row.channel, "in" if row.payload["title"].startswith("You are") else "out") for row in rows]


def test_both_hear_of_it_at_the_wall_time_of_their_zone_also_when_the_clocks_change(tx: Connection) -> None:
    who, handoffs, now_ms = people(schedule()), Handoffs(), START_MS
    for _ in range(3):
        now_ms = handoffs.look(tx, who, now_ms, SeededRandom())
        assert datetime.fromtimestamp(now_ms / 1000, UTC).hour in (7, 8), "09:00 in Berlin"
    handoffs.look(tx, who, now_ms, SeededRandom())
    there, back = [("ben", "email", "in"), ("ana", "email", "out")], [("ana", "email", "in"), ("ben", "email", "out")]
    assert told(tx) == [*there, *back, *there]
    [first] = tx.execute(sa.select(notifications.c.payload).order_by(notifications.c.id).limit(1)).scalars()
    assert "until Sun 2026-03-29 07:00 UTC (23h)" in first["lines"][0], "the short day"


def test_the_notice_says_what_goes_on(tx: Connection) -> None:
    who, handoffs = people(schedule(restrictions=[{"end": "17:00"}])), Handoffs()
    values = {"key": "k", "title": "disk full", "severity": "critical", "state": "acknowledged", "acknowledged_by": "ana"}
    values |= {"policy": {}, "group_labels": {}, "remediation": {}, "extra": {}, "created_ms": START_MS}
    tx.execute(sa.insert(incidents).values(**values))
    due_ms = handoffs.look(tx, who, START_MS, SeededRandom())
    handoffs.look(tx, who, due_ms, SeededRandom())
    [payload] = tx.execute(sa.select(notifications.c.payload)).scalars()
    text = "\n".join(payload["lines"])
    assert "1 open incident:" in text and "#1 critical disk full: acknowledged for" in text and "(ana has it)" in text
    assert "Nobody is on call from" in text and "0 pages about 0 incidents" in text


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (HandoffSettings("incoming"), [("ben", "email", "in")]),
        (HandoffSettings("outgoing"), [("ana", "email", "out")]),
        (HandoffSettings("none"), []),
        (HandoffSettings(schedules=("other",)), []),
    ],
)
def test_who_hears_of_it_is_a_setting(tx: Connection, given: HandoffSettings, wanted: list[Any]) -> None:
    handoffs = Handoffs(given)
    due_ms = Handoffs().look(tx, people(schedule()), START_MS, SeededRandom())
    handoffs.look(tx, people(schedule()), START_MS, SeededRandom())
    handoffs.look(tx, people(schedule()), due_ms, SeededRandom())
    assert told(tx) == wanted


def test_quiet_hours_hold_a_notice_and_who_has_only_a_phone_is_not_rung(tx: Connection) -> None:
    who = people(schedule(users=["chi", "ben"]), quiet_hours=QuietHours(8 * 60, 12 * 60, "Europe/Berlin"))
    handoffs = Handoffs()
    due_ms = handoffs.look(tx, who, START_MS, SeededRandom())
    handoffs.look(tx, who, due_ms, SeededRandom())
    [row] = tx.execute(sa.select(notifications)).all()
    assert (row.recipient, row.channel, row.state) == ("ben", "email", "held") and row.due_at_ms == due_ms + 3 * HOUR
    assert "chi has no mailbox" in " ".join(tx.execute(sa.select(events.c.text)).scalars())


def test_an_override_is_a_change_too_and_its_end_another(tx: Connection) -> None:
    plain, handoffs = schedule(), Handoffs()
    handoffs.look(tx, people(plain), START_MS, SeededRandom())
    covered = Schedule("web", plain.time_zone, plain.layers, (Override(START_MS + HOUR, START_MS + 2 * HOUR, "set", ("ben",)),))
    for _ in range(2):
        at_ms = handoffs.look(tx, people(covered), START_MS + 60_000, SeededRandom())
    assert told(tx) == [] and at_ms == START_MS + HOUR
    at_ms = handoffs.look(tx, people(covered), at_ms, SeededRandom())
    handoffs.look(tx, people(covered), at_ms, SeededRandom())
    assert told(tx) == [("ben", "email", "in"), ("ana", "email", "out"), ("ana", "email", "in"), ("ben", "email", "out")]


ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Pacific/Apia"])
LAYERS = st.fixed_dictionaries(
    {
        "users": st.lists(st.sampled_from(["ana", "ben"]), min_size=1, max_size=4),
        "anchor": st.sampled_from(["2026-01-05T09:00", "2026-03-29T02:30", "2026-02-28T00:00"]),
        "period": st.fixed_dictionaries({"unit": st.sampled_from(["hours", "days", "weeks"]), "every": st.integers(7, 20)}),
        "restrictions": st.sampled_from([[], [{"days": ["sat", "sun"]}], [{"start": "22:00", "end": "06:00"}]]),
    }
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ZONES, st.lists(LAYERS, min_size=1, max_size=2), st.lists(st.booleans(), min_size=8, max_size=8), st.integers(0, 90))
def test_exactly_one_notice_per_person_and_change_whatever_restarts(
    tmp_path_factory: pytest.TempPathFactory, zone: str, layers: list[Any], restarts: list[bool], late_s: int
) -> None:
    made = parse_schedule({"tz": zone, "layers": layers}, name="web")
    who, handoffs, now_ms = people(made), Handoffs(), START_MS
    db = Database(f"sqlite:///{tmp_path_factory.mktemp('h') / 's.db'}", inline=True)
    metadata.create_all(db.engine)
    wanted: list[tuple[str, str]] = []
    before = oncall_at(made, now_ms)
    with db.engine.begin() as tx:
        for restart in restarts:
            due_ms = handoffs.look(tx, who, now_ms, SeededRandom())
            now_ms = due_ms + late_s * 1000 * restart
            if restart:
                handoffs = Handoffs()
                handoffs.look(tx, who, now_ms, SeededRandom())
                handoffs.look(tx, who, now_ms, SeededRandom())
            after = oncall_at(made, now_ms)
            wanted += [(name, "in") for name in after if name not in before]
            wanted += [(name, "out") for name in before if name not in after]
            before = after
        handoffs.look(tx, who, now_ms, SeededRandom())
        assert [(name, side) for name, _, side in told(tx)] == wanted
    db.close()
