"""Panels for people who are not signed in: `/render/panel.png` and `/embed/panel`, and who may share one.

    Share (a responder) ──signed address, ends by itself──▶ a picture in a ticket, a frame in a wiki

The address shows the expressions and the range that were signed and nothing else; queries are held to the limits of every
other query, few at once, and an answer is kept for some seconds so that a page with many readers asks once.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from html import escape
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from tocsin.errors import CommandError, ParseError, QueryError
from tocsin.notify import chart
from tocsin.notify.chart import Size
from tocsin.notify.chart_look import DARK, LIGHT, PAGE
from tocsin.web import panel_draw
from tocsin.web.answers import json_answer
from tocsin.web.api.panels import NewShare, SharedAddresses
from tocsin.web.desk import Desk, actor_of, peer_address
from tocsin.web.endpoint import Endpoint, Errors, Permission
from tocsin.web.forms import read_body
from tocsin.web.html import page
from tocsin.web.limits import FailureLimit
from tocsin.web.panel_draw import Seen
from tocsin.web.panel_link import LONGEST, Expired, Forged, SharedPanel, address, load_key, opened, zone_of
from tocsin.web.problem import Refused

_AT_ONCE = 2
_KEPT_MS, _MOST_KEPT = 10_000, 32
_LEAST_PX, _MOST_PX = 120, 2000
_AGAIN_S = 60
_FORGED = "This link is not complete, or something in it was changed."
_EXPIRED = "This link has expired."
_ADVICE = "Ask who sent it for a new one: Share, in the panel's corner."


class Panels:
    """Handlers of shared panels."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._failures = FailureLimit(desk.parts.clock, most=20, window_ms=60_000)
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._kept: OrderedDict[tuple[SharedPanel, int], Seen] = OrderedDict()

    def endpoints(self, prefix: str) -> list[Endpoint]:
        """What signs, of the API."""
        share = prefix + "/panels"
        responder, admin = Permission.RESPONDER, Permission.ADMIN
        return [
            Endpoint(
                share, self.share, methods=["POST"], permission=responder, body=NewShare, answer=SharedAddresses, status=201
            ),
            Endpoint(share, self.end_all, methods=["DELETE"], permission=admin, status=204),
        ]

    def open_endpoints(self) -> list[Endpoint]:
        """What is signed, for everybody who has the address."""
        token = Permission.TOKEN
        return [
            Endpoint("/render/panel.png", self.render, permission=token, errors=Errors.PLAIN),
            Endpoint("/embed/panel", self.embed, permission=token, errors=Errors.PAGE, framed=True),
        ]

    async def share(self, request: Request) -> Response:
        """Sign a panel or an expression, with its range, for people who are not signed in."""
        body = await read_body(request, NewShare)
        engine, now_ms = self._desk.light_engine, self._desk.now_ms()
        for number, one in enumerate(body.queries):
            try:
                engine.parse(one.query)
            except ParseError as error:
                raise Refused(400, "bad_query", f"queries.{number}.query: {error}") from None
        try:
            panel = body.panel(now_ms)
            panel.span_ms(now_ms)
            zone_of(panel.zone)
        except ValueError as error:
            raise Refused(400, "bad_range", f"from, to, tz: {error}") from None
        if len(urlencode(panel.pairs())) > LONGEST:
            raise Refused(400, "too_long", f"the address would be longer than {LONGEST} characters; share fewer expressions")
        told = {"title": panel.title, "queries": [query for _, query in panel.queries], "until_s": panel.until_s}
        await self._desk.parts.core.command("panel.share", told, actor_of(request))
        key = await self._desk.parts.database.read(load_key)
        query, base = address(panel, key), self._desk.settings.base_url
        framed_by = () if self._desk.settings.frame_ancestors == "'none'" else self._desk.settings.frame_ancestors.split()
        shared = SharedAddresses(
            f"{base}/render/panel.png?{query}", f"{base}/embed/panel?{query}", panel.until_s * 1000, framed_by
        )
        return await json_answer(request, shared, status=201)

    async def end_all(self, request: Request) -> Response:
        """End every shared panel at once: each needs a new address."""
        await self._desk.parts.core.command("panel.end", {}, actor_of(request))
        return Response(status_code=204)

    async def render(self, request: Request) -> Response:
        """A shared panel as PNG."""
        size = _size(request)
        try:
            panel = await self._opened(request)
            seen = await self._seen(request, panel)
        except (Refused, CommandError, QueryError, ValueError) as error:
            return await _notice(error, size)
        look = DARK if request.query_params.get("theme") == "dark" else LIGHT
        try:
            data = await asyncio.to_thread(lambda: chart.png(panel_draw.draw(panel, seen, look=look, size=size)))
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", 501)
        return Response(data, media_type="image/png", headers={"Cache-Control": f"private, max-age={_age_s(panel)}"})

    async def embed(self, request: Request) -> Response:
        """A shared panel as a page without anything around it, for a frame."""
        panel = await self._opened(request)
        try:
            seen = await self._seen(request, panel)
        except (QueryError, ValueError) as error:
            raise Refused(422, "query_failed", f"The query failed: {error}") from None
        drawing = "" if panel.kind == "table" else panel_draw.draw(panel, seen, look=PAGE, size=_size(request), titled=False)
        headers = {"Cache-Control": f"private, max-age={_age_s(panel)}"}
        if panel.follows:
            headers["Refresh"] = str(_AGAIN_S)
        theme = request.query_params.get("theme", "")
        body = _page_body(panel, seen, drawing, theme if theme in ("light", "dark", "contrast") else "")
        prefix = self._desk.settings.route_prefix
        return HTMLResponse(page(panel.title or "Panel", body=body, brand=False, prefix=prefix), headers=headers)

    async def _opened(self, request: Request) -> SharedPanel:
        """What a request's address shows. Raises Refused 403 when it is not ours, and 410 when its time is over."""
        peer = peer_address(request)
        self._failures.check(peer)
        key = await self._desk.parts.database.read(load_key)
        try:
            return opened(request.query_params.multi_items(), key, self._desk.now_ms())
        except Forged:
            self._failures.failed(peer)
            raise Refused(403, "bad_signature", f"{_FORGED} {_ADVICE}") from None
        except Expired:
            raise Refused(410, "expired", f"{_EXPIRED} {_ADVICE}") from None

    async def _seen(self, request: Request, panel: SharedPanel) -> Seen:
        now_ms = self._desk.now_ms()
        place = (panel, now_ms // _KEPT_MS)
        async with self._room:
            if (kept := self._kept.get(place)) is not None:
                return kept
            seen = await self._desk.queries.for_client(request, _work(self._desk, panel, now_ms))
        self._kept[place] = seen
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return seen


def _work(desk: Desk, panel: SharedPanel, now_ms: int) -> Callable[[threading.Event], Seen]:
    return lambda stop: panel_draw.look_at(desk.light_engine, panel, now_ms, stop)


async def _notice(error: Exception, size: Size) -> Response:
    """What went wrong, as a picture where pictures can be drawn: who looks at a ticket sees no status."""
    status = error.status if isinstance(error, Refused | CommandError) else 422
    headline = {403: _FORGED, 410: _EXPIRED}.get(status, "This panel cannot be drawn now.")
    advice = _ADVICE if status in (403, 410) else str(error)
    try:
        data = await asyncio.to_thread(lambda: chart.png(panel_draw.notice(headline, advice, size=size)))
    except ValueError:
        return PlainTextResponse(f"{headline} {advice}\n", status)
    return Response(data, status, media_type="image/png")


def _page_body(panel: SharedPanel, seen: Seen, drawing: str, theme: str) -> str:
    rows, more = panel_draw.rows_of(panel, seen)
    cells = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    rest = f"<p>and {more} more</p>" if more else ""
    table = f"<table><thead><tr><th>Series</th><th>Last value</th></tr></thead><tbody>{cells}</tbody></table>{rest}"
    if not rows:
        table = "<p>No series in this range.</p>"
    if drawing:
        table = f"<details><summary>As a table</summary>{table}</details>"
    stamp = f'<p class="note">As of {escape(panel_draw.when(panel, seen))}.</p>'
    return f'<div class="embed {theme}">{drawing}{table}{stamp}</div>'


def _age_s(panel: SharedPanel) -> int:
    return 15 if panel.follows else 300


def _size(request: Request) -> Size:
    """`width` and `height`, which are not signed: they change how it looks, not what it shows."""

    def pixels(name: str, usual: int) -> int:
        text = request.query_params.get(name, "")
        return min(max(int(text), _LEAST_PX), _MOST_PX) if text.isascii() and text.isdecimal() and len(text) < 6 else usual

    return Size(pixels("width", chart.WIDTH), pixels("height", chart.HEIGHT))
