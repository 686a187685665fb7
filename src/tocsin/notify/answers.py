"""What people answer from a message (button, press, code, key), whatever carried it: who it was, and the command it stands for.

Everything here was verified before: by a signature, by a connection that we opened, or by a link that we signed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tocsin.errors import CommandError
from tocsin.model.event import Actor
from tocsin.model.incident import ContactMethod
from tocsin.notify.settings import ChannelSettings

SILENCE_MS = 3_600_000
VERDICTS = ("real", "noise", "duplicate")
ANSWERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "acknowledge": ("incident.acknowledge", {}),
    "escalate": ("incident.escalate", {}),
    "resolve": ("incident.resolve", {}),
    "silence": ("incident.silence", {"duration_ms": SILENCE_MS}),
    **{verdict: ("incident.verdict", {"verdict": verdict}) for verdict in VERDICTS},
}
"""Answer -> command and its arguments besides the incident's number."""
STRANGER = "Tocsin does not know you: your administrator can add this contact to your user."

Command = Callable[[str, Mapping[str, Any], Actor], Awaitable[Any]]


class Answers:
    """Runs answers as commands. Settings are asked for each time, so a reload counts."""

    def __init__(self, *, settings: Callable[[], ChannelSettings], command: Command) -> None:
        """`command(name, args, actor)` runs a core command such as incident.acknowledge; raises CommandError."""
        self._settings = settings
        self._command = command

    def person(self, channel: str, fits: Callable[[ContactMethod], bool]) -> str:
        """The person one of whose contacts fits; empty = a stranger."""
        for person in self._settings().persons.values():
            if any(method.channel == channel and method.verified and fits(method) for method in person.methods):
                return person.name
        return ""

    async def do(self, person: str, answer: str, number: int, via: str, address: str = "") -> str:
        """Do it in the person's name; returns what they must be told, empty when the message itself will show it."""
        if not person:
            return STRANGER
        name, more = ANSWERS[answer]
        try:
            await self._command(name, {"number": number, **more}, Actor("user", person, via, address))
        except CommandError as error:
            return str(error)
        return ""


def number_of(text: object) -> int | None:
    """An incident's number as buttons carry it; None = none."""
    value = str(text)
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= 9 else None
