"""Public status pages, `/status/{slug}`: server-rendered, no JavaScript, and only what the operator mapped by name.

    status_pages: {shop: {title: Shop, components: [{name: Website, checks: [shop]}]}}

A page shows component names, never check ids, targets or messages; of an incident only what was published for this page; of
maintenance its times and its public text. What is not mapped does not exist here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tocsin.web.answers import bytes_answer, dumps, etag_of, json_answer
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Errors, Permission
from tocsin.web.problem import not_found
from tocsin.web.statuspage_feed import MEDIA_TYPE, atom
from tocsin.web.statuspage_html import BESIDE, render, served_at
from tocsin.web.statuspage_view import SILENT_MS, View, read_view

_CACHED = {"cache-control": "public, max-age=15"}


class StatusPages:
    """Handlers of public status pages."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        public = Permission.PUBLIC
        return [
            Endpoint("/status/{slug}", self.html, permission=public, errors=Errors.PAGE),
            Endpoint("/status/{slug}/status.json", self.json, permission=public),
            Endpoint("/status/{slug}/feed.atom", self.feed, permission=public, errors=Errors.PLAIN),
        ]

    async def html(self, request: Request) -> Response:
        """The page."""
        view = await self.view(request)
        if view is None:
            return not_found()
        text = render(view, served_at(view.slug, self._desk.settings.route_prefix))
        return await bytes_answer(request, text.encode(), media_type="text/html; charset=utf-8", headers=_CACHED)

    async def json(self, request: Request) -> Response:
        """The same as JSON."""
        view = await self.view(request)
        return not_found() if view is None else await json_answer(request, as_json(view), headers=_CACHED)

    async def feed(self, request: Request) -> Response:
        """What responders published, as an Atom feed."""
        view = await self.view(request)
        if view is None:
            return not_found()
        settings = self._desk.settings
        base = f"{settings.external_url or settings.route_prefix}/status/{view.slug}"
        body = atom(view, page_url=base, feed_url=f"{base}/feed.atom").encode()
        return await bytes_answer(request, body, media_type=MEDIA_TYPE, headers={**_CACHED, "etag": etag_of(body)})

    async def view(self, request: Request) -> View | None:
        """The page that is asked for, as it is now; None = there is none of that name."""
        slug = request.path_params["slug"]
        page = (await pages_of(self._desk)).get(slug)
        if page is None:
            return None
        now_ms = self._desk.now_ms()
        heard_ms = self._desk.hub.heard_ms
        stale = now_ms - heard_ms > SILENT_MS
        return await self._desk.parts.database.read(lambda tx: read_view(tx, slug, page, now_ms, stale=stale, heard_ms=heard_ms))


async def pages_of(desk: Desk) -> dict[str, Mapping[str, Any]]:
    """Every page by slug, with planned work as the core knows it now."""
    state: Mapping[str, Any] = await desk.state.try_ask("config.state", {})
    return {**desk.settings.status_pages, **(state.get("status_pages") or {})}


def as_json(view: View) -> dict[str, Any]:
    return {
        "title": view.title,
        "now_ms": view.now_ms,
        "stale": view.stale,
        "data_age_ms": view.now_ms - view.heard_ms if view.stale and view.heard_ms else 0,
        "components": [{"name": c.name, "state": c.state, "uptime_90d": c.uptime, "days": c.days} for c in view.components],
        "incidents": [
            {
                "title": story.title,
                "state": story.state,
                "updates": [
                    {
                        "id": u.id,
                        "state": u.state,
                        "title": u.title,
                        "text": u.text,
                        "t_ms": u.t_ms,
                        "edited_ms": u.edited_ms,
                        "components": u.components,
                    }
                    for u in story.updates
                ],
            }
            for story in view.stories
        ],
        "maintenance": [
            {"text": one.text, "components": one.components, "start_ms": one.start_ms, "end_ms": one.end_ms}
            for one in view.planned
        ],
    }


def export(view: View, folder: Path) -> list[Path]:
    """Write the page as plain files for any web server; each is replaced as a whole. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    css = (Path(__file__).parent / "pages.css").read_bytes()
    contents = {
        BESIDE.stylesheet: css,
        BESIDE.feed: atom(view, page_url="index.html").encode(),
        BESIDE.json: dumps(as_json(view)),
        "index.html": render(view, BESIDE).encode(),
    }
    for name, content in contents.items():
        temporary = folder / f".{name}.new"
        temporary.write_bytes(content)
        temporary.replace(folder / name)
    return [folder / name for name in contents]
