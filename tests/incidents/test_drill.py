"""Each way by which people are paged is proven daily; what is not proven says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from tests.fakes.house import directory, person, policy
from tests.fakes.ports import SeededRandom

from tocsin.incidents.drill import Drills, DrillSettings, Way, next_at, unproven, ways_rows
from tocsin.model.incident import QuietHours
from tocsin.state.schema import metadata, notifications
from tocsin.state.sql import Database

HOUR = 3_600_000
START_MS = round(datetime(2026, 3, 27, 12, tzinfo=UTC).timestamp() * 1000)
AT_TEN = DrillSettings(600, "Europe/Berlin", stale_after_ms=36 * HOUR)
MAIL = [Way("email mail:25", "email", f"user:{name}/email") for name in ("ana", "ben")]
CHAT = [Way("slack T", "slack", "receiver:ops/slack/0"), Way("slack T", "slack", "user:ana/slack")]
PEOPLE = directory(person("ana"), person("ben", quiet_hours=QuietHours(9 * 60, 12 * 60, "Europe/Berlin")), policy=policy(["ana"]))


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Connection]:
    db = Database(f"sqlite:///{tmp_path / 's.db'}", inline=True)
    metadata.create_all(db.engine)
    with db.engine.begin() as connection:
        yield connection
    db.close()


def look(tx: Connection, drills: Drills, now_ms: int, ways: list[Way] | None = None) -> int:
    return drills.look(tx, PEOPLE, MAIL + CHAT if ways is None else ways, now_ms, SeededRandom())


def sent(tx: Connection) -> list[Any]:
    return list(tx.execute(sa.select(notifications).order_by(notifications.c.id)))


def outcome(tx: Connection, lane_channel: str, state: str, now_ms: int) -> None:
    newest = sa.select(sa.func.max(notifications.c.id)).where(notifications.c.channel == lane_channel).scalar_subquery()
    values = {"state": state, "done_ms": now_ms, "state_reason": "421"}
    tx.execute(sa.update(notifications).where(notifications.c.id == newest).values(**values))


def state_of(tx: Connection, lane: str, now_ms: int) -> dict[str, Any]:
    return next(row for row in ways_rows(tx, AT_TEN, now_ms) if row["lane"] == lane)


def test_one_message_a_lane_at_the_time_of_day_places_before_people_and_people_in_turn(tx: Connection) -> None:
    drills = Drills(AT_TEN)
    due_ms = look(tx, drills, START_MS)
    assert datetime.fromtimestamp(due_ms / 1000, UTC).isoformat() == "2026-03-28T09:00:00+00:00" and not sent(tx)
    look(tx, drills, due_ms)
    look(tx, Drills(AT_TEN), due_ms + 1)
    assert [row.settings_ref for row in sent(tx)][1] == "receiver:ops/slack/0" and len(sent(tx)) == 2
    summer_ms = look(tx, drills, due_ms + 2 * HOUR, [])
    assert datetime.fromtimestamp(summer_ms / 1000, UTC).isoformat() == "2026-03-29T08:00:00+00:00"
    look(tx, drills, summer_ms)
    asked = {row.recipient: row for row in sent(tx) if row.channel == "email"}
    assert set(asked) == {"ana", "ben"}, "people take turns"
    assert asked["ben"].state == "held" and asked["ana"].state == "pending", "quiet hours hold a drill"
    assert all(row.payload["drill"] and row.kind == "test" for row in sent(tx))


def test_a_way_that_took_anything_is_proven_and_one_that_did_not_for_long_is_not(tx: Connection) -> None:
    drills = Drills(AT_TEN)
    due_ms = look(tx, drills, START_MS)
    look(tx, drills, due_ms)
    outcome(tx, "email", "delivered", due_ms + 1000)
    look(tx, drills, due_ms + 2000)
    row = state_of(tx, "email mail:25", due_ms + 2000)
    assert (row["state"], row["proven_ms"], row["unproven"]) == ("delivered", due_ms + 1000, False)
    assert unproven.value("email mail:25") == 0
    assert state_of(tx, "email mail:25", due_ms + 40 * HOUR)["unproven"]


def test_the_first_message_that_is_accepted_shows_before_the_table_follows(tx: Connection) -> None:
    look(tx, Drills(), START_MS)
    values = {"id": "e" * 32, "settings_ref": MAIL[0].ref, "state": "accepted", "done_ms": START_MS + 9, "dedup_key": "p"}
    tx.execute(sa.insert(notifications).values(**values, payload={}, extra={}))
    proven = {row["lane"]: row["proven_ms"] for row in ways_rows(tx, None, START_MS + 10, MAIL + CHAT)}
    assert proven == {"email mail:25": START_MS + 9, "slack T": 0}


def test_a_failed_drill_is_a_doubt_at_once_until_something_goes_through(tx: Connection) -> None:
    drills = Drills(AT_TEN)
    due_ms = look(tx, drills, START_MS)
    look(tx, drills, due_ms)
    outcome(tx, "slack", "failed", due_ms + 1000)
    look(tx, drills, due_ms + 2000)
    row = state_of(tx, "slack T", due_ms + 2000)
    assert (row["state"], row["reason"], row["unproven"]) == ("failed", "421", True) and unproven.value("slack T") == 1
    values = {"id": "f" * 32, "settings_ref": "user:ana/slack", "state": "accepted", "done_ms": due_ms + 3000, "dedup_key": "p"}
    tx.execute(sa.insert(notifications).values(**values, payload={}, extra={}))
    look(tx, drills, due_ms + 4000)
    assert unproven.value("slack T") == 0, "a real page through the same provider proves it as well"


def test_a_way_that_was_never_tried_gets_its_time_and_one_that_is_gone_is_forgotten(tx: Connection) -> None:
    drills = Drills(AT_TEN)
    look(tx, drills, START_MS)
    assert not state_of(tx, "slack T", START_MS + 30 * HOUR)["unproven"]
    assert state_of(tx, "slack T", START_MS + 37 * HOUR)["unproven"]
    look(tx, drills, START_MS, MAIL)
    assert [row["lane"] for row in ways_rows(tx, AT_TEN, START_MS)] == ["email mail:25"]
    assert [dict(sample.labels)["lane"] for sample in unproven.samples()] == ["email mail:25"]


def test_without_a_drill_nothing_is_sent_and_nothing_is_doubted(tx: Connection) -> None:
    drills = Drills()
    look(tx, drills, START_MS)
    look(tx, drills, START_MS + 100 * HOUR)
    assert sent(tx) == [] and not any(row["unproven"] for row in ways_rows(tx, None, START_MS + 100 * HOUR))


def test_a_time_of_day_that_does_not_exist_is_the_first_instant_after_the_gap() -> None:
    night = DrillSettings(150, "Europe/Berlin")
    found = next_at(night, round(datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp() * 1000))
    assert datetime.fromtimestamp(found / 1000, UTC).isoformat() == "2026-03-29T01:00:00+00:00"


@pytest.mark.parametrize(("chosen", "count"), [({"channels": ("slack",)}, 1), ({"to": ("ben",)}, 1), ({"to": ("chi",)}, 0)])
def test_who_takes_part_is_a_setting(tx: Connection, chosen: dict[str, Any], count: int) -> None:
    drills = Drills(DrillSettings(600, "UTC", **chosen))
    look(tx, drills, look(tx, drills, START_MS))
    assert len(sent(tx)) == count
