"""Commands about people's own contact methods: `contact.add | code | verify | remove | list`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.app.configuration import Configuration
from tocsin.bus.wire import Args, CommandHandler
from tocsin.errors import CommandError
from tocsin.incidents import contacts
from tocsin.incidents.policy import shown_address
from tocsin.model.event import Actor
from tocsin.model.incident import Person
from tocsin.model.ports import Random
from tocsin.notify.channel import build, registry
from tocsin.state.schema import accounts
from tocsin.state.schema import contacts as contact_table

if TYPE_CHECKING:
    from tocsin.app.core import Core

PERSONAL = ("email", "sms", "telegram", "slack", "ntfy", "pushover", "mattermost", "msteams", "discord", "webex")
"""Channels that a person may add for themselves; the others are the operator's."""
_LONGEST_ADDRESS = 500


class ContactCommands:
    """Works for the person of the caller's account (by name, or by e-mail address); the console and administrators name one."""

    def __init__(self, core: Core, configuration: Configuration, random: Random) -> None:
        self._core = core
        self._configuration = configuration
        self._random = random

    def table(self) -> Mapping[str, CommandHandler]:
        return {
            "contact.list": self.list,
            "contact.add": self.add,
            "contact.code": self.code,
            "contact.verify": self.verify,
            "contact.remove": self.remove,
        }

    async def list(self, args: Args, _actor: Actor) -> Any:
        """{account | person} -> {person, contacts, channels}"""
        person = await self._person(args)
        kept = await self._core.db.read(lambda tx: {row.id: row for row in _rows(tx, person.name)})
        rows = [_shown(method, kept.get(method.id)) for method in person.methods]
        return {"person": person.name, "contacts": rows, "channels": [name for name in PERSONAL if name in registry()]}

    async def add(self, args: Args, actor: Actor) -> Any:
        """{channel, address, name?} -> the contact; its first code is under way."""
        person = await self._person(args)
        channel, address = str(args.get("channel", "")), str(args.get("address", "")).strip()
        name = str(args.get("name", "") or channel).strip()
        self._check(channel, address, name)
        await self._write(lambda tx, now_ms: contacts.add(
            tx, person, channel=channel, address=address, name=name, actor=actor, now_ms=now_ms
        ))  # fmt: skip
        await self._configuration.contacts_changed()
        return await self.code({"person": person.name, "id": name}, actor)

    async def code(self, args: Args, actor: Actor) -> Any:
        """{id} -> the contact; a fresh code is under way."""
        person, name = await self._person(args), str(args.get("id", ""))
        note = await self._write(
            lambda tx, now_ms: contacts.send_code(tx, person, name, actor=actor, now_ms=now_ms, random=self._random)
        )
        self._core.deliverer.wake()
        self._core.changes("notifications")
        return {**await self._one(person.name, name), "notification": note}

    async def verify(self, args: Args, actor: Actor) -> Any:
        """{id, code} -> the contact, verified. Raises CommandError 422 for a wrong or old code."""
        person, name, code = await self._person(args), str(args.get("id", "")), str(args.get("code", ""))
        wrong = await self._write(lambda tx, now_ms: contacts.verify(tx, person, name, code, actor=actor, now_ms=now_ms))
        if wrong:
            raise CommandError(422, "wrong_code", wrong)
        await self._configuration.contacts_changed()
        return await self._one(person.name, name)

    async def remove(self, args: Args, actor: Actor) -> Any:
        person, name = await self._person(args), str(args.get("id", ""))
        await self._write(lambda tx, now_ms: contacts.remove(tx, person.name, name, actor=actor, now_ms=now_ms))
        await self._configuration.contacts_changed()
        return {}

    # -- parts --

    async def _person(self, args: Args) -> Person:
        return await person_of(self._core, self._configuration, args)

    def _check(self, channel: str, address: str, name: str) -> None:
        """Raises CommandError 422 for what could never be sent to."""
        if channel not in PERSONAL or channel not in registry():
            raise CommandError(422, "bad_channel", f"expected one of {', '.join(PERSONAL)}, not {channel!r}")
        if not address or len(address) > _LONGEST_ADDRESS or any(not char.isprintable() for char in address):
            raise CommandError(422, "bad_address", "expected an address on one line")
        if channel == "email" and not re.fullmatch(r"[^@\s<>\",;]+@[^@\s<>\",;]+", address):
            raise CommandError(422, "bad_address", f"{address!r} is not an e-mail address")
        if not re.fullmatch(r"[\w.+-]{1,64}", name):
            raise CommandError(422, "bad_name", "expected a name of letters, digits, dots and dashes")
        try:
            build(channel, self._configuration.config.channels.defaults.get(channel, {}), address=address)
        except ValueError as error:
            raise CommandError(422, "bad_address", f"cannot send there: {error}") from None

    async def _one(self, person: str, name: str) -> dict[str, Any]:
        rows = (await self.list({"person": person}, Actor("system", "tocsin")))["contacts"]
        return next(row for row in rows if row["id"] == name)

    async def _write(self, work: Callable[[Connection, int], Any]) -> Any:
        now_ms = self._core.clock.now_ms()
        return await self._core.db.write(lambda tx: work(tx, now_ms))


async def person_of(core: Core, configuration: Configuration, args: Args) -> Person:
    """The person that a command is about: `person` by name, else whose `account` it is. Raises CommandError 404."""
    persons = configuration.config.directory.persons
    name, account = str(args.get("person", "")), str(args.get("account", ""))
    if name:
        if name not in persons:
            raise CommandError(404, "unknown_person", f"there is no user {name!r} in the configuration")
        return persons[name]
    if account in persons:
        return persons[account]
    email = await core.db.read(
        lambda tx: tx.execute(sa.select(accounts.c.email).where(accounts.c.name == account)).scalar() or ""
    )
    found = [person for person in persons.values() if email and person.email.lower() == email.lower()]
    if len(found) != 1:
        raise CommandError(404, "no_person", f"account {account!r} belongs to nobody in `users:` (same name, or same email)")
    return found[0]


def _rows(tx: Connection, person: str) -> Any:
    return tx.execute(sa.select(contact_table).where(contact_table.c.person == person)).all()


def _shown(method: Any, row: Any) -> dict[str, Any]:
    """api.ts ContactRow. What the file declares as verified has no time."""
    return {
        "id": method.id,
        "channel": method.channel,
        "address": shown_address(method),
        "verified": method.verified,
        "verified_ms": row.verified_ms if row else 0,
        "source": "added" if row is not None and row.source == "added" else "file",
        "code_expires_ms": row.code_expires_ms if row else 0,
    }
