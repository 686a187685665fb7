"""What was committed, in the order of the commits and in true time, read from the database itself after each commit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(frozen=True)
class Entry:
    """A line of the timeline, or a claim of the deliverer (verb `claimed`)."""

    commit: int
    t_s: float
    verb: str
    subject: str
    cause: str
    t_ms: int
    data: dict[str, Any]


@dataclass
class Journal:
    entries: list[Entry] = field(default_factory=list)
    confirmed: list[tuple[str, str, float]] = field(default_factory=list)
    """(verb, subject, true time) of what a person was told to be done."""
    silences: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    firing: set[str] = field(default_factory=set)
    """Alerts that fire, as the dispatcher took them in."""
    commits: int = 0
    first_commit_s: float | None = None
    """Of this life."""
    _event: int = 0
    _attempt: int = 0

    def read(self, connection: sqlite3.Connection) -> None:
        """Called after each commit with the writer's connection."""
        self.commits += 1
        t_s = asyncio.get_running_loop().time()
        self.first_commit_s = t_s if self.first_commit_s is None else self.first_commit_s
        cursor = sqlite3.Cursor(connection)
        query = "SELECT id, verb, subject, cause, t_ms, data, actor FROM events WHERE id > ? ORDER BY id"
        for id_, verb, subject, cause, t_ms, data, actor in cursor.execute(query, (self._event,)).fetchall():
            self._event = id_
            if actor == "system:dispatch" and verb in ("fired", "resolved"):
                (self.firing.add if verb == "fired" else self.firing.discard)(subject)
                verb = f"alert_{verb}"  # the dispatcher's word for it; the rule's own came before
            self.counts[verb] += subject.startswith("alert:")
            self.entries.append(Entry(self.commits, t_s, verb, subject, cause, t_ms, orjson.loads(data)))
        query = "SELECT id, notification, n, started_ms FROM attempts WHERE id > ? ORDER BY id"
        for id_, notification, n, started_ms in cursor.execute(query, (self._attempt,)).fetchall():
            self._attempt = id_
            self.entries.append(Entry(self.commits, t_s, "claimed", notification, str(n), started_ms, {}))

    def confirm(self, verb: str, subject: str, t_s: float) -> None:
        self.confirmed.append((verb, subject, t_s))
        if verb == "silenced":
            self.silences.add(subject)

    def transitions(self) -> int:
        """Alerts that began or ended to fire, as the dispatcher took them in."""
        return self.counts["alert_fired"] + self.counts["alert_resolved"]

    def of(self, *verbs: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.verb in verbs]
