"""Accounts, API tokens, one's own password and second factor (passkeys: passkeys.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.state.schema import accounts, passkeys, sessions, tokens
from tocsin.web import totp
from tocsin.web.accounts import account_mark
from tocsin.web.answers import json_answer
from tocsin.web.api.rows import cut
from tocsin.web.desk import Desk, actor_of, caller_of
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, Instant, read_body
from tocsin.web.match import seen_by, thing_answer
from tocsin.web.problem import Refused
from tocsin.web.signin import Passwords


@dataclass(frozen=True, slots=True)
class AccountRow:
    name: str
    full_name: str
    email: str
    role: str
    disabled: bool
    has_password: bool
    has_totp: bool
    passkeys: int
    """How many it has."""
    created_ms: int
    seen_ms: int
    etag: str
    """What `If-Match` takes when it is changed."""


@dataclass(frozen=True, slots=True)
class AccountList:
    accounts: Sequence[AccountRow]
    next: str


@dataclass(frozen=True, slots=True)
class TokenRow:
    id: str
    name: str
    role: str
    created_ms: int
    expires_ms: int
    used_ms: int
    created_by: str
    place: str


@dataclass(frozen=True, slots=True)
class TokenList:
    tokens: Sequence[TokenRow]
    next: str


class NewAccount(Body):
    name: str
    role: str
    full_name: str = ""
    email: str = ""
    password: str = ""


class AccountChanges(Body):
    role: str | None = None
    full_name: str | None = None
    email: str | None = None
    disabled: bool | None = None
    password: str | None = None
    totp: bool | None = None
    """False removes the second factor."""
    passkeys: bool | None = None
    """False removes every passkey and ends the sessions that they opened."""


class NewToken(Body):
    name: str
    role: str
    place: str = ""
    """With the role probe: the only place that the agent may speak for."""
    expires_ms: Instant = 0


class NewPassword(Body):
    old: str = ""
    new: str


class ConfirmTotp(Body):
    secret: str
    code: str


class People:
    """Handlers of `/accounts`, `/tokens` and `/me`."""

    def __init__(self, desk: Desk, passwords: Passwords) -> None:
        self._desk = desk
        self._passwords = passwords

    def endpoints(self, prefix: str) -> list[Endpoint]:
        admin, viewer = Permission.ADMIN, Permission.VIEWER
        account, token = prefix + "/accounts", prefix + "/tokens"
        return [
            Endpoint(account, self.accounts, permission=admin, answer=AccountList),
            Endpoint(account, self.create, methods=["POST"], permission=admin, body=NewAccount, answer=AccountRow, status=201),
            Endpoint(account + "/{name}", self.one, permission=admin, answer=AccountRow),
            Endpoint(
                account + "/{name}",
                self.change,
                methods=["PATCH"],
                permission=admin,
                body=AccountChanges,
                answer=AccountRow,
                mark=self._mark,
            ),
            Endpoint(token, self.tokens, permission=admin, answer=TokenList),
            Endpoint(token, self.new_token, methods=["POST"], permission=admin, body=NewToken, answer=dict, status=201),
            Endpoint(token + "/{id}", self.revoke, methods=["DELETE"], permission=admin, status=204),
            Endpoint(prefix + "/me/password", self.password, methods=["POST"], permission=viewer, body=NewPassword, status=204),
            Endpoint(prefix + "/me/totp", self.totp_offer, permission=viewer, answer=dict),
            Endpoint(prefix + "/me/totp", self.totp_set, methods=["POST"], permission=viewer, body=ConfirmTotp, status=204),
        ]

    async def accounts(self, request: Request) -> Response:
        """Every account."""
        rows = await self._desk.parts.database.read(lambda tx: account_rows(tx))
        return await json_answer(request, AccountList(*cut(rows, request.query_params, lambda row: (row.name,))))

    async def one(self, request: Request) -> Response:
        """One account."""
        return await self._answer(request, request.path_params["name"])

    async def _mark(self, request: Request) -> str | None:
        name = request.path_params["name"]
        rows = await self._desk.parts.database.read(lambda tx: account_rows(tx, only=name)) if name else []
        return rows[0].etag if rows else None

    async def create(self, request: Request) -> Response:
        """Add an account; without a password it signs in by link only."""
        body = await read_body(request, NewAccount)
        args = body.model_dump(exclude={"password"})
        args["password_hash"] = await self._passwords.hash(body.password) if body.password else ""
        await self._desk.parts.core.command("account.create", args, actor_of(request))
        return await self._answer(request, body.name, status=201)

    async def change(self, request: Request) -> Response:
        """Change role, name, address, password, or disable."""
        name = request.path_params["name"]
        body = await read_body(request, AccountChanges)
        changes = body.model_dump(exclude_none=True, exclude={"password", "totp", "passkeys"})
        if body.totp is False:
            changes["settings"] = {"totp": ""}
        args: dict[str, Any] = {"name": name, "changes": changes, **seen_by(request)}
        if body.password is not None:
            args["password_hash"] = await self._passwords.hash(body.password)
        if body.passkeys is False:
            args["passkeys"] = False
        if changes or body.password is not None or body.passkeys is False:
            await self._desk.parts.core.command("account.update", args, actor_of(request))
        return await self._answer(request, name)

    async def tokens(self, request: Request) -> Response:
        """API tokens, without their secrets."""
        rows = await self._desk.parts.database.read(_token_rows)
        return await json_answer(request, TokenList(*cut(rows, request.query_params, lambda row: (-row.created_ms, row.id))))

    async def new_token(self, request: Request) -> Response:
        """A new API token; its secret is in this answer and nowhere else."""
        body = await read_body(request, NewToken)
        answer = await self._desk.parts.core.command("token.create", body.model_dump(), actor_of(request))
        return await json_answer(request, answer, status=201)

    async def revoke(self, request: Request) -> Response:
        """End an API token."""
        await self._desk.parts.core.command("token.revoke", {"id": request.path_params["id"]}, actor_of(request))
        return Response(status_code=204)

    async def password(self, request: Request) -> Response:
        """Change one's own password; every other session of the account ends."""
        caller = caller_of(request)
        row = await self._own_row(request)
        body = await read_body(request, NewPassword)
        if row.password_hash and not await self._passwords.matches(row.password_hash, body.old):
            raise Refused(403, "wrong_password", "the old password is not right")
        args = {"name": row.name, "password_hash": await self._passwords.hash(body.new), "keep_session": caller.session_hash}
        await self._desk.parts.core.command("account.password", args, caller.actor)
        return Response(status_code=204)

    async def totp_offer(self, request: Request) -> Response:
        """A fresh secret for an authenticator app; it counts once confirmed."""
        row = await self._own_row(request)
        secret = totp.new_secret(self._desk.parts.random.randbytes(20))
        url = totp.provisioning_url(secret, row.name, self._desk.settings.page_title)
        return await json_answer(request, {"secret": secret, "url": url, "active": bool(row.settings.get("totp"))})

    async def totp_set(self, request: Request) -> Response:
        """Require one-time codes from now on; the code proves that the app has the secret."""
        row = await self._own_row(request)
        body = await read_body(request, ConfirmTotp)
        if totp.code_is_valid(body.secret, body.code, self._desk.now_ms()) is None:
            raise Refused(400, "wrong_code", "this code does not belong to the secret; is the phone's clock right?")
        args = {"name": row.name, "changes": {"settings": {"totp": body.secret}}}
        await self._desk.parts.core.command("account.update", args, actor_of(request))
        return Response(status_code=204)

    async def _own_row(self, request: Request) -> Any:
        name = caller_of(request).account
        row = await self._desk.parts.database.read(
            lambda tx: tx.execute(sa.select(accounts).where(accounts.c.name == name)).first() if name else None
        )
        if row is None:
            raise Refused(403, "no_account", "this needs an account: sign in, API tokens have no password")
        return row

    async def _answer(self, request: Request, name: str, *, status: int = 200) -> Response:
        rows = await self._desk.parts.database.read(lambda tx: account_rows(tx, only=name))
        if not rows:
            raise Refused(404, "no_such_account", f"no account named {name!r}")
        return await thing_answer(request, rows[0], rows[0].etag, status=status)


def account_rows(tx: Connection, *, only: str = "") -> list[AccountRow]:
    last = sa.select(sessions.c.account, sa.func.max(sessions.c.seen_ms).label("ms")).group_by(sessions.c.account)
    seen = {row.account: row.ms for row in tx.execute(last)}
    per_account = sa.select(passkeys.c.account, sa.func.count().label("many")).group_by(passkeys.c.account)
    many = {row.account: row.many for row in tx.execute(per_account)}
    query = sa.select(accounts).order_by(accounts.c.name)
    if only:
        query = query.where(accounts.c.name == only)
    return [
        AccountRow(
            name=row.name,
            full_name=row.full_name,
            email=row.email,
            role=row.role,
            disabled=row.disabled,
            has_password=bool(row.password_hash),
            has_totp=bool(row.settings.get("totp")),
            passkeys=many.get(row.id, 0),
            created_ms=row.created_ms,
            seen_ms=seen.get(row.id, 0),
            etag=account_mark(row),
        )
        for row in tx.execute(query)
    ]


def _token_rows(tx: Connection) -> list[TokenRow]:
    rows = tx.execute(sa.select(tokens).where(tokens.c.kind == "api").order_by(tokens.c.created_ms.desc()))
    return [TokenRow(r.id_hash[:12], r.name, r.role, r.created_ms, r.expires_ms, r.used_ms, r.created_by, r.place) for r in rows]
