"""Planned work of the dashboard obeys the file's own rules, holds at once, ends early, and is gone when it is removed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from tocsin.app.plannedwork import MaintenanceCommands
from tocsin.cli.config import load
from tocsin.config.declared import declared_windows, with_maintenance
from tocsin.errors import CommandError
from tocsin.formats.routing_json import window_from_json, window_to_json
from tocsin.model.event import Actor
from tocsin.random import SystemRandom
from tocsin.state.schema import declared_maintenance, events, metadata
from tocsin.state.sql import Database, sqlite_url

NOW_MS = int(dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC).timestamp() * 1000)
HOUR_MS = 3_600_000
ANA = Actor("user", "ana", "ui")
FILE = "maintenance: [{name: backup, matchers: ['service=\"db\"'], start: '2026-11-22 11:00', duration: 2h}]\n"
WINDOW = {"name": "disks", "matchers": ['service="web"'], "start": "2026-11-01 11:30", "duration": "1h", "rrule": "FREQ=DAILY"}


class Desk:
    """The commands over a real database; the configuration is the file's with what the dashboard added."""

    def __init__(self, folder: Path) -> None:
        (folder / "tocsin.yaml").write_text(FILE)
        self.file = load((folder / "tocsin.yaml",))
        self.db = Database(sqlite_url(folder / "state.db"), inline=True)
        metadata.create_all(self.db.engine)
        self.now_ms = NOW_MS
        clock = SimpleNamespace(now_ms=lambda: self.now_ms)
        core: Any = SimpleNamespace(db=self.db, clock=clock, changes=lambda *_: None)
        self.commands = MaintenanceCommands(core, self, SystemRandom())  # type: ignore[arg-type]

    @property
    def config(self) -> Any:
        return with_maintenance(self.file, self.db.read_now(declared_windows))

    async def maintenance_changed(self) -> None:
        pass

    def windows(self) -> dict[str, Any]:
        return {window.name: window for window in self.config.routing.maintenance}

    def audit(self) -> list[tuple[str, str]]:
        rows = self.db.read_now(lambda tx: tx.execute(sa.select(events.c.verb, events.c.actor).order_by(events.c.id)).all())
        return [(row.verb, row.actor) for row in rows]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.db.close()


async def test_a_window_is_planned_ended_early_changed_and_removed(desk: Desk) -> None:
    made = await desk.commands.set({"window": WINDOW}, ANA)
    assert desk.windows()["disks"].occurrences.holding(NOW_MS) == (NOW_MS - HOUR_MS // 2, NOW_MS + HOUR_MS // 2)
    await desk.commands.end(made, ANA)
    held = desk.windows()["disks"].occurrences
    assert held.holding(NOW_MS) is None and held.holding(NOW_MS - 1) is not None
    assert held.holding(NOW_MS + 24 * HOUR_MS) is not None, "tomorrow's stays"
    assert window_from_json(window_to_json(desk.windows()["disks"])) == desk.windows()["disks"]
    with pytest.raises(CommandError, match="does not hold now"):
        await desk.commands.end(made, ANA)
    await desk.commands.set({**made, "window": {**WINDOW, "comment": "new"}}, ANA)
    assert desk.windows()["disks"].occurrences.holding(NOW_MS) is None, "another comment brings no occurrence back"
    await desk.commands.set({**made, "window": {**WINDOW, "duration": "2h"}}, ANA)
    assert desk.windows()["disks"].occurrences.holding(NOW_MS) is not None
    await desk.commands.remove(made, ANA)
    assert set(desk.windows()) == {"backup"}
    verbs = ["planned", "ended", "changed", "changed", "removed"]
    assert desk.audit() == [(f"maintenance_{verb}", "user:ana") for verb in verbs]


async def test_who_looked_at_an_older_version_changes_nothing(desk: Desk) -> None:
    made = await desk.commands.set({"window": WINDOW}, ANA)
    await desk.commands.set({**made, "window": {**WINDOW, "comment": "theirs"}, "version": 1}, ANA)
    for command, more in ((desk.commands.set, {"window": WINDOW}), (desk.commands.end, {}), (desk.commands.remove, {})):
        with pytest.raises(CommandError) as caught:
            await command({**made, **more, "version": 1}, ANA)
        assert caught.value.status == 412
    assert desk.windows()["disks"].comment == "theirs"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "backup"}, "there is a window 'backup' already"),
        ({"matchers": []}, "at least one matcher"),
        ({"matchers": ['service=~".*"']}, "at least one matcher"),
        ({"start": "soon"}, "start: .*local time such as"),
        ({"rrule": "FREQ=HOURLY"}, "FREQ must be one of"),
        ({"time_zone": "Mars/Base"}, "time_zone"),
        ({"duration": "0s"}, "give either end or duration"),
    ],
)
async def test_what_could_not_stand_in_the_file_is_refused_here(desk: Desk, change: dict[str, Any], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        await desk.commands.set({"window": {**WINDOW, **change}}, ANA)
    assert desk.db.read_now(lambda tx: tx.execute(sa.select(declared_maintenance)).all()) == []


async def test_one_of_the_file_is_changed_there(desk: Desk) -> None:
    with pytest.raises(CommandError, match="edit the file"):
        await desk.commands.remove({"id": "backup"}, ANA)
