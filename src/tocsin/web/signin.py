"""Signing in and out: server-rendered pages that work without JavaScript.

    /login ──password (+ one-time code)──▶ session        /signin?t=... ──one-time link──▶ session        /logout ──▶ ended

The session's id is new at every sign-in and kept here only as a hash; nothing a browser brought along is ever adopted.
"""

from __future__ import annotations

import asyncio
from functools import partial
from html import escape
from typing import Any
from urllib.parse import quote

import argon2
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tocsin.errors import CommandError
from tocsin.state.schema import accounts, tokens
from tocsin.web import html
from tocsin.web.accounts import secret_hash
from tocsin.web.auth import COOKIE, WALLBOARD, session_cookie
from tocsin.web.commands import new_secret
from tocsin.web.desk import Desk, peer_address
from tocsin.web.endpoint import Endpoint, Errors, Permission
from tocsin.web.forms import read_form
from tocsin.web.html import Field, Form, is_own_path
from tocsin.web.limits import FailureLimit
from tocsin.web.parts import WebSettings
from tocsin.web.problem import Refused
from tocsin.web.relying_party import RelyingParty, relying_party
from tocsin.web.totp import code_is_valid

_WRONG = "That name, password or code is not right."
_MIN_PASSWORD = 10


class Passwords:
    """argon2id, in a thread, two at a time: a flood of sign-ins must not eat the machine."""

    def __init__(self, settings: WebSettings) -> None:
        self._hasher = argon2.PasswordHasher(
            time_cost=settings.password_passes, memory_cost=settings.password_memory_kib, parallelism=4
        )
        self._gate = asyncio.Semaphore(2)
        self._decoy = ""

    async def hash(self, password: str) -> str:
        if len(password) < _MIN_PASSWORD:
            raise Refused(400, "weak_password", f"a password needs at least {_MIN_PASSWORD} characters")
        async with self._gate:
            return await asyncio.to_thread(self._hasher.hash, password[:1024])

    async def matches(self, stored: str, password: str) -> bool:
        """Constant work: an account that does not exist (empty hash) costs as much as one that does."""
        async with self._gate:
            return await asyncio.to_thread(self._verify, stored, password[:1024])

    def _verify(self, stored: str, password: str) -> bool:
        if not self._decoy:
            self._decoy = self._hasher.hash("no account has this password")
        try:
            return self._hasher.verify(stored or self._decoy, password) and bool(stored)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


class SignIn:
    """Handlers of the sign-in routes."""

    def __init__(self, desk: Desk, passwords: Passwords) -> None:
        self._desk = desk
        self._passwords = passwords
        clock = desk.parts.clock
        self._by_account = FailureLimit(clock, most=10, window_ms=900_000)
        self.by_address = FailureLimit(clock, most=30, window_ms=300_000)
        self._used_codes: dict[str, int] = {}

    def endpoints(self) -> list[Endpoint]:
        public = partial(Endpoint, permission=Permission.PUBLIC, errors=Errors.PAGE)
        return [
            public("/login", self.show),
            public("/login", self.sign_in, methods=["POST"], max_body=16_384),
            public("/signin", self.by_link),
            public("/logout", self.sign_out, methods=["POST"], max_body=16_384, form=True),
        ]

    async def show(self, request: Request) -> Response:
        """The sign-in page."""
        return self.page(request.query_params.get("next", "/"), here=True, request=request)

    async def sign_in(self, request: Request) -> Response:
        """Check name, password and, where set up, the one-time code."""
        form = await read_form(request)
        name, target = form.get("name", "").strip(), form.get("next", "/")
        address = peer_address(request)
        self.by_address.check(address)
        self._by_account.check(name)
        row = await self._desk.parts.database.read(lambda tx: _account_row(tx, name))
        stored = row.password_hash if row is not None and not row.disabled else ""
        fits = await self._passwords.matches(stored, form.get("password", ""))
        if not fits or row is None or not self._code_fits(row, form.get("code", "")):
            self.by_address.failed(address)
            self._by_account.failed(name)
            return self.page(target, error=_WRONG, name=name, status=403, here=True, request=request)
        self._by_account.succeeded(name)
        return await self.begin(request, {"account": row.id}, target)

    def _code_fits(self, row: Any, code: str) -> bool:
        """A time-based code where the account has one; each code works once."""
        secret = row.settings.get("totp", "")
        if not secret:
            return True
        step = code_is_valid(secret, code, self._desk.now_ms())
        if step is None or self._used_codes.get(row.name, -1) >= step:
            return False
        self._used_codes[row.name] = step
        return True

    async def by_link(self, request: Request) -> Response:
        """The one-time link that `tocsin serve` prints."""
        address = peer_address(request)
        self.by_address.check(address)
        if request.method != "GET" or "prefetch" in request.headers.get("sec-purpose", request.headers.get("purpose", "")):
            return Response(status_code=204)  # previews and prefetching must not use the link up
        hashed = secret_hash(request.query_params.get("t", ""))
        if not await self._desk.parts.database.read(lambda tx: _is_open_link(tx, hashed)):
            self.by_address.failed(address)
            text = "This sign-in link was used already or has expired. Run “tocsin signin” for a new one."
            return self.page("/", error=text, status=403)
        try:
            return await self.begin(request, {"signin": hashed}, request.query_params.get("next", "/"))
        except CommandError as error:
            return self.page("/", error=str(error), status=error.status)

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        caller = request.state.caller
        if caller is not None and caller.session_hash:
            await self._desk.parts.core.command("session.end", {"id_hash": caller.session_hash}, caller.actor)
        response = RedirectResponse(self._desk.path("/login"), 303)
        for cookie in (COOKIE, WALLBOARD):
            response.delete_cookie(cookie, path=self._desk.path("/"))
        return response

    async def begin(self, request: Request, who: dict[str, Any], target: str, *, command: str = "session.create") -> Response:
        """A new session for `who`, and the way to where they wanted to go. `command` makes it. Raises CommandError."""
        settings, random = self._desk.settings, self._desk.parts.random
        secret = new_secret(random)
        session = {
            "id_hash": secret_hash(secret),
            "csrf": new_secret(random),
            "address": peer_address(request),
            "agent": request.headers.get("user-agent", ""),
            "expires_ms": self._desk.now_ms() + settings.session_longest_ms,
        }
        old = session_cookie(request.headers)
        await self._desk.parts.core.command(command, {**session, **who})
        if old:
            await self._desk.parts.core.command("session.end", {"id_hash": secret_hash(old)})
        response = RedirectResponse(self._landing(target), 303)
        response.set_cookie(
            COOKIE,
            secret,
            max_age=settings.session_longest_ms // 1000,
            path=self._desk.path("/"),
            secure=settings.secure,
            httponly=True,
            samesite="lax",
        )
        return response

    def _landing(self, target: str) -> str:
        """Where to go once signed in: a path of ours, with the route prefix whether or not the asker wrote it."""
        prefix = self._desk.settings.route_prefix
        if not is_own_path(target):
            return prefix + "/"
        return target if not prefix or target == prefix or target.startswith(prefix + "/") else prefix + target

    def page(
        self,
        target: str,
        *,
        error: str = "",
        name: str = "",
        status: int = 200,
        here: bool = False,
        request: Request | None = None,
    ) -> Response:
        """`here`: the page is at /login itself. Its form goes to the page's own address: what stood behind the # of the link that
        led here is still there after the redirect. No server ever sees it. By `request` a passkey is offered.
        """
        target, prefix = target if is_own_path(target) else "/", self._desk.settings.route_prefix
        fields = (
            Field("name", "Name", value=name, autocomplete="username"),
            Field("password", "Password", kind="password", autocomplete="current-password"),
            Field("code", "One-time code, if you have set one up", autocomplete="one-time-code", required=False),
        )
        form = Form("" if here else self._desk.path("/login"), "Sign in", fields, {"next": target})
        oidc = self._desk.settings.oidc
        ways = [(oidc.label, self._desk.path(f"/login/oidc?next={quote(target, safe='/')}"))] if oidc else []
        note = "No password yet? Run “tocsin signin” on the server: it prints a link that signs you in."
        party = relying_party(request.headers, self._desk.settings) if request is not None else None
        head, below = passkey_offer(party, prefix, target) if party is not None else ("", "")
        text = html.page("Sign in", form=form, error=error, note=note, links=ways, prefix=prefix, head=head, below=below)
        return HTMLResponse(text, status)


def passkey_offer(party: RelyingParty, prefix: str, target: str) -> tuple[str, str]:
    """(for the head, for below the form): a button that the script shows where the browser has passkeys."""
    head = f'<script src="{escape(prefix)}/static/passkey.js" defer></script>'
    place = f'data-passkey="{escape(prefix)}/login/passkey" data-rp="{escape(party.id)}" data-next="{escape(target)}"'
    button = '<button type="button" class="other">Sign in with a passkey</button>'
    return head, f'<div {place} hidden>{button}<p class="error" role="alert" hidden></p></div>'


def _account_row(tx: Connection, name: str) -> Any:
    return tx.execute(sa.select(accounts).where(accounts.c.name == name)).first()


def _is_open_link(tx: Connection, hashed: str) -> bool:
    query = sa.select(tokens.c.id_hash).where(tokens.c.id_hash == hashed, tokens.c.kind == "signin", tokens.c.used_ms == 0)
    return tx.execute(query).first() is not None
