"""Commands about calendar addresses: `feed.create | revoke | read`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Connection

from tocsin.app.configuration import Configuration
from tocsin.bus.wire import Args, CommandHandler
from tocsin.errors import CommandError
from tocsin.incidents import feeds
from tocsin.incidents.people import Directory
from tocsin.model.event import Actor
from tocsin.model.ports import Random

if TYPE_CHECKING:
    from tocsin.app.core import Core

_BACK_MS = 31 * 86_400_000


class FeedCommands:
    def __init__(self, core: Core, configuration: Configuration, random: Random) -> None:
        self._core = core
        self._configuration = configuration
        self._random = random

    def table(self) -> Mapping[str, CommandHandler]:
        return {"feed.create": self.create, "feed.revoke": self.revoke, "feed.read": self.read}

    async def create(self, args: Args, actor: Actor) -> Any:
        """{schedule?, person?} -> {id, url}; the address is in this answer and nowhere else."""
        config, now_ms = self._configuration.config, self._core.clock.now_ms()
        schedule, person = str(args.get("schedule", "")), str(args.get("person", ""))
        made = await self._core.db.write(
            lambda tx: feeds.create(
                tx, config.directory, schedule=schedule, person=person, actor=actor, now_ms=now_ms, random=self._random
            )
        )
        return {"id": made["id"], "schedule": schedule, "person": person, "url": f"{config.external_url}{made['path']}"}

    async def revoke(self, args: Args, actor: Actor) -> Any:
        now_ms = self._core.clock.now_ms()
        await self._core.db.write(lambda tx: feeds.revoke(tx, str(args["id"]), actor=actor, now_ms=now_ms))
        return {}

    async def read(self, args: Args, _actor: Actor) -> Any:
        """{token} -> {text}. Raises CommandError 404, the same for one that never was and one that was revoked."""
        now_ms = self._core.clock.now_ms()

        def work(tx: Connection) -> tuple[tuple[str, str], Directory] | None:
            found = feeds.find(tx, str(args["token"]), now_ms)
            return (found, self._core.escalator.directory_at(tx, now_ms - _BACK_MS)) if found is not None else None

        known = await self._core.db.write(work)
        if known is None:
            raise CommandError(404, "not_found", "there is no such calendar")
        (schedule, person), directory = known
        return {"text": await asyncio.to_thread(feeds.text, directory, schedule, person, now_ms)}
