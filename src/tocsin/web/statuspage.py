"""Public status pages, `/status/{slug}`: server-rendered, no JavaScript, and only what the operator mapped by name.

    status_pages: {shop: {title: Shop, components: [{name: Website, checks: [shop]}]}}

A page shows component names, never check ids, targets or messages; what is not mapped does not exist here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tocsin.collect.uptime import Change, strip, uptime_ratio
from tocsin.model.check import CheckState
from tocsin.state.schema import check_changes, check_states
from tocsin.web.answers import json_answer
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Errors, Permission
from tocsin.web.html import page
from tocsin.web.problem import not_found

_DAY_MS = 86_400_000
_DAYS = 90
_STALE_MS = 120_000
_WORDS = {
    CheckState.UP: "Operational",
    CheckState.DEGRADED: "Degraded",
    CheckState.DOWN: "Down",
    CheckState.UNKNOWN: "Unknown",
    CheckState.PAUSED: "Maintenance",
    CheckState.PENDING: "Unknown",
}
_WORST_FIRST = (CheckState.DOWN, CheckState.DEGRADED, CheckState.UNKNOWN, CheckState.PENDING, CheckState.PAUSED, CheckState.UP)
_CLASSES = {"u": "up", "g": "degraded", "d": "down", "k": "unknown", "p": "unknown", "-": "none"}
_LETTERS = {"u": "operational", "g": "degraded", "d": "down", "k": "unknown", "p": "maintenance", "-": "no data"}


@dataclass(frozen=True, slots=True)
class Component:
    """One line of a page. `days` has a letter per day, oldest first."""

    name: str
    state: CheckState
    uptime: float | None
    days: str


class StatusPages:
    """Handlers of public status pages."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("/status/{slug}", self.html, permission=Permission.PUBLIC, errors=Errors.PAGE),
            Endpoint("/status/{slug}/status.json", self.json, permission=Permission.PUBLIC),
        ]

    async def html(self, request: Request) -> Response:
        """The page."""
        config = await self._page(request.path_params["slug"])
        if config is None:
            return not_found()
        components, stale = await self._read(config)
        text = render(
            str(config.get("title", "Status")), components, self._desk.now_ms(), stale, self._desk.settings.route_prefix
        )
        return HTMLResponse(text, headers={"cache-control": "public, max-age=15"})

    async def json(self, request: Request) -> Response:
        """The same as JSON."""
        config = await self._page(request.path_params["slug"])
        if config is None:
            return not_found()
        components, stale = await self._read(config)
        rows = [{"name": c.name, "state": c.state, "uptime_90d": c.uptime, "days": c.days} for c in components]
        body = {"title": config.get("title", "Status"), "now_ms": self._desk.now_ms(), "stale": stale, "components": rows}
        return await json_answer(request, body, headers={"cache-control": "public, max-age=15"})

    async def _page(self, slug: str) -> Mapping[str, Any] | None:
        """What the configuration says of a page; None = there is none of that name."""
        state: Mapping[str, Any] = await self._desk.state.try_ask("config.state", {})
        pages = {**self._desk.settings.status_pages, **(state.get("status_pages") or {})}
        return pages.get(slug)

    async def _read(self, config: Mapping[str, Any]) -> tuple[list[Component], bool]:
        """Components, and whether the engine behind them is silent: then nothing may look operational."""
        now_ms = self._desk.now_ms()
        stale = now_ms - self._desk.hub.heard_ms > _STALE_MS
        mapped = config.get("components", ())
        return await self._desk.parts.database.read(lambda tx: components_of(tx, mapped, now_ms, stale=stale)), stale


def components_of(tx: Connection, mapped: Sequence[Mapping[str, Any]], now_ms: int, *, stale: bool) -> list[Component]:
    """One component per mapping; its state is the worst of its checks."""
    ids = sorted({check for item in mapped for check in item.get("checks", ())})
    rows = tx.execute(sa.select(check_states.c.check_id, check_states.c.state).where(check_states.c.check_id.in_(ids)))
    states: dict[str, list[CheckState]] = {}
    for row in rows:
        states.setdefault(row.check_id, []).append(CheckState(row.state))
    changes: dict[str, list[Change]] = {}
    query = sa.select(check_changes).where(check_changes.c.check_id.in_(ids)).order_by(check_changes.c.id)
    for row in tx.execute(query):
        changes.setdefault(row.check_id, []).append(Change(row.t_ms, CheckState(row.after)))
    return [_component(item, states, changes, now_ms, stale=stale) for item in mapped]


def _component(
    item: Mapping[str, Any],
    states: Mapping[str, Sequence[CheckState]],
    changes: Mapping[str, Sequence[Change]],
    now_ms: int,
    *,
    stale: bool,
) -> Component:
    checks = item.get("checks", ())
    known = [state for check in checks for state in states.get(check, ())] or [CheckState.UNKNOWN]
    state = CheckState.UNKNOWN if stale else min(known, key=_WORST_FIRST.index)
    ratios = [
        ratio for check in checks if (ratio := uptime_ratio(changes.get(check, ()), now_ms - _DAYS * _DAY_MS, now_ms)) is not None
    ]
    strips = [strip(changes.get(check, ()), now_ms, cells=_DAYS, cell_ms=_DAY_MS) for check in checks]
    days = "".join(min(letters, key="dgkup-".index) for letters in zip(*strips, strict=True)) if strips else "-" * _DAYS
    return Component(str(item.get("name", "")), state, min(ratios, default=None), days)


def render(title: str, components: Sequence[Component], now_ms: int, stale: bool, prefix: str) -> str:
    """The page as HTML; strips are drawn as SVG and told in words."""
    lines = [headline(components, stale=stale)]
    items = "".join(_item(component, now_ms) for component in components)
    stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return page(title, lines, body=f'<ul class="components">{items}</ul>', note=f"As of {stamp}.", prefix=prefix)


def headline(components: Sequence[Component], *, stale: bool) -> str:
    if stale:
        return "Our monitoring is not reporting at the moment: the state below may be old."
    bad = [component.name for component in components if component.state in (CheckState.DOWN, CheckState.DEGRADED)]
    return f"Affected: {', '.join(bad)}." if bad else "All systems are operational." if components else "Nothing is listed here."


def _item(component: Component, now_ms: int) -> str:
    word = _WORDS[component.state]
    share = f"{component.uptime * 100:.2f} % up in {_DAYS} days" if component.uptime is not None else "no history yet"
    bars = "".join(
        f'<rect class="{_CLASSES[letter]}" x="{index * 10}" y="0" width="8" height="30"></rect>'
        for index, letter in enumerate(component.days)
    )
    days = "".join(f"<li>{escape(text)}</li>" for text in bad_days(component.days, now_ms))
    story = f"<details><summary>Days with trouble</summary><ul>{days}</ul></details>" if days else ""
    return (
        f'<li><span class="state {component.state.value}">{word}</span><strong>{escape(component.name)}</strong><br>{share}'
        f'<svg class="strip" viewBox="0 0 {_DAYS * 10} 30" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(share)}">{bars}</svg>{story}</li>'
    )


def bad_days(days: str, now_ms: int) -> list[str]:
    """In words, newest first: `2023-11-14: down`."""
    out = []
    for index, letter in enumerate(days):
        if letter in "dg":
            day = datetime.fromtimestamp((now_ms - (len(days) - 1 - index) * _DAY_MS) / 1000, UTC).strftime("%Y-%m-%d")
            out.append(f"{day}: {_LETTERS[letter]}")
    return out[::-1]
