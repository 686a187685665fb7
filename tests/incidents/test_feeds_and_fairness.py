"""Calendar addresses with a secret of their own; and how a schedule's burden is shared."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.house import directory, person, policy
from tests.fakes.ports import SeededRandom

from tocsin.errors import CommandError
from tocsin.incidents import feeds
from tocsin.incidents.fairness import changes, fairness, month
from tocsin.incidents.hours import kind_at, split_ms
from tocsin.incidents.oncall import Schedule
from tocsin.incidents.schedule import parse_schedule
from tocsin.model.event import Actor
from tocsin.state.schema import metadata
from tocsin.state.sql import Database

ANA = Actor("user", "ana", "ui")


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def weekly(**more: object) -> Schedule:
    layer = {"users": ["ana", "ben"], "anchor": "2026-01-05T09:00", **more}
    return parse_schedule({"tz": "Europe/Berlin", "layers": [layer]}, name="web")


def test_an_address_works_until_it_is_revoked_and_its_secret_is_kept_nowhere(tmp_path: Path) -> None:
    both = {"web": weekly(), "db": replace(weekly(), name="db")}
    people = directory(person("ana"), person("ben"), policy=policy(["ana"]), schedules=both)
    db = Database(f"sqlite:///{tmp_path / 's.db'}", inline=True)
    metadata.create_all(db.engine)
    now_ms = at("2026-03-01")
    with db.engine.begin() as tx:
        made = feeds.create(tx, people, schedule="", person="ana", actor=ANA, now_ms=now_ms, random=SeededRandom())
        secret = made["path"].removeprefix("/calendar/").removesuffix(".ics")
        assert len(secret) >= 43 and secret not in repr(feeds.listed(tx))
        assert feeds.find(tx, secret, now_ms) == ("", "ana") and feeds.find(tx, secret[:-1] + "x", now_ms) is None
        assert feeds.listed(tx)[0]["used_ms"] == now_ms
        text = feeds.text(people, "", "ana", now_ms)
        assert text.count("BEGIN:VCALENDAR") == 1 and "(web)" in text and "(db)" in text and "ben" not in text
        with pytest.raises(CommandError):
            feeds.revoke(tx, "0123", actor=ANA, now_ms=now_ms)
        feeds.revoke(tx, made["id"], actor=ANA, now_ms=now_ms)
        assert feeds.find(tx, secret, now_ms) is None and feeds.listed(tx) == []
        for wrong in ({"schedule": "x", "person": ""}, {"schedule": "", "person": "x"}, {"schedule": "", "person": ""}):
            with pytest.raises(CommandError):
                feeds.create(tx, people, **wrong, actor=ANA, now_ms=now_ms, random=SeededRandom())
    db.close()
    assert "END:VCALENDAR" in feeds.text(people, "gone", "", now_ms), "what left the configuration is an empty calendar"


def test_hours_are_work_sleep_or_off_by_the_persons_own_clock() -> None:
    assert kind_at(at("2026-03-02T10:00"), "Europe/Berlin") == "work"
    assert kind_at(at("2026-03-02T10:00"), "America/New_York") == "sleep"
    assert kind_at(at("2026-03-01T10:00"), "Europe/Berlin") == "off", "a Sunday"
    whole = split_ms(at("2026-03-28T23:00"), at("2026-03-29T22:00"), "Europe/Berlin")
    assert sum(whole.values()) == 23 * 3_600_000 and whole == {"work": 0, "sleep": 7 * 3_600_000, "off": 16 * 3_600_000}


def test_fairness_counts_time_nights_and_balance() -> None:
    zones = {"ana": "Europe/Berlin", "ben": "America/New_York"}
    found = fairness(weekly(), zones, at("2026-01-05T08:00"), at("2026-02-02T08:00"))
    ana, ben = found["people"]
    assert (ana["who"], ana["seconds"], ana["shifts"], ana["nights"]) == ("ana", 14 * 86400, 2, 14)
    assert ana["work"] + ana["sleep"] + ana["off"] == ana["seconds"] and ana["share"] == ben["share"] == 0.5
    assert (found["balance"], found["coverage"]) == (1.0, 1.0)
    alone = fairness(weekly(users=["ana", "ana", "ana", "ben"]), zones, at("2026-01-05T08:00"), at("2026-02-02T08:00"))
    assert alone["balance"] == 0.5
    assert fairness(weekly(until="2026-01-01T00:00"), zones, at("2026-02-01"), at("2026-02-02"))["coverage"] == 0.0


def test_changes_and_a_month_in_whole_weeks() -> None:
    plain = weekly(restrictions=[{"days": ["mon"], "start": "09:00", "end": "17:00"}])
    first = changes(plain, at("2026-03-23"), at("2026-03-31"))[0]
    assert first == {"at": "2026-03-23T08:00:00Z", "before": [], "after": ["ben"]}
    shown = month(weekly(), 2026, 3)
    days = {day["date"]: day for day in shown["days"]}
    assert next(iter(days)) == "2026-02-23" and list(days)[-1] == "2026-04-05" and len(days) == 42
    assert days["2026-03-29"]["end_ms"] - days["2026-03-29"]["start_ms"] == 23 * 3_600_000
    assert [segment["users"] for segment in days["2026-03-02"]["segments"]] == [["ben"], ["ana"]]
    assert not days["2026-02-28"]["in_month"] and days["2026-03-02"]["gap_seconds"] == 0
