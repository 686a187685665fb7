"""In-process ports for tests: HTTP and SMTP that record every request and misbehave on script, seeded randomness."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tocsin.model.ports import HttpError, HttpResponse, SmtpAnswer, Way


@dataclass(frozen=True)
class Request:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    at_s: float


@dataclass
class FakeHttp:
    """Answers with `answers` in turn, then with `default`. An answer may be a response, an HttpError or a callable."""

    default: object = field(default_factory=lambda: HttpResponse(200, {}, b"ok"))
    answers: deque[object] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    latency_s: float = 0.0
    route: Callable[[Request], object] | None = None

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
        request = Request(method, url, dict(headers or {}), body, asyncio.get_running_loop().time())
        self.requests.append(request)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        answer = self.answers.popleft() if self.answers else self.route(request) if self.route else self.default
        if callable(answer):
            answer = answer(request)
        if answer == "hang":
            await asyncio.sleep(timeout_s)
            raise HttpError(f"no answer within {timeout_s:g} s", sent=True)
        if isinstance(answer, HttpError):
            raise answer
        assert isinstance(answer, HttpResponse)
        return answer


@dataclass(frozen=True)
class Mail:
    recipient: str
    sender: str
    message: bytes
    host: str
    security: str


@dataclass
class FakeSmtp:
    default: SmtpAnswer = field(default_factory=lambda: SmtpAnswer(250, "2.0.0 queued", True))
    answers: deque[SmtpAnswer] = field(default_factory=deque)
    mails: list[Mail] = field(default_factory=list)
    tried: list[Mail] = field(default_factory=list)
    latency_s: float = 0.0

    async def send(
        self,
        *,
        host: str,
        port: int,
        security: str,
        username: str,
        password: str,
        sender: str,
        recipient: str,
        message: bytes,
        timeout_s: float = 20.0,
    ) -> SmtpAnswer:
        mail = Mail(recipient, sender, message, f"{host}:{port}", security)
        self.tried.append(mail)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        answer = self.answers.popleft() if self.answers else self.default
        if 200 <= answer.code < 300 or (answer.code == 0 and answer.sent):
            self.mails.append(mail)
        return answer


class SeededRandom:
    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def random(self) -> float:
        return self._random.random()

    def randbytes(self, n: int) -> bytes:
        return self._random.randbytes(n)
