"""Mails and webhooks of a status page: a visitor asks, confirms by a signed link, and leaves by another. No script, no account.

    POST /status/{slug}/subscribe ─▶ the same words for everybody      GET .../confirm/{token} asks, POST does
                                                                       GET .../leave/{token} asks, POST does (RFC 8058)

A mail scanner follows every link it sees, so GET never acts. Nothing here tells whether an address is known.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tocsin.errors import CommandError
from tocsin.incidents import subscribers
from tocsin.model.event import Actor
from tocsin.notify.links import load_key, verify_visitor
from tocsin.web.desk import Desk, peer_address
from tocsin.web.endpoint import Endpoint, Errors, Permission
from tocsin.web.forms import read_form
from tocsin.web.html import Form, page
from tocsin.web.limits import FailureLimit
from tocsin.web.problem import Refused, not_found
from tocsin.web.statuspage import pages_of

_VISITOR = Actor("visitor", "somebody", "status page")
_ASKED = (
    "If this address takes mail, a link is on its way to it. Open it within a day, and you will hear of every update.",
    "Nothing came? Look into the spam folder, or ask again in an hour.",
)

_POSTED = (
    "If this address takes posts, a link is on its way to it. Open it within a day, and every update is posted there.",
    "Nothing came? It must be reachable from the internet, and answer within five seconds. Ask again in an hour.",
)


@dataclass(frozen=True, slots=True)
class _Words:
    shall: str
    yes: str
    done: str
    stop: str
    stop_button: str
    stopped: str


_WORDS = {
    subscribers.EMAIL: _Words(
        "Shall we mail you every update of this page?",
        "Yes, mail me",
        "Every mail has a link to stop.",
        "Shall we stop writing to you about this page?",
        "Stop these mails",
        "No more mails",
    ),
    subscribers.WEBHOOK: _Words(
        "Shall we post every update of this page to your webhook?",
        "Yes, post them",
        "Everything we post has a link to stop.",
        "Shall we stop posting to your webhook?",
        "Stop these posts",
        "No more posts",
    ),
}


class Visitors:
    """Handlers of the forms and links of visitors."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._asks = FailureLimit(desk.parts.clock, most=10, window_ms=3_600_000)
        self._wrong_links = FailureLimit(desk.parts.clock, most=20, window_ms=60_000)

    def endpoints(self) -> list[Endpoint]:
        public, token, looks = Permission.PUBLIC, Permission.TOKEN, Errors.PAGE
        confirm, leave = "/status/{slug}/confirm/{token}", "/status/{slug}/leave/{token}"
        return [
            Endpoint(
                "/status/{slug}/subscribe", self.subscribe, methods=["POST"], permission=public, errors=looks, max_body=4096
            ),
            Endpoint(confirm, self.ask_confirm, permission=token, errors=looks),
            Endpoint(confirm, self.confirm, methods=["POST"], permission=token, errors=looks, max_body=4096),
            Endpoint(leave, self.ask_leave, permission=token, errors=looks),
            Endpoint(leave, self.leave, methods=["POST"], permission=token, errors=looks, max_body=4096),
        ]

    async def subscribe(self, request: Request) -> Response:
        """A visitor asks for mails (`address`) or posts (`webhook`); what comes back is the same whoever it is."""
        slug = request.path_params["slug"]
        found, form = (await pages_of(self._desk)).get(slug), await read_form(request)
        hook = "webhook" in form
        if found is None or not found.get("webhooks" if hook else "mails"):
            return not_found()
        network = network_of(peer_address(request))
        try:
            self._asks.check(network)
        except Refused:
            raise Refused(429, "too_many_asks", "Too many addresses were entered from here. Try again in an hour.") from None
        self._asks.failed(network)
        asked = {"webhook": form["webhook"]} if hook else {"address": form.get("address", "")}
        try:
            await self._desk.parts.core.command("statuspage.subscribe", {"page": slug, **asked}, _VISITOR)
        except CommandError as error:
            if error.code != "bad_address":
                raise
            return self._page(slug, f"Updates by {'webhook' if hook else 'mail'}", error=str(error), status=422)
        return (
            self._page(slug, "Look what your webhook got", *_POSTED)
            if hook
            else self._page(slug, "Look into your mailbox", *_ASKED)
        )

    async def ask_confirm(self, request: Request) -> Response:
        """The page behind the link of a confirmation mail."""
        words = await self._words(request, await self._subscriber(request, "confirm"))
        title, slug = await self._title(request), request.path_params["slug"]
        return self._page(slug, title, words.shall, form=self._form(request, words.yes))

    async def confirm(self, request: Request) -> Response:
        """The visitor said yes."""
        number, slug = await self._subscriber(request, "confirm"), request.path_params["slug"]
        answer = await self._desk.parts.core.command("statuspage.confirm", {"page": slug, "subscriber": number}, _VISITOR)
        if not answer["known"]:
            raise _bad_link()
        return self._page(slug, "You will hear from us", (await self._words(request, number)).done)

    async def ask_leave(self, request: Request) -> Response:
        """The page behind the link to stop."""
        words = await self._words(request, await self._subscriber(request, "leave"))
        title, slug = await self._title(request), request.path_params["slug"]
        return self._page(slug, title, words.stop, form=self._form(request, words.stop_button))

    async def leave(self, request: Request) -> Response:
        """The visitor, or the mail program at one click, says stop."""
        number, slug = await self._subscriber(request, "leave"), request.path_params["slug"]
        words = await self._words(request, number)
        await self._desk.parts.core.command("statuspage.leave", {"page": slug, "subscriber": number}, _VISITOR)
        return self._page(slug, words.stopped, "Your address is deleted here.")

    async def _subscriber(self, request: Request, purpose: str) -> int:
        """Whose link it is. Raises Refused 404: forged, of another page and too old look the same."""
        address = peer_address(request)
        self._wrong_links.check(address)
        key = await self._desk.parts.database.read(load_key)
        slug, token = request.path_params["slug"], request.path_params["token"]
        number = verify_visitor(key, purpose, slug, token, self._desk.now_ms())
        if number is None:
            self._wrong_links.failed(address)
            raise _bad_link()
        return number

    async def _words(self, request: Request, number: int) -> _Words:
        slug = request.path_params["slug"]
        return _WORDS[await self._desk.parts.database.read(lambda tx: subscribers.kind_of(tx, slug, number))]

    async def _title(self, request: Request) -> str:
        found = (await pages_of(self._desk)).get(request.path_params["slug"], {})
        return str(found.get("title", "Status"))

    def _form(self, request: Request, button: str) -> Form:
        return Form(self._desk.path(request.scope["path"]), button)

    def _page(self, slug: str, title: str, *lines: str, form: Form | None = None, error: str = "", status: int = 200) -> Response:
        prefix = self._desk.settings.route_prefix
        back = [("Back to the status page", f"{prefix}/status/{slug}")]
        return HTMLResponse(page(title, lines, form=form, error=error, links=back, prefix=prefix), status)


def network_of(address: str) -> str:
    """What counts as one place: an IPv4 address, or the /64 that one household of IPv6 has."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))


def _bad_link() -> Refused:
    return Refused(404, "bad_link", "This link is not complete or has expired. Ask for mails on the status page again.")
