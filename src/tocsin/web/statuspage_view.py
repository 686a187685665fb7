"""What a public status page shows, read from the state database: components, what responders published, planned work.

The served page, its JSON, its feed and the static export are all made of the one `View`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.collect.uptime import Change, spans, strip, uptime_ratio
from tocsin.incidents.publish import Story, stories
from tocsin.model.check import CheckState
from tocsin.state.schema import check_changes, check_states

DAY_MS = 86_400_000
DAYS = 90
STALE_MS = 120_000
"""A copy made of what is stored: after so long without an evaluation nothing may look operational."""
SILENT_MS = 20_000
"""The same of a page that is served: the engine says every 5 s that it lives."""
_WORST_FIRST = (CheckState.DOWN, CheckState.DEGRADED, CheckState.UNKNOWN, CheckState.PENDING, CheckState.PAUSED, CheckState.UP)

_SAID = {
    "operational": CheckState.UP,
    "degraded": CheckState.DEGRADED,
    "down": CheckState.DOWN,
    "maintenance": CheckState.PAUSED,
}


@dataclass(frozen=True, slots=True)
class Component:
    """One line of a page. `days` has a letter per day (UTC), oldest first, today last; `down_ms` how long it was down on each."""

    name: str
    state: CheckState
    uptime: float | None
    days: str
    down_ms: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """One occurrence of planned work: what may be said of it, and the components it covers."""

    text: str
    components: tuple[str, ...]
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Brand:
    """Whose page it is. `logo` is a data URL, `colour` such as #0b57a4; empty = none."""

    link: str = ""
    colour: str = ""
    logo: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A page as it is at `now_ms`. `stale`: the engine is silent, so no component may look operational."""

    slug: str
    title: str
    components: tuple[Component, ...]
    now_ms: int
    stale: bool = False
    heard_ms: int = 0
    """When the engine last gave a sign of life; 0 = not known."""
    stories: tuple[Story, ...] = ()
    planned: tuple[Planned, ...] = ()
    mails: bool = False
    """Visitors may ask for mails of it."""
    webhooks: bool = False
    """Visitors may have it told to a webhook of theirs."""
    brand: Brand = Brand()


def read_view(tx: Connection, slug: str, page: Mapping[str, Any], now_ms: int, *, stale: bool, heard_ms: int = 0) -> View:
    """`page` is one of the configuration: {title, mails, components, maintenance} (app/statuspages.py)."""
    told = tuple(stories(tx, slug, now_ms))
    return View(
        slug=slug,
        title=str(page.get("title", "Status")),
        components=tuple(components_of(tx, page.get("components", ()), now_ms, stale=stale, said=said_of(told))),
        now_ms=now_ms,
        stale=stale,
        heard_ms=heard_ms,
        stories=told,
        planned=planned_of(page.get("maintenance", ()), now_ms),
        mails=bool(page.get("mails")),
        webhooks=bool(page.get("webhooks")),
        brand=Brand(*(str(page.get(name) or "") for name in ("link", "colour", "logo"))),
    )


def said_of(told: Iterable[Story]) -> dict[str, CheckState]:
    """{component: what the newest updates of open stories say of it, the worst of them}."""
    said: dict[str, CheckState] = {}
    for story in told:
        for name, word in story.updates[0].components.items() if story.open else ():
            state = _SAID[word]
            said[name] = min(said.get(name, state), state, key=_WORST_FIRST.index)
    return said


def planned_of(maintenance: Sequence[Mapping[str, Any]], now_ms: int) -> tuple[Planned, ...]:
    """What is not over, the first to begin first."""
    found = [
        Planned(str(item["text"]), tuple(item["components"]), start_ms, end_ms)
        for item in maintenance
        for start_ms, end_ms in item["times"]
        if end_ms > now_ms
    ]
    return tuple(sorted(found, key=lambda one: (one.start_ms, one.components)))


def components_of(
    tx: Connection,
    mapped: Sequence[Mapping[str, Any]],
    now_ms: int,
    *,
    stale: bool,
    said: Mapping[str, CheckState] | None = None,
) -> list[Component]:
    """One component per mapping; its state is the worst of its checks and of what was `said`."""
    ids = sorted({check for item in mapped for check in item.get("checks", ())})
    rows = tx.execute(sa.select(check_states.c.check_id, check_states.c.state).where(check_states.c.check_id.in_(ids)))
    states: dict[str, list[CheckState]] = {}
    for row in rows:
        states.setdefault(row.check_id, []).append(CheckState(row.state))
    changes: dict[str, list[Change]] = {}
    query = sa.select(check_changes).where(check_changes.c.check_id.in_(ids)).order_by(check_changes.c.id)
    for row in tx.execute(query):
        changes.setdefault(row.check_id, []).append(Change(row.t_ms, CheckState(row.after)))
    return [
        _component(item, states, changes, now_ms, stale=stale, said=(said or {}).get(item.get("name", ""))) for item in mapped
    ]


def _component(
    item: Mapping[str, Any],
    states: Mapping[str, Sequence[CheckState]],
    changes: Mapping[str, Sequence[Change]],
    now_ms: int,
    *,
    stale: bool,
    said: CheckState | None,
) -> Component:
    checks = item.get("checks", ())
    known = [state for check in checks for state in states.get(check, ())] or [CheckState.UNKNOWN]
    seen = [CheckState.UNKNOWN] if stale else known
    state = min([*seen, *([said] if said else [])], key=_WORST_FIRST.index)
    since_ms = now_ms - DAYS * DAY_MS
    ratios = [ratio for check in checks if (ratio := uptime_ratio(changes.get(check, ()), since_ms, now_ms)) is not None]
    tonight_ms = (now_ms // DAY_MS + 1) * DAY_MS
    strips = [strip(changes.get(check, ()), tonight_ms, cells=DAYS, cell_ms=DAY_MS) for check in checks]
    days = "".join(min(letters, key="dgkup-".index) for letters in zip(*strips, strict=True)) if strips else "-" * DAYS
    first_ms = tonight_ms - DAYS * DAY_MS
    down_ms = tuple(
        max(_down_ms(changes.get(check, ()), first_ms + i * DAY_MS, now_ms) for check in checks) if letter == "d" else 0
        for i, letter in enumerate(days)
    )
    return Component(str(item.get("name", "")), state, min(ratios, default=None), days, down_ms)


def _down_ms(changes: Sequence[Change], day_ms: int, now_ms: int) -> int:
    """How long of the day that begins then a check was down, until now at most."""
    parts = spans(changes, day_ms, min(day_ms + DAY_MS, now_ms))
    return sum(to_ms - from_ms for state, from_ms, to_ms in parts if state is CheckState.DOWN)
