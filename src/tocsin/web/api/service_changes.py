"""What changed around a service: its deploys and those of everybody, its checks, silences over it, the configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.formats.matchers import MatcherError, parse_matchers
from tocsin.state.schema import events, markers
from tocsin.web.api.paging import Page
from tocsin.web.api.service_shapes import ServiceChange

_LAST_WITHIN_MS = 90 * 86_400_000
_OF_ALL = ("config_loaded", "config_refused")
_OF_CHECKS = ("check_added", "check_removed", "check_paused", "check_resumed")
_OF_SILENCES = ("silenced", "silence_changed")


def last_changes(tx: Connection, at_ms: int) -> dict[str, ServiceChange]:
    """Service -> its newest deploy, restart or note of the last 90 days."""
    c = markers.c
    within = (c.t_ms <= at_ms, c.t_ms > at_ms - _LAST_WITHIN_MS, c.service != "")
    newest = sa.select(c.service, sa.func.max(c.t_ms).label("t_ms")).where(*within).group_by(c.service).subquery()
    query = sa.select(markers).join(newest, sa.and_(newest.c.service == c.service, newest.c.t_ms == c.t_ms)).order_by(c.id)
    return {row.service: _marked(row) for row in tx.execute(query)}


def changes_of(
    tx: Connection, service: str, checks: Collection[str], until_ms: int, page: Page
) -> tuple[Sequence[ServiceChange], str]:
    """A page of them, newest first, and the cursor of the next."""
    found: list[tuple[int, str, ServiceChange]] = []
    asked = (
        (sa.select(markers).where(markers.c.service.in_((service, "")), markers.c.t_ms <= until_ms), markers, "m"),
        (_told(checks).where(events.c.t_ms <= until_ms), events, "e"),
    )
    full = False
    for query, table, letter in asked:
        # Ids of the two tables do not compare: of an instant that the cursor stands in, all are read, and told apart below.
        if page.before_ms:
            query = query.where(table.c.t_ms <= page.before_ms)
        rows = list(tx.execute(query.order_by(table.c.t_ms.desc(), table.c.id.desc()).limit(2 * page.size)))
        full = full or len(rows) == 2 * page.size
        found += [(row.t_ms, f"{letter}{row.id:019d}", change) for row in rows if (change := _change(row, letter, service))]
    found.sort(key=lambda item: item[:2], reverse=True)
    if page.before_ms:
        found = [item for item in found if item[:2] < (page.before_ms, page.before_id)]
    shown = found[: page.size]
    more = len(found) > page.size or (full and bool(shown))
    return [change for _, _, change in shown], f"{shown[-1][0]}.{shown[-1][1]}" if more else ""


def _told(checks: Collection[str]) -> sa.Select[Any]:
    e = events.c
    own = sa.and_(e.verb.in_(_OF_CHECKS), e.subject.in_([f"check:{name}" for name in sorted(checks)]))
    return sa.select(events).where(sa.or_(e.verb.in_((*_OF_ALL, *_OF_SILENCES)), own))


def _change(row: Any, letter: str, service: str) -> ServiceChange | None:
    if letter == "m":
        return _marked(row)
    if row.verb in _OF_SILENCES and not _silences(row.data, service):
        return None
    kind = "config" if row.verb in _OF_ALL else "silence" if row.verb in _OF_SILENCES else "check"
    return ServiceChange(row.t_ms, kind, row.actor, row.text, row.subject)


def _silences(data: Mapping[str, Any], service: str) -> bool:
    """Does the silence name this service? One that says nothing of services is not a change of this one."""
    try:
        matchers = parse_matchers(str(data.get("matchers", "")))
    except MatcherError:
        return False
    named = [matcher for matcher in matchers if matcher.name == "service"]
    return bool(named) and all(matcher.matches_value(service) for matcher in named)


def _marked(row: Any) -> ServiceChange:
    by = str(row.data.get("by") or row.data.get("author") or "") if isinstance(row.data, Mapping) else ""
    return ServiceChange(row.t_ms, row.kind, by, row.text, f"service:{row.service}" if row.service else "")
