"""Commands about people's own quiet hours: `quiet.get | set | remove`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pydantic

from tocsin.app.configuration import Configuration
from tocsin.app.contacts import person_of
from tocsin.bus.wire import Args, CommandHandler
from tocsin.config.people import quiet_hours_of
from tocsin.config.schema import Quiet
from tocsin.errors import CommandError
from tocsin.incidents import quiethours
from tocsin.incidents.policy import quiet_until
from tocsin.model.event import Actor
from tocsin.model.incident import Person, QuietHours

if TYPE_CHECKING:
    from tocsin.app.core import Core

_WRITTEN = ("from", "to", "days", "time_zone", "allow")


class QuietHoursCommands:
    """For the person of the caller's account; the console and administrators name one by `person`."""

    def __init__(self, core: Core, configuration: Configuration) -> None:
        self._core = core
        self._configuration = configuration

    def table(self) -> Mapping[str, CommandHandler]:
        return {"quiet.get": self.get, "quiet.set": self.set, "quiet.remove": self.remove}

    async def get(self, args: Args, _actor: Actor) -> Any:
        """{account | person} -> {person, time_zone, severities, source, hours, etag}; `hours` null = none."""
        person = await person_of(self._core, self._configuration, args)
        hours = await self._core.db.read(lambda tx: quiethours.in_force(tx, person))
        until_ms = quiet_until(hours, "", self._core.clock.now_ms())
        return {
            "person": person.name,
            "time_zone": person.time_zone,
            "severities": list(self._configuration.config.directory.severities),
            "source": "" if hours is None else "own" if hours.own else "file",
            "hours": {**quiethours.shown(hours), "until_ms": until_ms} if hours else None,
            "etag": quiethours.mark(hours),
        }

    async def set(self, args: Args, actor: Actor) -> Any:
        """{account | person, from, to, days?, time_zone?, allow?, seen?} -> as `get`.

        Raises CommandError 409 where the file says them, 412, 422.
        """
        person = await person_of(self._core, self._configuration, args)
        return await self._put(person, self._read(args, person), args, actor)

    async def remove(self, args: Args, actor: Actor) -> Any:
        """{account | person, seen?}: every message comes at once. Raises CommandError 409 where the file says them, 412."""
        return await self._put(await person_of(self._core, self._configuration, args), None, args, actor)

    # -- parts --

    async def _put(self, person: Person, hours: QuietHours | None, args: Args, actor: Actor) -> Any:
        now_ms, seen = self._core.clock.now_ms(), [str(one) for one in args.get("seen", ())]
        after = await self._core.db.write(
            lambda tx: quiethours.put(tx, person, hours, actor=actor, now_ms=now_ms, seen=seen)
        )  # fmt: skip
        await self._configuration.contacts_changed()
        # A page decided between the two still went by the old hours.
        await self._core.db.write(lambda tx: quiethours.follow(tx, after, actor, now_ms))
        self._core.deliverer.wake()
        self._core.changes("notifications")
        self._core.changes("oncall")
        return await self.get({"person": person.name}, actor)

    def _read(self, args: Args, person: Person) -> QuietHours:
        """Raises CommandError 422, in the words of the configuration."""
        try:
            quiet = Quiet.model_validate({name: args[name] for name in _WRITTEN if args.get(name) is not None})
        except pydantic.ValidationError as error:
            raise CommandError(422, "bad_quiet_hours", _first(error)) from None
        if quiet.start == quiet.end:
            raise CommandError(
                422, "bad_quiet_hours", "they begin and end at the same minute: give them a length, or remove them"
            )
        known = self._configuration.config.directory.severities
        if unknown := [one for one in quiet.allow if one not in known]:
            raise CommandError(422, "bad_quiet_hours", f"allow: {unknown[0]!r} is not one of the severities {', '.join(known)}")
        hours = quiet_hours_of(quiet, person.time_zone, own=True)
        if not hours.days and (hours.start_minute, hours.end_minute) == (0, 1440):
            raise CommandError(422, "bad_quiet_hours", "these hours never end: leave out an hour or a day")
        return hours


def _first(error: pydantic.ValidationError) -> str:
    detail = error.errors(include_url=False)[0]
    reason = detail["ctx"]["error"] if detail["type"] == "value_error" else detail["msg"]
    return f"{'.'.join(str(part) for part in detail['loc'])}: {reason}"
