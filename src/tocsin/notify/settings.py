"""What the configuration tells `notify`: how each channel is reached, and who is behind a settings reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from tocsin.model.incident import Person
from tocsin.model.route import Receiver
from tocsin.notify.channel import Channel, build, registry
from tocsin.notify.visitorhook import VisitorHook
from tocsin.notify.visitormail import VisitorMail


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """`defaults` are said once per channel for everybody (mail server, bot token); a destination's own settings go over them.

    References: `user:ana/<method id>`, `receiver:web/slack/0` (receiver, channel, index) and `visitor:<mail address
    or URL>`.
    """

    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    persons: Mapping[str, Person] = field(default_factory=dict)
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    external_url: str = ""
    hook_pages: Mapping[str, bool] = field(default_factory=dict)
    """{status page that visitors may follow by webhook: whether these may lead to private addresses}"""
    host: str = "tocsin.invalid"
    """Right side of mail message ids; the host of `external_url` as a rule."""

    def channel(self, ref: str) -> Channel:
        """The channel behind a reference. Raises ValueError when the configuration has lost it or it is wrong."""
        kind, _, rest = ref.partition(":")
        if kind == "user":
            return self._of_person(rest)
        if kind == "receiver":
            return self._of_receiver(rest)
        if kind == "visitor":
            return self._of_visitor(rest)
        raise ValueError(f"not a reference to channel settings: {ref!r}")

    def problems(self) -> list[tuple[str, str]]:
        """(reference, what is wrong) of everything that could not be sent to. For `config check`."""
        found = []
        for ref in self.references():
            try:
                self.channel(ref)
            except ValueError as error:
                found.append((ref, str(error)))
        return found

    def references(self) -> list[str]:
        persons = [f"user:{person.name}/{method.id}" for person in self.persons.values() for method in person.methods]
        places = [f"receiver:{r.name}/{d.channel}/{d.index}" for r in self.receivers.values() for d in r.destinations]
        return persons + places

    def best_effort_only(self) -> list[str]:
        """People all of whose contacts are channels that only know sent or not sent."""
        if not self.persons:
            return []  # without anybody to reach, no channel is loaded at the start
        kinds = registry()
        people = ((person.name, [kinds.get(method.channel) for method in person.methods]) for person in self.persons.values())
        return [name for name, found in people if found and all(kind is not None and kind.best_effort for kind in found)]

    def _of_person(self, rest: str) -> Channel:
        name, _, method_id = rest.rpartition("/")
        person = self.persons.get(name)
        for method in person.methods if person else ():
            if method.id == method_id:
                return build(method.channel, self._over(method.channel, method.settings), address=method.address)
        raise ValueError(f"{name} has no contact method {method_id} any more")

    def _of_receiver(self, rest: str) -> Channel:
        name, channel, index = ([*rest.rsplit("/", 2), "", ""])[:3]
        receiver = self.receivers.get(name)
        for destination in receiver.destinations if receiver else ():
            if destination.channel == channel and str(destination.index) == index:
                return build(channel, self._over(channel, destination.settings))
        raise ValueError(f"receiver {name} has no {channel} destination {index} any more")

    def _of_visitor(self, address: str) -> Channel:
        """A mail to somebody outside who follows a status page, or a call of their webhook."""
        if not address:
            raise ValueError("this visitor has left")
        if "://" in address:
            return VisitorHook(url=SecretStr(address), pages=self.hook_pages)
        return VisitorMail.model_validate({**self._over("email", {}), "to": address})

    def _over(self, channel: str, own: Mapping[str, Any]) -> dict[str, Any]:
        """A channel's defaults under its own settings; defaults that this channel does not know are an error there, not here."""
        known = registry().get(channel)
        allowed = _field_names(known) if known else set()
        defaults = {key: value for key, value in self.defaults.get(channel, {}).items() if key in allowed}
        return {**defaults, **own}


def _field_names(channel: type[Channel]) -> set[str]:
    return {field_.alias or name for name, field_ in channel.model_fields.items()} | set(channel.model_fields)
