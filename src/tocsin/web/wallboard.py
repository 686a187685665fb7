"""A screen on the wall without a person: a link with a viewer's API token that becomes a cookie.

    /wallboard?t=<token>&next=/?kiosk=1 ──▶ cookie, /?kiosk=1        the token revoked ──▶ the sign-in page

The token leaves the address bar at once. The screen may open its link again after a power cut; revoking the token in the
settings ends it at its next request.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tocsin.web.auth import WALLBOARD, Authenticator
from tocsin.web.desk import Desk, peer_address
from tocsin.web.endpoint import Endpoint, Errors, Permission, Role
from tocsin.web.problem import Refused
from tocsin.web.shortlinks import is_page
from tocsin.web.static import LINKED

_LONGEST_S = 400 * 86_400
"""Browsers keep no cookie longer; the token may end sooner."""
_USUAL = "/?kiosk=1"


class Wallboard:
    """Handler of `/wallboard`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._authenticator = Authenticator(desk.parts)

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint("/wallboard", self.begin, permission=Permission.TOKEN, errors=Errors.PAGE)]

    async def begin(self, request: Request) -> Response:
        """The link of a wallboard: remembers the viewer's token that it carries, and leads on to `next`."""
        secret, target = request.query_params.get("t", ""), request.query_params.get("next", _USUAL)
        try:
            caller = await self._authenticator.by_token(secret, peer_address(request))
        except Refused as error:
            if error.status != 401:
                raise
            text = "This wallboard link is not complete, or its token was revoked or has expired. Make a new one in Tocsin."
            raise Refused(403, "bad_link", text) from None
        if caller.role != Role.VIEWER:
            text = f"A wallboard only looks, and this link's token is one of a {caller.role}. Make one with the role viewer."
            raise Refused(403, "not_a_viewer", text)
        response = RedirectResponse(self._desk.path(target if is_page(target, LINKED) else _USUAL), 303)
        response.set_cookie(
            WALLBOARD,
            secret,
            max_age=_LONGEST_S,
            path=self._desk.path("/"),
            secure=self._desk.settings.secure,
            httponly=True,
            samesite="lax",
        )
        return response
