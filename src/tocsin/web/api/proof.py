"""`/selftest` and `/drill`: is the pager alive? One alert all the way, or a harmless message through every way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tocsin.web.answers import json_answer
from tocsin.web.api.shapes import NotificationRow
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, read_body

_SELFTEST_S = 200.0
"""Each hop has its own limit in the core; this is above their sum."""


class SelfTestBody(Body):
    to: str = ""
    """A user or receiver; whoever can be reached first when left out."""
    urgent: bool = False
    """With the severest severity: the contacts of urgent pages, SMS included."""


@dataclass(frozen=True, slots=True)
class ProofHop:
    name: str
    """sample, rule, alert, incident, outbox, channel (one per message), end."""
    ok: bool
    t_ms: int
    """0 = it did not come."""
    after_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class SelfTestAnswer:
    ok: bool
    to: str
    incident: int
    hops: Sequence[ProofHop]


class Proof:
    """Handlers of `/selftest` and `/drill`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        responder = Permission.RESPONDER
        return [
            Endpoint(
                prefix + "/selftest",
                self.selftest,
                methods=["POST"],
                permission=responder,
                body=SelfTestBody,
                answer=SelfTestAnswer,
            ),
            Endpoint(prefix + "/drill", self.drill, methods=["POST"], permission=responder, answer=list[NotificationRow]),
        ]

    async def selftest(self, request: Request) -> Response:
        """Send one test alert all the way, sample to provider; answers when it has ended, within three minutes at most"""
        body = await read_body(request, SelfTestBody)
        found: Any = await self._desk.parts.core.command("selftest", body.model_dump(), actor_of(request), timeout_s=_SELFTEST_S)
        return await json_answer(request, found)

    async def drill(self, request: Request) -> Response:
        """A harmless message through every way by which people are paged, now; answers with what became of each"""
        sent: list[Any] = await self._desk.parts.core.command("drill.start", {}, actor_of(request))
        return await json_answer(request, sent)
