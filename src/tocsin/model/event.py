"""The append-only timeline: who did what to what, when, and why. History, audit and "why (not)" read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: `user:ana`, `system:escalate`, `integration:slack`, `cli:root`."""

    kind: str
    name: str
    via: str = ""
    """ui, cli, api, slack, mail-link, ..."""
    address: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


SYSTEM = Actor("system", "tocsin")


@dataclass(frozen=True, slots=True)
class Event:
    """One line. `subject` names what it is about: `incident:42`, `alert:<fingerprint>`, `silence:<id>`, `check:<id>`."""

    t_ms: int
    actor: str
    verb: str
    """Past tense, snake case: fired, notified, not_notified, acknowledged, escalated, silenced, reloaded, ..."""
    subject: str
    text: str
    """The sentence a person reads."""
    data: Mapping[str, Any] = field(default_factory=dict)
    cause: str = ""
    """Enum member or trace id that led to it."""
    id: int = 0


def deed(now_ms: int, actor: Actor, verb: str, subject: str, text: str, **data: Any) -> Event:
    """What somebody did, with the way they came in and from which address."""
    return Event(now_ms, str(actor), verb, subject, text, {"via": actor.via, "address": actor.address, **data})
