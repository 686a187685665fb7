"""Signing in with a passkey: no name is typed, and as the device asks for PIN, finger or face it counts as both factors.

    /login ──script──▶ /login/passkey/options ──challenge──▶ the browser asks the device ──answer──▶ /login/passkey ──▶ session

The sign-in page works without the script as before; the button appears where the browser has passkeys and the address is theirs.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import CommandError
from tocsin.log import get_log
from tocsin.state.schema import accounts, passkeys
from tocsin.web.accounts import secret_hash
from tocsin.web.answers import json_answer
from tocsin.web.commands import new_secret
from tocsin.web.desk import Desk, peer_address
from tocsin.web.endpoint import Endpoint, Errors, Permission
from tocsin.web.forms import Body, read_body
from tocsin.web.limits import FailureLimit
from tocsin.web.problem import Refused
from tocsin.web.relying_party import CHALLENGE_MS, Challenges, PasskeyRefused, RelyingParty, required_party
from tocsin.web.signin import SignIn
from tocsin.web.webauthn import Assertion, check_assertion, read_assertion, request_options

log = get_log("web.passkey")

_COOKIE = "tocsin_passkey"
_PATH = "/login/passkey"
_UNKNOWN = "this passkey is not known here, or its account may not sign in"


class Answer(Body):
    credential: dict[str, Any]
    """What `navigator.credentials.get` gave, bytes as base64url."""
    next: str = Field(default="/", max_length=8_000)


class PasskeySignIn:
    """Handlers of `/login/passkey`."""

    def __init__(self, desk: Desk, signin: SignIn) -> None:
        self._desk = desk
        self._signin = signin
        self._challenges = Challenges(desk.parts.clock, desk.parts.random)
        # Not the one of passwords: who guesses somebody's password must not lock out their passkey as well.
        self._by_account = FailureLimit(desk.parts.clock, most=10, window_ms=900_000)
        self._script = (Path(__file__).parent / "passkey.js").read_bytes()

    def endpoints(self) -> list[Endpoint]:
        public = partial(Endpoint, permission=Permission.PUBLIC)
        return [
            public(_PATH + "/options", self.begin, methods=["POST"], max_body=1_024),
            public(_PATH, self.finish, methods=["POST"], max_body=32_768),
            public("/static/passkey.js", self.script, errors=Errors.PLAIN),
        ]

    async def script(self, request: Request) -> Response:
        """What the sign-in page needs for passkeys."""
        return Response(self._script, media_type="text/javascript", headers={"cache-control": "public, max-age=3600"})

    async def begin(self, request: Request) -> Response:
        """What the browser asks its passkeys: a challenge for this browser, once, for five minutes."""
        self._signin.by_address.check(peer_address(request))
        party = required_party(request.headers, self._desk.settings)
        browser = new_secret(self._desk.parts.random)
        response = await json_answer(request, request_options(party, self._challenges.new(secret_hash(browser))))
        response.set_cookie(
            _COOKIE,
            browser,
            max_age=CHALLENGE_MS // 1000,
            path=self._desk.path(_PATH),
            secure=self._desk.settings.secure,
            httponly=True,
            samesite="strict",
        )
        return response

    async def finish(self, request: Request) -> Response:
        """Sign in by the answer of a passkey; the session's cookie and {next}, where to go."""
        address = peer_address(request)
        self._signin.by_address.check(address)
        party = required_party(request.headers, self._desk.settings)
        body = await read_body(request, Answer)
        try:
            answer = read_assertion(body.credential)
            self._challenges.take(answer.challenge, secret_hash(request.cookies.get(_COOKIE, "")))
            await self._verify(party, answer)
            who = {"credential_hash": answer.credential_hash, "sign_count": answer.sign_count, "synced": answer.synced}
            signed_in = await self._signin.begin(request, who, body.next, command="passkey.sign_in")
        except PasskeyRefused as error:
            raise self._refused(address, "passkey_refused", error) from None
        except CommandError as error:
            if error.status != 403:
                raise
            raise self._refused(address, error.code, error) from None
        response = await json_answer(request, {"next": signed_in.headers["location"]})
        response.delete_cookie(_COOKIE, path=self._desk.path(_PATH))
        response.raw_headers.extend(pair for pair in signed_in.raw_headers if pair[0] == b"set-cookie")
        return response

    def _refused(self, address: str, code: str, error: Exception) -> Refused:
        self._signin.by_address.failed(address)
        log.warning("sign-in by a passkey refused", reason=str(error), address=address)
        return Refused(403, code, str(error))

    async def _verify(self, party: RelyingParty, answer: Assertion) -> None:
        """Raises PasskeyRefused; Refused 429 after too many wrong answers for one account."""
        row = await self._desk.parts.database.read(lambda tx: _known(tx, answer.credential_hash))
        if row is None:
            raise PasskeyRefused(_UNKNOWN)
        self._by_account.check(row.account_name)
        try:
            check_assertion(party, answer, credential=row.credential, user_handle=row.user_handle)
        except PasskeyRefused:
            self._by_account.failed(row.account_name)
            raise
        self._by_account.succeeded(row.account_name)


def _known(tx: Connection, hashed: str) -> Any:
    query = sa.select(passkeys, accounts.c.name.label("account_name")).join(accounts, accounts.c.id == passkeys.c.account)
    return tx.execute(query.where(passkeys.c.credential_hash == hashed, accounts.c.disabled == sa.false())).first()
