"""What the on-call page says of people and receivers: quiet hours, and whether they hold messages back now."""

from __future__ import annotations

from tocsin.incidents.duty import duty
from tocsin.incidents.people import Directory
from tocsin.model.incident import Person, QuietHours
from tocsin.model.route import Destination, Receiver

MINUTE = 60_000
NIGHT = QuietHours(22 * 60, 7 * 60, "Europe/Paris", ("critical",))
ANA = Person("ana", quiet_hours=NIGHT)
TEN_PM_IN_PARIS = 1_700_082_000_000  # 15 November 2023, 21:00 UTC
SEVEN = TEN_PM_IN_PARIS + 9 * 60 * MINUTE


def quiet(now_ms: int):
    [person] = duty(Directory(persons={"ana": ANA}), now_ms)["people"]
    return person["quiet_hours"]


def test_quiet_hours_are_told_as_written_and_until_when_they_hold():
    assert quiet(TEN_PM_IN_PARIS - MINUTE) == {
        "from": "22:00", "to": "07:00", "time_zone": "Europe/Paris", "allow": ["critical"], "days": [], "own": False,
        "until_ms": 0,
    }  # fmt: skip
    assert quiet(TEN_PM_IN_PARIS)["until_ms"] == SEVEN
    assert quiet(SEVEN - MINUTE)["until_ms"] == SEVEN
    assert quiet(SEVEN)["until_ms"] == 0


def test_who_has_none_has_none_and_receivers_say_how_they_are_told():
    ops = Receiver("ops", destinations=(Destination("email", {}), Destination("slack", {}, index=1)), policy="default")
    found = duty(Directory(persons={"ben": Person("ben")}, receivers={"ops": ops}), 0)
    assert found["people"][0]["quiet_hours"] is None
    assert found["receivers"] == [{"name": "ops", "policy": "default", "channels": ["email", "slack"]}]
