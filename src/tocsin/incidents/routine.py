"""What happens by the calendar and not because something broke: hand-off notices, the daily drill, codes that end.

Each part looks at its rows in one transaction and says when it wants to look again; nothing here lives only in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.clock import Clock, until_woken
from tocsin.errors import StateError
from tocsin.incidents import contacts
from tocsin.incidents.drill import Drills, DrillSettings, Way, start, ways_rows
from tocsin.incidents.handoff import Handoffs, HandoffSettings
from tocsin.incidents.people import Directory
from tocsin.log import get_log
from tocsin.model.ports import Changed, Random
from tocsin.state.sql import Database

log = get_log("routine")

_LONGEST_NAP_MS = 60_000
_AFTER_ERROR_MS = 5_000


class Routine:
    """`run()` belongs to one task. `directory_at` is the escalator's: people and schedules with the dashboard's overrides."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        random: Random,
        changed: Changed,
        wake_notify: Callable[[], None],
        directory_at: Callable[[Connection, int], Directory],
    ) -> None:
        self._db = db
        self._clock = clock
        self._random = random
        self._changed = changed
        self._wake_notify = wake_notify
        self._directory_at = directory_at
        self._handoffs = Handoffs()
        self._drills = Drills()
        self._ways: Sequence[Way] = ()
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def apply(self, *, handoff: HandoffSettings, drill: DrillSettings | None, ways: Sequence[Way]) -> None:
        """`ways`: every address of every channel that people are paged by."""
        self._handoffs.settings, self._drills.settings, self._ways = handoff, drill, ways
        self.wake()

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            now_ms = self._clock.now_ms()
            try:
                next_ms = await self._db.write(self.look)
            except (StateError, sa.exc.SQLAlchemyError) as error:
                log.error("cannot look at the calendar", error=str(error))
                next_ms = now_ms + _AFTER_ERROR_MS
            self._wake_notify()
            await until_woken(self._clock, self._woken, min(next_ms, now_ms + _LONGEST_NAP_MS))

    def look(self, tx: Connection) -> int:
        """Do everything that is due; returns when to look again."""
        now_ms = self._clock.now_ms()
        directory = self._directory_at(tx, now_ms)
        contacts.forget_codes(tx, now_ms)
        return min(
            self._handoffs.look(tx, directory, now_ms, self._random),
            self._drills.look(tx, directory, self._ways, now_ms, self._random),
        )

    def wake(self) -> None:
        """Look again now. From any thread."""
        loop = self._loop
        if loop is None or loop.is_closed():
            self._woken.set()
        else:
            loop.call_soon_threadsafe(self._woken.set)

    async def drill_now(self, by: str) -> list[str]:
        """Start a drill at once; returns the ids of its messages."""

        def work(tx: Connection) -> list[str]:
            now_ms = self._clock.now_ms()
            settings = self._drills.settings or DrillSettings()
            ways = [way for way in self._ways if settings.takes(way)]
            return start(tx, self._directory_at(tx, now_ms), ways, now_ms, self._random, by=by)

        ids = await self._db.write(work)
        self._wake_notify()
        self._changed("notifications")
        self.wake()
        return ids

    async def ways(self) -> list[dict[str, object]]:
        """What is known of each way by which people are paged."""
        settings = self._drills.settings
        return await self._db.read(lambda tx: list(ways_rows(tx, settings, self._clock.now_ms(), self._ways)))
