"""One's own passkeys: add, list, rename, remove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.state.schema import accounts, sessions
from tocsin.web.answers import json_answer
from tocsin.web.api.rows import cut
from tocsin.web.desk import Desk, actor_of, caller_of
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, read_body, row_number
from tocsin.web.limits import FailureLimit
from tocsin.web.match import seen_by, thing_answer
from tocsin.web.passkeys import passkey_mark, passkey_rows
from tocsin.web.problem import Refused
from tocsin.web.relying_party import NEEDS, Challenges, PasskeyRefused, relying_party, required_party
from tocsin.web.signin import Passwords
from tocsin.web.webauthn import challenge_of_registration, check_registration, creation_options, handle_of

_FRESH_MS = 600_000
"""Somebody who signed in this recently need not prove again who they are."""


@dataclass(frozen=True, slots=True)
class PasskeyRow:
    id: int
    name: str
    rp_id: str
    """The host name it was made for; it works under no other."""
    synced: bool
    """Its maker keeps a copy, so that it is on the person's other devices, too."""
    created_ms: int
    used_ms: int
    etag: str
    """What `If-Match` takes when it is renamed."""


@dataclass(frozen=True, slots=True)
class PasskeyList:
    passkeys: Sequence[PasskeyRow]
    rp_id: str
    """The host name that one is made for now; empty where none can be made."""
    needs: str
    """Why none can be made; empty where one can."""
    confirm: str
    """What adding one takes besides the session: nothing, `password`, or `sign_in` (again, where there is no password)."""
    next: str


class Confirmation(Body):
    password: str = ""
    """The account's password, where the session is older than ten minutes."""


class NewPasskey(Body):
    name: str
    credential: dict[str, Any]
    """What `navigator.credentials.create` gave, bytes as base64url."""


class NewName(Body):
    name: str


class Passkeys:
    """Handlers of `/me/passkeys`."""

    def __init__(self, desk: Desk, passwords: Passwords) -> None:
        self._desk = desk
        self._passwords = passwords
        self._challenges = Challenges(desk.parts.clock, desk.parts.random)
        self._failures = FailureLimit(desk.parts.clock, most=10, window_ms=900_000)

    def endpoints(self, prefix: str) -> list[Endpoint]:
        viewer, mine = Permission.VIEWER, prefix + "/me/passkeys"
        one = mine + "/{id}"
        return [
            Endpoint(mine, self.list, permission=viewer, answer=PasskeyList),
            Endpoint(mine + "/options", self.options, methods=["POST"], permission=viewer, body=Confirmation, answer=dict),
            Endpoint(mine, self.add, methods=["POST"], permission=viewer, body=NewPasskey, answer=PasskeyRow, status=201),
            Endpoint(one, self.rename, methods=["PATCH"], permission=viewer, body=NewName, answer=PasskeyRow, mark=self._mark),
            Endpoint(one, self.remove, methods=["DELETE"], permission=viewer, status=204),
        ]

    async def list(self, request: Request) -> Response:
        """One's own passkeys, oldest first, and whether one can be made at this address."""
        own = await self._own(request)
        rows = await self._desk.parts.database.read(lambda tx: passkey_rows(tx, own.name))
        page, following = cut([_row(row) for row in rows], request.query_params, lambda row: (row.id,))
        party = relying_party(request.headers, self._desk.settings)
        confirm = "" if self._fresh(own) else "password" if own.password_hash else "sign_in"
        answer = PasskeyList(page, party.id if party else "", "" if party else NEEDS, confirm, following)
        return await json_answer(request, answer)

    async def options(self, request: Request) -> Response:
        """What `navigator.credentials.create` takes, bytes as base64url; it counts once, for five minutes, in this session."""
        own, party = await self._own(request), required_party(request.headers, self._desk.settings)
        await self._confirm(own, (await read_body(request, Confirmation)).password)
        rows = await self._desk.parts.database.read(lambda tx: passkey_rows(tx, own.name))
        challenge = self._challenges.new(self._binding(own))
        asked = creation_options(
            party,
            challenge,
            title=self._desk.settings.page_title,
            account=own.name,
            full_name=own.full_name,
            handle=handle_of(own.id, own.created_ms),
            known=[(row.credential, row.transports) for row in rows if row.rp_id == party.id],
        )
        return await json_answer(request, asked)

    async def add(self, request: Request) -> Response:
        """Add a passkey: from now on it signs in, without password and code."""
        own, party = await self._own(request), required_party(request.headers, self._desk.settings)
        body = await read_body(request, NewPasskey)
        try:
            challenge = challenge_of_registration(body.credential)
            self._challenges.take(challenge, self._binding(own))
            made = check_registration(party, challenge, body.credential)
        except PasskeyRefused as error:
            raise Refused(400, "passkey_refused", str(error)) from None
        handle = handle_of(own.id, own.created_ms)
        args = {**asdict(made), "account": own.name, "name": body.name, "rp_id": party.id, "user_handle": handle}
        answer = await self._desk.parts.core.command("passkey.add", args, actor_of(request))
        return await self._answer(request, own.name, answer["id"], status=201)

    async def rename(self, request: Request) -> Response:
        """Call a passkey something else."""
        own, passkey = await self._own(request), _number(request)
        args = {"account": own.name, "id": passkey, "name": (await read_body(request, NewName)).name, **seen_by(request)}
        await self._desk.parts.core.command("passkey.rename", args, actor_of(request))
        return await self._answer(request, own.name, passkey)

    async def remove(self, request: Request) -> Response:
        """Remove a passkey; the sessions it opened end, but for this one."""
        own = await self._own(request)
        args = {"account": own.name, "id": _number(request), "keep_session": caller_of(request).session_hash}
        await self._desk.parts.core.command("passkey.remove", args, actor_of(request))
        return Response(status_code=204)

    async def _mark(self, request: Request) -> str | None:
        name, number = caller_of(request).account, row_number(request.path_params["id"])
        rows = await self._desk.parts.database.read(lambda tx: passkey_rows(tx, name, only=number or 0)) if name else []
        return passkey_mark(rows[0]) if rows else None

    async def _own(self, request: Request) -> Any:
        """One's account with `began_ms` and `id_hash` of the session. Raises Refused 403."""
        hashed = caller_of(request).session_hash
        row = await self._desk.parts.database.read(lambda tx: _session_account(tx, hashed)) if hashed else None
        if row is None:
            raise Refused(403, "no_account", "this needs an account: sign in, API tokens have no passkeys")
        return row

    def _fresh(self, own: Any) -> bool:
        return bool(self._desk.now_ms() - own.began_ms < _FRESH_MS)

    async def _confirm(self, own: Any, password: str) -> None:
        """A session left open must not become a way in that stays. Raises Refused 403, 429."""
        if self._fresh(own):
            return
        if not own.password_hash:
            raise Refused(403, "sign_in_again", "sign out and in again, then add the passkey within ten minutes")
        self._failures.check(own.name)
        if not await self._passwords.matches(own.password_hash, password):
            self._failures.failed(own.name)
            raise Refused(403, "wrong_password", "the password is not right")
        self._failures.succeeded(own.name)

    def _binding(self, own: Any) -> str:
        return f"registration {own.id_hash}"

    async def _answer(self, request: Request, account: str, passkey: int, *, status: int = 200) -> Response:
        [row] = await self._desk.parts.database.read(lambda tx: passkey_rows(tx, account, only=passkey))
        return await thing_answer(request, _row(row), passkey_mark(row), status=status)


def _number(request: Request) -> int:
    number = row_number(request.path_params["id"])
    if number is None:
        raise Refused(404, "no_such_passkey", "no such passkey")
    return number


def _session_account(tx: Connection, id_hash: str) -> Any:
    query = sa.select(accounts, sessions.c.created_ms.label("began_ms"), sessions.c.id_hash)
    return tx.execute(query.join(sessions, sessions.c.account == accounts.c.id).where(sessions.c.id_hash == id_hash)).first()


def _row(row: Any) -> PasskeyRow:
    return PasskeyRow(
        id=row.id,
        name=row.name,
        rp_id=row.rp_id,
        synced=row.synced,
        created_ms=row.created_ms,
        used_ms=row.used_ms,
        etag=passkey_mark(row),
    )
