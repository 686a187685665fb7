"""The outside: providers and the network to them. What really arrived stands here, whatever Tocsin was told about it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from typing import Any
from urllib.parse import urlsplit

import orjson
from tests.simulation.points import Points

from tocsin.model.ports import HttpError, HttpResponse, SmtpAnswer, Way

ACTS = ("500", "429", "refused", "hang", "lost", "late answer", "garbage", "slow", "final", "outage")
_HEADERS = BytesHeaderParser()


@dataclass(frozen=True)
class Arrival:
    """One message that reached a provider, at `t_s` of true time."""

    t_s: float
    host: str
    id: str
    """The delivery id; empty where the provider's protocol carries none."""
    repeat: bool
    """It says of itself that it may be a repeat."""
    body: dict[str, Any]


@dataclass
class Outside:
    """HTTP and SMTP. `trouble` is the share of requests that go wrong; hosts may be down, hang, or be cut off altogether."""

    points: Points
    chance: random.Random
    trouble: float = 0.2
    arrivals: list[Arrival] = field(default_factory=list)
    down_until_s: dict[str, float] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    partition_until_s: float = 0.0
    asked: list[tuple[float, str]] = field(default_factory=list)
    """(time, host) of every request, whatever came of it."""
    pauses: list[tuple[float, str, str, float]] = field(default_factory=list)
    """(time, host, delivery id, Retry-After in s) of every 429."""
    acts: int = 0

    def _act(self, host: str) -> str:
        now_s = asyncio.get_running_loop().time()
        self.asked.append((now_s, host))
        if host in self.hanging:
            return "hang"
        if now_s < max(self.partition_until_s, self.down_until_s.get(host, 0.0)):
            return self.chance.choice(("refused", "refused", "hang")) if now_s < self.partition_until_s else "refused"
        if self.chance.random() >= self.trouble:
            return "ok"
        self.acts += 1
        act = self.chance.choice(ACTS)
        if act == "outage":
            self.down_until_s[host] = now_s + self.chance.uniform(5, 150)
            return "refused"
        if act == "final" and self.chance.random() > 0.15:
            return "500"
        return act

    def _arrive(self, host: str, id_: str, repeat: bool, body: dict[str, Any]) -> None:
        self.arrivals.append(Arrival(asyncio.get_running_loop().time(), host, id_, repeat, body))

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
        way: Way | None = None,
    ) -> HttpResponse:
        parts = urlsplit(url)
        host = parts.netloc
        self.points("http: before the request")
        await asyncio.sleep(self.chance.uniform(0.01, 0.4))
        self.points("http: the request is under way")
        act = self._act(host)
        if act == "refused":
            raise HttpError("connection refused", sent=False)
        if act == "hang":
            await asyncio.sleep(timeout_s)
            self.points("http: the timeout")
            raise HttpError("timeout", sent=True)
        if act == "500":
            return HttpResponse(500, {}, b"")
        id_ = (headers or {}).get("X-Tocsin-Delivery", "")
        if act == "429":
            wait_s = self.chance.randint(1, 30)
            self.pauses.append((asyncio.get_running_loop().time(), host, id_, wait_s))
            return HttpResponse(429, {"retry-after": str(wait_s)}, b"")
        if act == "final":
            return HttpResponse(400, {}, b"no")
        if act == "garbage" and host != HOOK:
            return HttpResponse(200, {"content-type": "text/html"}, b"<html>Please sign in to the hotel network</html>")
        if act == "slow":
            await asyncio.sleep(self.chance.uniform(0.1, 0.9) * timeout_s)
        self._arrive(host, id_, "X-Tocsin-Possible-Repeat" in (headers or {}), _parsed(host, body))
        self.points("http: it has arrived")
        if act in ("lost", "late answer"):
            await asyncio.sleep(timeout_s if act == "late answer" else 0.05)
            self.points("http: the answer is lost")
            raise HttpError("connection reset" if act == "lost" else "timeout", sent=True)
        await asyncio.sleep(0.01)
        self.points("http: the answer is on its way")
        return HttpResponse(200, {}, b'{"id":"x"}') if host != TWILIO else HttpResponse(201, {}, b'{"sid":"SM1"}')

    async def send(
        self, *, host: str, port: int, security: str, username: str, password: str, sender: str, recipient: str,
        message: bytes, timeout_s: float = 20.0,
    ) -> SmtpAnswer:  # fmt: skip
        self.points("smtp: before the mail")
        await asyncio.sleep(self.chance.uniform(0.01, 0.4))
        self.points("smtp: the mail is under way")
        act = self._act(host)
        if act in ("refused", "429"):
            return SmtpAnswer(0, "connection refused", False)
        if act == "hang":
            await asyncio.sleep(timeout_s)
            return SmtpAnswer(0, "timeout", False)
        if act in ("500", "garbage"):
            return SmtpAnswer(451, "try later", False)
        if act == "final":
            return SmtpAnswer(550, "no such user", False)
        if act == "slow":
            await asyncio.sleep(self.chance.uniform(0.1, 0.9) * timeout_s)
        mail = _HEADERS.parsebytes(message)
        repeat = b"may be a repeat" in message
        self._arrive(host, str(mail["X-Tocsin-Delivery"]), repeat, {"kind": str(mail["X-Tocsin-Kind"]), "to": recipient})
        self.points("smtp: it has arrived")
        if act in ("lost", "late answer"):
            return SmtpAnswer(0, "connection lost", True)
        return SmtpAnswer(250, "queued", True)


HOOK, PERSON_HOOK, NTFY, TWILIO, MAIL = "hook.example", "person.example", "ntfy.example", "sms.example", "mail.example"


def _parsed(host: str, body: bytes) -> dict[str, Any]:
    if host == TWILIO:
        return {"text": body.decode()}
    value = orjson.loads(body)
    return value if isinstance(value, dict) else {}
