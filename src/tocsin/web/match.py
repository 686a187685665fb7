"""`If-Match`: a write that edits a thing happens only to the thing that the person looked at (RFC 9110, 13.1.1).

A row carries `etag`, the mark of what a person can change of it; the `ETag` of one thing's own answer is `"<mark>.<rest>"`, so
that figures which move by themselves (how many alerts a silence matches now) change the one and not the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tocsin.web.answers import dumps, etag_of, json_answer
from tocsin.web.problem import Refused

Mark = Callable[[Request], Awaitable[str | None]]
"""The mark of the thing that a request's path names, as it is now; None = there is none (the handler says so)."""


def mark_of(*changeable: Any) -> str:
    """The mark of a thing by everything a person may change of it."""
    return hashlib.blake2b(dumps(changeable), digest_size=9).hexdigest()


async def thing_answer(request: Request, thing: Any, mark: str, *, status: int = 200) -> Response:
    """One thing, with the ETag that `If-Match` takes."""
    rest = etag_of(dumps(thing)).removeprefix("W/").strip('"')
    return await json_answer(request, thing, status=status, headers={"etag": f'"{mark}.{rest}"'})


def version_of(request: Request) -> dict[str, int]:
    """{version} that `If-Match` names, for a command that holds it against the row it changes; {} when it names none."""
    asked = request.headers.get("if-match", "").strip().removeprefix("W/").strip('"').partition(".")[0]
    return {"version": int(asked)} if asked.isascii() and asked.isdecimal() and len(asked) < 10 else {}


async def check_mark(request: Request, mark: Mark) -> None:
    """As `check_match`; the mark is only looked up when somebody asks for it."""
    if "if-match" in request.headers:
        check_match(request, await mark(request))


def check_match(request: Request, now: str | None) -> None:
    """Raises Refused 412, with the current ETag, when `If-Match` names another state of the thing; `now` None = no thing."""
    asked = request.headers.get("if-match")
    if asked is None or now is None:
        return
    if asked.strip() == "*" or now in [one.strip().removeprefix("W/").strip('"').partition(".")[0] for one in asked.split(",")]:
        return
    detail = "somebody changed this since you looked; look again, then say once more what you want"
    raise Refused(412, "changed_meanwhile", detail, headers={"etag": f'"{now}"'})
