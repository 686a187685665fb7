"""Links that messages carry: `/ack/{token}` (GET asks, POST acknowledges), `/i/{n}`, `/s/{id}`.

A mail scanner follows every link it sees, so GET never acts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tocsin.errors import CommandError
from tocsin.model.duration import human_duration
from tocsin.model.event import Actor
from tocsin.notify.answers import ANSWERS
from tocsin.notify.links import AckLink, load_key, verify
from tocsin.state.schema import incidents
from tocsin.web import shortlinks
from tocsin.web.desk import Desk, peer_address
from tocsin.web.endpoint import Endpoint, Errors, Permission
from tocsin.web.forms import read_form
from tocsin.web.html import Form, page
from tocsin.web.limits import FailureLimit
from tocsin.web.problem import Refused
from tocsin.web.static import LINKED

_ACK, _SILENCE, _RESOLVE = ("acknowledge", "Acknowledge as {person}"), ("silence", "Silence 1 h"), ("resolve", "Resolve")
_OFFERED = {
    "triggered": (_ACK, _SILENCE, _RESOLVE),
    "snoozed": (_ACK, _SILENCE, _RESOLVE),
    "acknowledged": (_SILENCE, _RESOLVE),
    "resolved": (("real", "It was real"), ("noise", "It was noise"), ("duplicate", "It was a duplicate")),
}
"""What can be answered to an incident in each state."""
_DONE = {"acknowledge": "It is yours.", "silence": "Silenced for one hour.", "resolve": "Resolved."}


class Links:
    """Handlers of links."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._failures = FailureLimit(desk.parts.clock, most=20, window_ms=60_000)

    def endpoints(self) -> list[Endpoint]:
        page_errors, token, viewer = Errors.PAGE, Permission.TOKEN, Permission.VIEWER
        return [
            Endpoint("/ack/{token}", self.ask, permission=token, errors=page_errors),
            Endpoint("/ack/{token}", self.acknowledge, methods=["POST"], permission=token, errors=page_errors, max_body=4096),
            Endpoint("/i/{number:int}", self.incident, permission=viewer, errors=page_errors),
            Endpoint("/s/{id}", self.short, permission=viewer, errors=page_errors),
        ]

    async def ask(self, request: Request) -> Response:
        """The page behind an acknowledge link: what it is about, and a button."""
        link, row = await self._open(request)
        return self._page(row, link, form=self._form(request, row, link))

    async def acknowledge(self, request: Request) -> Response:
        """Acknowledge, or what the form says, in the name of whom the link was sent to."""
        link, row = await self._open(request)
        answer = (await read_form(request)).get("answer", "acknowledge")
        if answer not in ANSWERS:
            raise Refused(400, "bad_answer", "This page does not know that answer.")
        command, more = ANSWERS[answer]
        actor = Actor("user", link.person, "link", peer_address(request))
        try:
            await self._desk.parts.core.command(command, {"number": link.incident, **more}, actor)
        except CommandError as error:
            return self._page(row, link, error=str(error), status=error.status)
        return self._page(await self._row(link.incident), link, done=_DONE.get(answer, "Done."))

    def _form(self, request: Request, row: Any, link: AckLink) -> Form | None:
        answers = [(answer, text.format(person=link.person)) for answer, text in _OFFERED.get(row.state, ())]
        return Form(self._desk.path(f"/ack/{request.path_params['token']}"), answers=answers) if answers else None

    async def _open(self, request: Request) -> tuple[AckLink, Any]:
        """The link and its incident. Raises Refused 404: forged, too old and unknown look the same."""
        address = peer_address(request)
        self._failures.check(address)
        now_ms, token = self._desk.now_ms(), request.path_params["token"]
        key = await self._desk.parts.database.read(load_key)
        link = verify(key, token, now_ms)
        if link is None:
            self._failures.failed(address)
            raise Refused(404, "bad_link", "This link has expired or is not complete. Open Tocsin and acknowledge there.")
        return link, await self._row(link.incident)

    async def _row(self, number: int) -> Any:
        row = await self._desk.parts.database.read(
            lambda tx: tx.execute(sa.select(incidents).where(incidents.c.number == number)).first()
        )
        if row is None:
            raise Refused(404, "bad_link", "The incident of this link does not exist any more.")
        return row

    def _page(
        self, row: Any, link: AckLink, *, form: Form | None = None, done: str = "", error: str = "", status: int = 200
    ) -> Response:
        now_ms = self._desk.now_ms()
        facts = [
            ("Severity", row.severity),
            ("State", _state_text(row)),
            ("Since", f"{human_duration(now_ms - row.created_ms)} ago ({_utc(row.created_ms)})"),
        ]
        if row.service:
            facts.append(("Service", row.service))
        links = [("Open the incident", self._desk.path(f"/i/{row.number}"))]
        return HTMLResponse(
            page(
                f"#{row.number} {row.title}",
                [done] if done else (),
                form=form,
                error=error,
                facts=facts,
                links=links,
                note=f"This link was made for {link.person} and acts only in that name.",
                prefix=self._desk.settings.route_prefix,
            ),
            status,
        )

    async def incident(self, request: Request) -> Response:
        """The short address of an incident; what the reader looks at (`at`, `tz`, `theme`) goes along."""
        asked = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(self._desk.path(f"/incidents/{request.path_params['number']}{asked}"), 303)

    async def short(self, request: Request) -> Response:
        """A stored short link."""
        short_id = request.path_params["id"]
        url = await self._desk.parts.database.read(lambda tx: shortlinks.address_of(tx, short_id))
        if url is None or not shortlinks.is_page(url, LINKED):
            raise Refused(
                404, "no_such_link", "There is no such short link: it was cut off on its way, or nobody used it for years."
            )
        return RedirectResponse(self._desk.path(url), 303)


def _state_text(row: Any) -> str:
    match row.state:
        case "acknowledged":
            return f"acknowledged by {row.acknowledged_by}"
        case "resolved":
            return f"resolved by {row.resolved_by}" if row.resolved_by else "resolved"
        case other:
            return str(other)


def _utc(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
