"""`If-Match`: a write that edits a thing happens only to the thing that the person looked at (RFC 9110, 13.1.1).

A row carries `etag`, the mark of what a person can change of it; the `ETag` of one thing's own answer is `"<mark>.<rest>"`, so
that figures which move by themselves (how many alerts a silence matches now) change the one and not the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tocsin.state.marks import CHANGED
from tocsin.web.answers import dumps, etag_of, json_answer
from tocsin.web.problem import Refused

Mark = Callable[[Request], Awaitable[str | None]]
"""The mark of the thing that a request's path names, as it is now; None = there is none (the handler says so)."""


async def thing_answer(request: Request, thing: Any, mark: str, *, status: int = 200) -> Response:
    """One thing, with the ETag that `If-Match` takes."""
    rest = etag_of(dumps(thing)).removeprefix("W/").strip('"')
    return await json_answer(request, thing, status=status, headers={"etag": f'"{mark}.{rest}"'})


def version_of(request: Request) -> dict[str, int]:
    """{version} that `If-Match` names, for a command that holds it against the row it changes; {} when it names none."""
    asked = request.headers.get("if-match", "").strip().removeprefix("W/").strip('"').partition(".")[0]
    return {"version": int(asked)} if asked.isascii() and asked.isdecimal() and len(asked) < 10 else {}


def seen_by(request: Request) -> dict[str, list[str]]:
    """{seen}: the marks that `If-Match` names, for a command that holds them (state/marks.py); {} when any will do."""
    asked = request.headers.get("if-match", "").strip()
    return {"seen": _marks(asked)} if asked not in ("", "*") else {}


async def check_mark(request: Request, mark: Mark) -> None:
    """As `check_match`; the mark is only looked up when somebody asks for it."""
    if "if-match" in request.headers:
        check_match(request, await mark(request))


def check_match(request: Request, now: str | None) -> None:
    """Raises Refused 412, with the current ETag, when `If-Match` names another state of the thing; `now` None = no thing."""
    asked = request.headers.get("if-match")
    if asked is None or now is None:
        return
    if asked.strip() != "*" and now not in _marks(asked):
        raise changed_meanwhile(now)


def changed_meanwhile(now: str | None) -> Refused:
    """412, with the ETag that the thing has now."""
    return Refused(412, "changed_meanwhile", CHANGED, headers={"etag": f'"{now}"'} if now else None)


def _marks(asked: str) -> list[str]:
    return [one.strip().removeprefix("W/").strip('"').partition(".")[0] for one in asked.split(",")]
