"""Session, targets, Tocsin's own health, search, short links, markers, audit."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tocsin.incidents.questions import instant
from tocsin.model.incident import IncidentState
from tocsin.state.schema import events, incidents, markers
from tocsin.web.answers import json_answer
from tocsin.web.api.audit import conditions
from tocsin.web.api.paging import page_of
from tocsin.web.api.rows import MOST_ROWS, cut
from tocsin.web.api.shapes import (
    AuditList,
    Problem,
    SearchResult,
    SearchResults,
    Session,
    TargetList,
    TargetRow,
    TimelineEntry,
    User,
)
from tocsin.web.desk import Desk, actor_of, caller_of
from tocsin.web.endpoint import Endpoint, MiB, Permission
from tocsin.web.forms import Body, Instant, read_body, row_number
from tocsin.web.shortlinks import page_address
from tocsin.web.static import LINKED, PAGES

_MOST_RESULTS = 30
_DAY_MS = 86_400_000


class LinkBody(Body):
    url: str


@dataclass(frozen=True, slots=True)
class ShortLink:
    id: str
    url: str


class PreviewBody(Body):
    text: str


class MarkerBody(Body):
    """A deploy, restart or note to show on charts."""

    kind: str = "deploy"
    service: str = ""
    text: str
    t_ms: Instant = 0
    data: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Marker:
    id: int
    t_ms: int
    kind: str
    service: str
    text: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MarkerList:
    markers: Sequence[Marker]
    """Oldest first: of a time the newest page, of which `next` leads to the one before."""
    next: str


class Basics:
    """Handlers of the small resources."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        viewer, responder, admin = Permission.VIEWER, Permission.RESPONDER, Permission.ADMIN
        return [
            Endpoint(prefix + "/session", self.session, permission=viewer, answer=Session),
            Endpoint(prefix + "/targets", self.targets, permission=viewer, answer=TargetList),
            Endpoint(prefix + "/self", self.own_health, permission=viewer, answer=dict),
            Endpoint(prefix + "/config", self.config, permission=viewer, answer=dict),
            Endpoint(
                prefix + "/config/preview",
                self.preview,
                methods=["POST"],
                permission=admin,
                body=PreviewBody,
                answer=dict,
                max_body=2 * MiB,
            ),
            Endpoint(prefix + "/coverage", self.coverage, permission=viewer, answer=dict),
            Endpoint(prefix + "/search", self.search, permission=viewer, answer=SearchResults),
            Endpoint(
                prefix + "/links", self.link, methods=["POST"], permission=viewer, body=LinkBody, answer=ShortLink, status=201
            ),
            Endpoint(prefix + "/markers", self.markers, permission=viewer, answer=MarkerList),
            Endpoint(
                prefix + "/markers", self.marker, methods=["POST"], permission=responder, body=MarkerBody, answer=dict, status=201
            ),
            Endpoint(prefix + "/audit", self.audit, permission=admin, answer=AuditList),
        ]

    async def session(self, request: Request) -> Response:
        """Who is signed in, and what the dashboard needs to begin."""
        caller = caller_of(request)
        config = await self._desk.state.try_ask("config.state", {})
        status = await self._desk.state.try_ask("status.brief", {})
        parts = self._desk.parts
        answer = Session(
            user=User(caller.actor.name, caller.full_name, caller.role),
            csrf=caller.csrf,
            version=parts.version,
            external_url=self._desk.settings.base_url,
            host=status.get("host", "") or socket.gethostname(),
            severities=self._desk.settings.severities,
            started_ms=int(status.get("started_ms", 0)) or parts.started_ms,
            nobody_paged=bool(config.get("nobody_paged", False)),
            config_problems=[_problem(item) for item in config.get("problems", ())],
        )
        return await json_answer(request, answer)

    async def targets(self, request: Request) -> Response:
        """Scrape targets."""
        state = await self._desk.state.ask("targets.state")
        found = [_target(item) for item in state["activeTargets"]]
        page, following = cut(found, request.query_params, lambda row: (row.job, row.instance, row.url), size=MOST_ROWS)
        return await json_answer(request, TargetList(page, following))

    async def own_health(self, request: Request) -> Response:
        """Tocsin's own processes, collectors, configuration."""
        status = dict(await self._desk.state.ask("status"))
        status["web"] = {
            "lag_ms": self._desk.parts.lag_ms(),
            "streams": self._desk.hub.open_streams,
            "cursor": self._desk.hub.cursor,
        }
        config = await self._desk.state.try_ask("config.state", {})
        status["config"] = {key: config.get(key) for key in ("files", "problems", "loaded_ms")}
        status["drill"] = bool(config.get("drill"))
        return await json_answer(request, status)

    async def config(self, request: Request) -> Response:
        """The configuration in force; secrets are stars."""
        state = await self._desk.state.ask("config.state")
        keys = ("files", "problems", "loaded_ms", "yaml", "nobody_paged")
        body = {key: state.get(key) for key in keys}
        return await json_answer(request, body)

    async def preview(self, request: Request) -> Response:
        """What would be understood of a pasted prometheus.yml or tocsin.yaml; nothing is taken over."""
        body = await read_body(request, PreviewBody)
        answer = await self._desk.parts.core.command("config.preview", {"text": body.text}, actor_of(request))
        return await json_answer(request, answer)

    async def coverage(self, request: Request) -> Response:
        """What nobody would hear of: things not watched, rules that end nowhere, routes to nobody; with advice."""
        answer = await self._desk.parts.core.command("coverage", {}, actor_of(request))
        return await json_answer(request, answer)

    async def search(self, request: Request) -> Response:
        """Pages, services, checks and incidents whose name holds the text; best first."""
        text = request.query_params.get("q", "").strip().lower()[:200]
        found: list[tuple[int, SearchResult]] = []

        def offer(kind: str, title: str, url: str) -> None:
            place = title.lower().find(text)
            if text and place >= 0:
                found.append((place, SearchResult(kind, title, url)))

        for name in PAGES:
            offer("page", name, f"/{name}")
        specs: list[dict[str, Any]] = await self._desk.state.try_ask("check.list", [])
        for spec in specs:
            offer("check", spec.get("name", spec["id"]), f"/checks/{spec['id']}")
        for service in sorted({spec.get("labels", {}).get("service", "") for spec in specs} - {""}):
            offer("service", service, f"/services/{service}")
        for row in await self._desk.parts.database.read(lambda tx: _incident_titles(tx, text)):
            found.append((0, SearchResult("incident", f"#{row.number} {row.title}", f"/incidents/{row.number}")))
        found.sort(key=lambda item: item[0])
        return await json_answer(request, SearchResults([result for _, result in found[:_MOST_RESULTS]]))

    async def link(self, request: Request) -> Response:
        """A short link to a page of the dashboard; the same page has the same."""
        body, base_url = await read_body(request, LinkBody), self._desk.settings.base_url
        url = page_address(body.url, base_url, LINKED)
        answer = await self._desk.parts.core.command("link.create", {"url": url}, actor_of(request))
        return await json_answer(request, ShortLink(answer["id"], f"{base_url}/s/{answer['id']}"), status=201)

    async def markers(self, request: Request) -> Response:
        """Deploys, restarts and notes of a time (`from`, `to`), newest page; `service` = only theirs and everybody's."""
        query, now_ms = dict(request.query_params), self._desk.now_ms()
        to_ms = instant(query, "to", now_ms)
        from_ms = instant(query, "from", to_ms - _DAY_MS)
        wanted = [markers.c.t_ms >= from_ms, markers.c.t_ms <= to_ms]
        if service := query.get("service", ""):
            wanted.append(markers.c.service.in_((service, "")))
        page = page_of(query)
        statement = page.narrow(sa.select(markers).where(*wanted), markers.c.t_ms, markers.c.id)
        rows = await self._desk.parts.database.read(lambda tx: list(tx.execute(statement)))
        found = [Marker(row.id, row.t_ms, row.kind, row.service, row.text, row.data) for row in reversed(rows)]
        following = page.next_after(len(rows), rows[-1].t_ms, rows[-1].id) if rows else ""
        return await json_answer(request, MarkerList(found, following))

    async def marker(self, request: Request) -> Response:
        """Mark a deploy, restart or note."""
        body = await read_body(request, MarkerBody)
        answer = await self._desk.parts.core.command("marker.add", body.model_dump(), actor_of(request))
        return await json_answer(request, answer, status=201)

    async def audit(self, request: Request) -> Response:
        """Everything that happened, newest first; `by` (people, tocsin), `verb`, `q` (text, who, about what), `from`, `to`."""
        page = page_of(request.query_params)
        statement = page.narrow(sa.select(events).where(*conditions(request.query_params)), events.c.t_ms, events.c.id)
        rows = await self._desk.parts.database.read(lambda tx: list(tx.execute(statement)))
        entries = [TimelineEntry(r.id, r.t_ms, r.actor, r.verb, r.text, r.cause, r.data) for r in rows]
        following = page.next_after(len(rows), rows[-1].t_ms, rows[-1].id) if rows else ""
        return await json_answer(request, AuditList(entries, following))


def _problem(item: dict[str, Any]) -> Problem:
    return Problem(str(item.get("place", "")), item.get("path", ""), item.get("message", ""), bool(item.get("warning")))


def _target(item: dict[str, Any]) -> TargetRow:
    """From the shape of Prometheus's /api/v1/targets, which the core answers."""
    labels = item.get("labels", {})
    return TargetRow(
        job=labels.get("job", item.get("scrapePool", "")),
        instance=labels.get("instance", ""),
        url=item.get("scrapeUrl", ""),
        up={"up": True, "down": False}.get(item.get("health", "")),
        last_ms=_scraped_ms(item.get("lastScrape", "")),
        duration_s=float(item.get("lastScrapeDuration", 0)),
        samples=int(item.get("lastSamples", 0)),
        error=item.get("lastError", ""),
        labels=labels,
    )


def _scraped_ms(text: str) -> int:
    """0 = never, which Prometheus writes as the first second of the year 1."""
    return max(0, round(datetime.fromisoformat(text).timestamp() * 1000)) if text else 0


def _incident_titles(tx: sa.engine.Connection, text: str) -> list[Any]:
    if not text:
        return []
    wanted = incidents.c.title.icontains(text, autoescape=True)
    number = row_number(text.lstrip("#"))
    if number is not None:
        wanted = sa.or_(wanted, incidents.c.number == number)
    shown = sa.and_(incidents.c.state != IncidentState.MERGED, incidents.c.listed)
    query = sa.select(incidents.c.number, incidents.c.title).where(wanted, shown).order_by(incidents.c.number.desc()).limit(10)
    return list(tx.execute(query))
