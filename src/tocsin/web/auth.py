"""Who is asking: a session cookie, an API token (Bearer, or as basic-auth password), or nobody.

Sessions and tokens live in the state database as SHA-256 hashes; this process only reads them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

import sqlalchemy as sa
from starlette.datastructures import Headers

from tocsin.errors import CommandError
from tocsin.model.event import Actor
from tocsin.state.prepared import Prepared
from tocsin.state.schema import accounts, sessions, tokens
from tocsin.web.accounts import secret_hash
from tocsin.web.endpoint import Role
from tocsin.web.limits import FailureLimit
from tocsin.web.parts import WebParts
from tocsin.web.problem import Refused

COOKIE = "tocsin_session"
WALLBOARD = "tocsin_wallboard"
"""Cookie of a screen without a person: a viewer's API token, from a link (wallboard.py)."""
_TOUCH_MS = 60_000
"""Sessions and tokens are marked as used at most this often."""

_TOKEN = Prepared(sa.select(tokens).where(tokens.c.id_hash == sa.bindparam("of"), tokens.c.kind == "api"))
_SESSION = Prepared(
    sa.select(
        sessions.c.csrf,
        sessions.c.expires_ms,
        sessions.c.seen_ms,
        accounts.c.name,
        accounts.c.full_name,
        accounts.c.role,
        accounts.c.disabled,
    )
    .join(accounts, accounts.c.id == sessions.c.account)
    .where(sessions.c.id_hash == sa.bindparam("of"))
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, and what they may do."""

    role: str
    actor: Actor
    account: str = ""
    """Account name; empty for tokens and loopback programs."""
    full_name: str = ""
    session_hash: str = ""
    csrf: str = ""
    """CSRF token of the session; empty unless signed in by cookie."""
    place: str = ""
    """Of a probe's token: the only place it may speak for."""


def loopback_caller(address: str) -> Caller:
    """A program of this machine, in the one situation where it needs no token."""
    return Caller("loopback", Actor("integration", "loopback", "api", address))


class Authenticator:
    """Finds the caller of a request. Raises Refused 401 for a wrong token and 429 after too many wrong ones."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self._failures = FailureLimit(parts.clock, most=20, window_ms=60_000)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def caller(self, headers: Headers, address: str) -> Caller | None:
        if (secret := _sent_token(headers)) is not None:
            return await self.by_token(secret, address)
        if (cookie := session_cookie(headers)) is not None and (caller := await self._by_session(cookie, address)) is not None:
            return caller
        if (secret := session_cookie(headers, WALLBOARD)) is not None:
            return await self._by_wallboard(secret, address)
        return None

    async def by_token(self, secret: str, address: str) -> Caller:
        """Whose API token this is. Raises Refused 401 and 429."""
        self._failures.check(address)
        id_hash = secret_hash(secret)
        now_ms = self._parts.clock.now_ms()
        row = await self._parts.database.glance(lambda tx: _TOKEN.first(tx, of=id_hash))
        if row is None or (row.expires_ms and row.expires_ms <= now_ms):
            self._failures.failed(address)
            raise Refused(401, "bad_token", "this API token is not known, was revoked or has expired")
        if now_ms - row.used_ms > _TOUCH_MS:
            self._tell_core("token.use", id_hash)
        kind = "integration" if row.role in (Role.SENDER, Role.PROBE) else "token"
        return Caller(str(row.role), Actor(kind, row.name, "api", address), place=str(row.place))

    async def _by_wallboard(self, secret: str, address: str) -> Caller | None:
        """None once the token was revoked or has expired. What a page of another site could make a browser send needs the
        CSRF token all the same."""
        id_hash = secret_hash(secret)
        now_ms = self._parts.clock.now_ms()
        row = await self._parts.database.glance(lambda tx: _TOKEN.first(tx, of=id_hash))
        if row is None or row.role != Role.VIEWER or (row.expires_ms and row.expires_ms <= now_ms):
            return None
        if now_ms - row.used_ms > _TOUCH_MS:
            self._tell_core("token.use", id_hash)
        return Caller(str(row.role), Actor("token", row.name, "ui", address), csrf=secret_hash(f"csrf {secret}")[:32])

    async def _by_session(self, cookie: str, address: str) -> Caller | None:
        id_hash = secret_hash(cookie)
        now_ms = self._parts.clock.now_ms()
        row = await self._parts.database.glance(lambda tx: _SESSION.first(tx, of=id_hash))
        idle_ms = self._parts.settings.session_idle_ms
        if row is None or row.disabled or row.expires_ms <= now_ms or row.seen_ms + idle_ms <= now_ms:
            return None
        if now_ms - row.seen_ms > _TOUCH_MS:
            self._tell_core("session.touch", id_hash)
        return Caller(
            role=row.role,
            actor=Actor("user", row.name, "ui", address),
            account=row.name,
            full_name=row.full_name,
            session_hash=id_hash,
            csrf=row.csrf,
        )

    def _tell_core(self, command: str, id_hash: str) -> None:
        """Note the use without making the request wait; nothing depends on it."""

        async def tell() -> None:
            try:
                await self._parts.core.command(command, {"id_hash": id_hash})
            except CommandError:
                pass  # the next request says it again

        task = asyncio.create_task(tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _sent_token(headers: Headers) -> str | None:
    """The secret of an Authorization header; None when there is no such header. Raises Refused 401 for other schemes."""
    value = headers.get("authorization")
    if value is None:
        return None
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            raise Refused(401, "bad_token", "the Authorization header is not valid basic authentication") from None
    raise Refused(401, "bad_token", "expected an API token as `Authorization: Bearer` or as basic-auth password")


def session_cookie(headers: Headers, name: str = COOKIE) -> str | None:
    sent = headers.get("cookie")
    if sent is None:
        return None
    try:
        morsel = SimpleCookie(sent).get(name)
    except CookieError:
        return None
    return morsel.value if morsel else None
