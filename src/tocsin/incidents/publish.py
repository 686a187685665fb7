"""What responders tell the public about an incident, on a status page.

An update stands by itself: page, state, title and text are written for the public. Nothing of the incident (title, labels,
notes, people) is taken over, so nothing internal can show by forgetting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import CommandError
from tocsin.state.schema import status_updates

STATES = ("investigating", "identified", "monitoring", "resolved")
PAST_MS = 14 * 86_400_000
"""How long a story that ended stays on the page."""
_SILENT_MS = 90 * 86_400_000  # a story that nobody ended is dropped when nothing was said for so long
_MOST = 500
LONGEST_TITLE = 200
LONGEST_TEXT = 5_000


@dataclass(frozen=True, slots=True)
class Update:
    """One published text. `state` is one of STATES."""

    id: int
    state: str
    title: str
    text: str
    t_ms: int


@dataclass(frozen=True, slots=True)
class Story:
    """The updates of one incident on one page, newest first; at least one."""

    updates: tuple[Update, ...]

    @property
    def title(self) -> str:
        return self.updates[0].title

    @property
    def state(self) -> str:
        return self.updates[0].state

    @property
    def open(self) -> bool:
        return self.state != "resolved"


def publish(
    tx: Connection, *, incident: int, page: str, state: str, title: str, text: str, published_by: str, now_ms: int
) -> Update:
    """Put an update on `page`. An empty `title` is that of the incident's update before. Raises CommandError 422.

    The same text twice in a row (a button pressed again, a request that was retried) is one update.
    """
    if state not in STATES:
        raise CommandError(422, "bad_state", f"state: expected one of {', '.join(STATES)}, not {state!r}")
    before = _latest(tx, incident, page)
    title = " ".join(title.split()) or (before.title if before else "")
    if not title or len(title) > LONGEST_TITLE:
        raise CommandError(422, "bad_title", f"title: expected what the public calls it, at most {LONGEST_TITLE} characters")
    if not text.strip() or len(text) > LONGEST_TEXT:
        raise CommandError(422, "bad_text", f"text: expected a text for the public of at most {LONGEST_TEXT} characters")
    if before and (before.state, before.title, before.text) == (state, title, text.strip()):
        return before
    values = {"page": page, "incident": incident, "state": state, "title": title, "text": text.strip()}
    made = tx.execute(sa.insert(status_updates).values(**values, published_by=published_by, t_ms=now_ms))
    key = made.inserted_primary_key
    assert key is not None
    return Update(int(key[0]), state, title, text.strip(), now_ms)


def withdraw(tx: Connection, *, incident: int, update: int, now_ms: int) -> None:
    """Take an update off its page and feed; the row stays for the audit. Raises CommandError 404."""
    table = status_updates.c
    mine = sa.update(status_updates).where(table.id == update, table.incident == incident)
    found = tx.execute(mine.values(withdrawn_ms=sa.case((table.withdrawn_ms == 0, now_ms), else_=table.withdrawn_ms)))
    if not found.rowcount:
        raise CommandError(404, "no_such_update", f"incident #{incident} has no public update {update}")


def stories(tx: Connection, page: str, now_ms: int) -> Sequence[Story]:
    """What stands on `page`: open stories first, then those that ended within PAST_MS; each group newest first."""
    table = status_updates.c
    recent = sa.select(status_updates).where(
        table.page == page, table.withdrawn_ms == 0, table.t_ms > now_ms - _SILENT_MS, table.t_ms <= now_ms
    )
    by_incident: dict[int, list[Update]] = {}
    for row in tx.execute(recent.order_by(table.id.desc()).limit(_MOST)):
        by_incident.setdefault(row.incident, []).append(Update(row.id, row.state, row.title, row.text, row.t_ms))
    told = [Story(tuple(updates)) for updates in by_incident.values()]
    shown = [story for story in told if story.open or story.updates[0].t_ms > now_ms - PAST_MS]
    return sorted(shown, key=lambda story: not story.open)


def _latest(tx: Connection, incident: int, page: str) -> Update | None:
    table = status_updates.c
    mine = sa.select(status_updates).where(table.incident == incident, table.page == page, table.withdrawn_ms == 0)
    row = tx.execute(mine.order_by(table.id.desc()).limit(1)).first()
    return Update(row.id, row.state, row.title, row.text, row.t_ms) if row else None
