"""What responders tell the public on a status page: of an incident, or of something that no alert knows of.

An update stands by itself: page, state, title and text are written for the public. Nothing of the incident (title, labels,
notes, people) is taken over, so nothing internal can show by forgetting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import CommandError
from tocsin.state.schema import status_updates

STATES = ("investigating", "identified", "monitoring", "resolved")
COMPONENT_STATES = ("operational", "degraded", "down", "maintenance")
"""What an update may say of a component; on the page the worse of this and of its checks is shown."""
PAST_MS = 14 * 86_400_000
"""How long a story that ended stays on the page."""
_SILENT_MS = 90 * 86_400_000  # a story that nobody ended is dropped when nothing was said for so long
_MOST = 500
_AGAIN_MS = 600_000  # the same new story within this time is a button pressed twice
LONGEST_TITLE = 200
LONGEST_TEXT = 5_000


@dataclass(frozen=True, slots=True)
class Update:
    """One published text. `state` is one of STATES, `components` {name: one of COMPONENT_STATES}."""

    id: int
    state: str
    title: str
    text: str
    t_ms: int
    components: Mapping[str, str] = field(default_factory=dict)
    edited_ms: int = 0
    version: int = 1
    incident: int = 0
    story: int = 0


@dataclass(frozen=True, slots=True)
class Story:
    """The updates of one incident (or of none) on one page, newest first; at least one."""

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
    tx: Connection,
    *,
    incident: int,
    page: str,
    state: str,
    title: str,
    text: str,
    published_by: str,
    now_ms: int,
    story: int = 0,
    components: Mapping[str, str] | None = None,
) -> tuple[Update, bool]:
    """Put an update on `page`; whether it is new. An empty `title` is that of the story's update before.

    With neither `incident` nor `story` it begins a story of its own. The same text twice in a row (a button pressed again, a
    request that was retried) is one update. Raises CommandError 404, 422.
    """
    before = _latest(tx, page, incident=incident, story=story) if incident or story else None
    if story and before is None:
        raise CommandError(404, "no_such_story", f"page {page!r} has no story {story}")
    title = " ".join(title.split()) or (before.title if before else "")
    check(state, title, text)
    said = dict(components or {})
    twin = before or _latest_alone(tx, page, title, now_ms - _AGAIN_MS)
    if twin and (twin.state, twin.title, twin.text, twin.components) == (state, title, text.strip(), said):
        return twin, False
    values = {"page": page, "incident": incident, "story": story, "state": state, "title": title, "text": text.strip()}
    made = tx.execute(
        sa.insert(status_updates).values(**values, components=said, published_by=published_by, t_ms=now_ms)
    ).inserted_primary_key
    assert made is not None
    key = int(made[0])
    if not incident and not story:
        tx.execute(sa.update(status_updates).where(status_updates.c.id == key).values(story=key))
    return Update(key, state, title, text.strip(), now_ms, said, incident=incident, story=story or (0 if incident else key)), True


def latest(tx: Connection, page: str, *, incident: int = 0, story: int = 0, title: str = "") -> Update | None:
    """The newest update of an incident's story, of a story without one, or (neither) of the story that is so called."""
    if incident or story:
        return _latest(tx, page, incident=incident, story=story)
    return _latest_alone(tx, page, " ".join(title.split()), 0)


def thread(tx: Connection, page: str, *, incident: int, story: int) -> Sequence[Update]:
    """What stands on `page` of one story, newest first."""
    table = status_updates.c
    mine = sa.select(status_updates).where(_of(incident, story), table.page == page, table.withdrawn_ms == 0)
    return [_update(row) for row in tx.execute(mine.order_by(table.id.desc()).limit(_MOST))]


def first_id(tx: Connection, page: str, *, incident: int, story: int) -> int:
    """Of a story's first update, also when it was taken back; 0 = there is none."""
    table = status_updates.c
    return int(tx.execute(sa.select(sa.func.min(table.id)).where(_of(incident, story), table.page == page)).scalar() or 0)


def check(state: str, title: str, text: str) -> None:
    """Raises CommandError 422 for what cannot be shown."""
    if state not in STATES:
        raise CommandError(422, "bad_state", f"state: expected one of {', '.join(STATES)}, not {state!r}")
    if not title or len(title) > LONGEST_TITLE:
        raise CommandError(422, "bad_title", f"title: expected what the public calls it, at most {LONGEST_TITLE} characters")
    if not text.strip() or len(text) > LONGEST_TEXT:
        raise CommandError(422, "bad_text", f"text: expected a text for the public of at most {LONGEST_TEXT} characters")


def edit(
    tx: Connection, *, page: str, update: int, changes: Mapping[str, Any], version: int | None, now_ms: int
) -> tuple[Update, Update]:
    """Correct a published update in its place; (before, after). `changes`: state, title, text, components.

    Raises CommandError 404, 412 (somebody changed it since `version`), 422.
    """
    before = one(tx, page, update)
    if version is not None and version != before.version:
        raise CommandError(412, "changed_meanwhile", f"update {update} has changed since you looked; look again")
    state, text = str(changes.get("state", before.state)), str(changes.get("text", before.text))
    title = " ".join(str(changes.get("title", before.title)).split())
    check(state, title, text)
    components = dict(changes.get("components", before.components))
    values = {"state": state, "title": title, "text": text.strip(), "components": components}
    if values == {name: getattr(before, name) for name in values}:
        return before, before
    row = sa.update(status_updates).where(status_updates.c.id == update)
    tx.execute(row.values(**values, edited_ms=now_ms, version=status_updates.c.version + 1))
    return before, one(tx, page, update)


def one(tx: Connection, page: str, update: int) -> Update:
    """Raises CommandError 404."""
    table = status_updates.c
    mine = sa.select(status_updates).where(table.id == update, table.page == page, table.withdrawn_ms == 0)
    row = tx.execute(mine).first()
    if row is None:
        raise CommandError(404, "no_such_update", f"page {page!r} has no public update {update}")
    return _update(row)


def withdraw(tx: Connection, *, incident: int, update: int, now_ms: int, page: str = "") -> None:
    """Take an update off its page and feed; the row stays for the audit. Raises CommandError 404."""
    table = status_updates.c
    mine = sa.update(status_updates).where(table.id == update, table.page == page if page else table.incident == incident)
    found = tx.execute(mine.values(withdrawn_ms=sa.case((table.withdrawn_ms == 0, now_ms), else_=table.withdrawn_ms)))
    if not found.rowcount:
        owner = f"page {page!r}" if page else f"incident #{incident}"
        raise CommandError(404, "no_such_update", f"{owner} has no public update {update}")


def stories(tx: Connection, page: str, now_ms: int) -> Sequence[Story]:
    """What stands on `page`: open stories first, then those that ended within PAST_MS; each group newest first."""
    table = status_updates.c
    recent = sa.select(status_updates).where(
        table.page == page, table.withdrawn_ms == 0, table.t_ms > now_ms - _SILENT_MS, table.t_ms <= now_ms
    )
    by_story: dict[tuple[int, int], list[Update]] = {}
    for row in tx.execute(recent.order_by(table.id.desc()).limit(_MOST)):
        by_story.setdefault((row.incident, row.story), []).append(_update(row))
    told = [Story(tuple(updates)) for updates in by_story.values()]
    shown = [story for story in told if story.open or story.updates[0].t_ms > now_ms - PAST_MS]
    return sorted(shown, key=lambda story: not story.open)


def _of(incident: int, story: int) -> sa.ColumnElement[bool]:
    table = status_updates.c
    return table.story == story if story else sa.and_(table.incident == incident, table.story == 0)


def _latest(tx: Connection, page: str, *, incident: int, story: int) -> Update | None:
    table = status_updates.c
    mine = sa.select(status_updates).where(_of(incident, story), table.page == page, table.withdrawn_ms == 0)
    row = tx.execute(mine.order_by(table.id.desc()).limit(1)).first()
    return _update(row) if row else None


def _latest_alone(tx: Connection, page: str, title: str, since_ms: int) -> Update | None:
    """The newest update of a story without an incident that is so called."""
    table = status_updates.c
    mine = sa.select(status_updates).where(
        table.page == page, table.incident == 0, table.title == title, table.t_ms > since_ms, table.withdrawn_ms == 0
    )
    row = tx.execute(mine.order_by(table.id.desc()).limit(1)).first()
    return _update(row) if row else None


def _update(row: Any) -> Update:
    return Update(
        row.id,
        row.state,
        row.title,
        row.text,
        row.t_ms,
        row.components or {},
        row.edited_ms,
        row.version,
        row.incident,
        row.story,
    )
