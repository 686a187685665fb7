"""One's own contact methods: add, prove by a code, remove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tocsin.web.answers import json_answer
from tocsin.web.api.rows import cut
from tocsin.web.desk import Desk, actor_of, caller_of
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, read_body
from tocsin.web.problem import Refused


class NewContact(Body):
    channel: str
    address: str
    name: str = ""
    """How rules call it; the channel's name when left out."""


class Code(Body):
    code: str


@dataclass(frozen=True, slots=True)
class ContactRow:
    id: str
    channel: str
    address: str
    verified: bool
    verified_ms: int
    """When its code was entered; 0 = never, or the operator's file vouches for it."""
    source: str
    """file or added."""
    code_expires_ms: int


@dataclass(frozen=True, slots=True)
class ContactList:
    person: str
    contacts: Sequence[ContactRow]
    channels: Sequence[str]
    """What can be added."""
    next: str


class Contacts:
    """Handlers of `/me/contacts`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        viewer, mine = Permission.VIEWER, prefix + "/me/contacts"
        one = mine + "/{id}"
        return [
            Endpoint(mine, self.list, permission=viewer, answer=ContactList),
            Endpoint(mine, self.add, methods=["POST"], permission=viewer, body=NewContact, answer=ContactRow, status=201),
            Endpoint(one, self.remove, methods=["DELETE"], permission=viewer, status=204),
            Endpoint(one + "/code", self.code, methods=["POST"], permission=viewer, answer=ContactRow, status=202),
            Endpoint(one + "/verify", self.verify, methods=["POST"], permission=viewer, body=Code, answer=ContactRow),
        ]

    async def list(self, request: Request) -> Response:
        """One's own contact methods; unverified ones are not used for pages."""
        found = await self._do(request, "list", {})
        page, following = cut(found["contacts"], request.query_params, lambda row: (row["source"] != "file", row["id"]))
        return await json_answer(request, {**found, "contacts": page, "next": following})

    async def add(self, request: Request) -> Response:
        """Add a contact method; a code is sent to it."""
        body = await read_body(request, NewContact)
        return await json_answer(request, await self._do(request, "add", body.model_dump()), status=201)

    async def code(self, request: Request) -> Response:
        """Send a new code: two an hour, each counts for ten minutes."""
        return await json_answer(request, await self._do(request, "code", {"id": request.path_params["id"]}), status=202)

    async def verify(self, request: Request) -> Response:
        """Enter the code; from now on pages use the contact."""
        body = await read_body(request, Code)
        args = {"id": request.path_params["id"], "code": body.code}
        return await json_answer(request, await self._do(request, "verify", args))

    async def remove(self, request: Request) -> Response:
        """Remove a contact method that was added here."""
        await self._do(request, "remove", {"id": request.path_params["id"]})
        return Response(status_code=204)

    async def _do(self, request: Request, name: str, args: dict[str, Any]) -> Any:
        account = caller_of(request).account
        if not account:
            raise Refused(403, "no_account", "this needs an account: sign in, API tokens belong to nobody")
        answer = await self._desk.parts.core.command(f"contact.{name}", {**args, "account": account}, actor_of(request))
        return {key: value for key, value in answer.items() if key != "notification"}
