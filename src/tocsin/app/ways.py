"""Every way by which people are paged: the drill goes through each, and status says what is known of it."""

from __future__ import annotations

from tocsin.incidents.drill import Way
from tocsin.notify.settings import ChannelSettings


def ways(settings: ChannelSettings) -> list[Way]:
    """Verified contact methods and destinations, with the provider behind each."""
    unproved = {f"user:{p.name}/{m.id}" for p in settings.persons.values() for m in p.methods if not m.verified}
    found = []
    for ref in settings.references():
        if ref in unproved:
            continue
        try:
            channel = settings.channel(ref)
        except ValueError:
            continue  # Said with the configuration's problems.
        found.append(Way(channel.lane(), channel.type, ref))
    return found
