"""Quiet hours by command: for the caller's own person, in the words of the configuration, told to the audit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from tocsin.app.quiethours import QuietHoursCommands
from tocsin.cli.config import load
from tocsin.config.config import with_contacts
from tocsin.errors import CommandError
from tocsin.incidents import quiethours
from tocsin.model.event import Actor
from tocsin.state.schema import accounts, events, metadata
from tocsin.state.sql import Database, sqlite_url

NOW_MS = 1_795_400_000_000
ANA = Actor("user", "ana", "ui")
FILE = """
users:
  - {name: ana, email: ana@shop.example, time_zone: Europe/Paris}
  - {name: ben, email: ben@shop.example, quiet_hours: {from: "21:00", to: "06:00", days: [Friday, sat], allow: []}}
"""
NIGHT = {"from": "22:00", "to": "07:00"}


class Desk:
    """The commands over a real database; the configuration is the file's with what people set."""

    def __init__(self, folder: Path) -> None:
        (folder / "tocsin.yaml").write_text(FILE)
        self.file = load((folder / "tocsin.yaml",))
        self.db = Database(sqlite_url(folder / "state.db"), inline=True)
        metadata.create_all(self.db.engine)
        self.applied = 0
        deliverer = SimpleNamespace(wake=lambda: None)
        clock = SimpleNamespace(now_ms=lambda: NOW_MS)
        core: Any = SimpleNamespace(db=self.db, clock=clock, changes=lambda *_: None, deliverer=deliverer)
        self.commands = QuietHoursCommands(core, self)  # type: ignore[arg-type]

    @property
    def config(self) -> Any:
        return with_contacts(self.file, (), self.db.read_now(quiethours.stored))

    async def contacts_changed(self) -> None:
        self.applied += 1

    def audit(self) -> list[tuple[str, str, str]]:
        query = sa.select(events.c.verb, events.c.subject, events.c.text).order_by(events.c.id)
        return [tuple(row) for row in self.db.read_now(lambda tx: tx.execute(query).all())]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.db.close()


async def test_one_sets_changes_and_removes_ones_own(desk: Desk) -> None:
    none = await desk.commands.get({"account": "ana"}, ANA)
    assert (none["hours"], none["source"], none["time_zone"]) == (None, "", "Europe/Paris")
    made = await desk.commands.set({"account": "ana", **NIGHT, "seen": [none["etag"]]}, ANA)
    assert made["hours"] | {"until_ms": 0} == {
        **NIGHT, "days": [], "time_zone": "Europe/Paris", "allow": ["critical"], "until_ms": 0,
    }  # fmt: skip
    assert (made["source"], desk.applied) == ("own", 1)
    assert desk.config.directory.persons["ana"].quiet_hours.start_minute == 22 * 60, "pages go by them now"
    more = {"days": ["sun", "Monday"], "time_zone": "UTC", "allow": ["critical", "warning"]}
    changed = await desk.commands.set({"account": "ana", **NIGHT, **more, "seen": [made["etag"]]}, ANA)
    assert changed["hours"]["days"] == ["mon", "sun"] and changed["etag"] != made["etag"]
    with pytest.raises(CommandError) as caught:
        await desk.commands.remove({"account": "ana", "seen": [made["etag"]]}, ANA)
    assert caught.value.status == 412
    assert (await desk.commands.remove({"account": "ana"}, ANA))["hours"] is None
    assert [line[:2] for line in desk.audit()] == [
        ("quiet_hours_set", "user:ana"), ("quiet_hours_set", "user:ana"), ("quiet_hours_removed", "user:ana"),
    ]  # fmt: skip
    assert desk.audit()[0][2] == "ana set the quiet hours of ana: 22:00 to 07:00 (Europe/Paris), critical gets through"


async def test_those_of_the_file_are_shown_and_not_changed_here(desk: Desk) -> None:
    ben = await desk.commands.get({"person": "ben"}, ANA)
    assert (ben["source"], ben["hours"]["days"], ben["hours"]["allow"]) == ("file", ["fri", "sat"], [])
    for refused in (desk.commands.set({"person": "ben", **NIGHT}, ANA), desk.commands.remove({"person": "ben"}, ANA)):
        with pytest.raises(CommandError, match="stand in the configuration") as caught:
            await refused
        assert caught.value.status == 409
    assert desk.audit() == []


async def test_an_account_is_a_person_by_its_address_too(desk: Desk) -> None:
    row = {"name": "boss", "role": "viewer", "email": "ANA@shop.example", "password_hash": "", "settings": {}}
    values = {column.name: row.get(column.name, 0) for column in accounts.c if column.name in row}
    desk.db.write_now(lambda tx: tx.execute(sa.insert(accounts).values(**values)))
    assert (await desk.commands.get({"account": "boss"}, ANA))["person"] == "ana"
    with pytest.raises(CommandError, match="belongs to nobody"):
        await desk.commands.get({"account": "nobody"}, ANA)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"from": "25:00"}, "expected a time of day"),
        ({"from": "7"}, "expected a time of day such as 22:00"),
        ({"to": "22:00"}, "same minute"),
        ({"from": "00:00", "to": "24:00"}, "never end"),
        ({"days": ["caturday"]}, "expected a day such as mon"),
        ({"time_zone": "Mars/Olympus"}, "unknown time zone"),
        ({"allow": ["page"]}, "'page' is not one of the severities info, warning, critical"),
    ],
)
async def test_what_makes_no_sense_is_refused_in_words(desk: Desk, given: dict[str, Any], says: str) -> None:
    with pytest.raises(CommandError, match=says) as caught:
        await desk.commands.set({"person": "ana", **NIGHT, **given}, ANA)
    assert caught.value.status == 422
    assert desk.db.read_now(quiethours.stored) == ()
