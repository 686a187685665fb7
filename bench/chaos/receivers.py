"""Four receivers on loopback that count: a webhook, PagerDuty, Slack and a mail server. The same ones for both programs."""

from __future__ import annotations

import contextlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.fakes.mail import FakeMail
from tests.fakes.provider import Answer, Provider, Seen, json_answer

CHANNELS = ("webhook", "pagerduty", "slack", "email")
_SERVICE = re.compile(r"svc-\d+")
_MARK = "be a repeat"
"""Tocsin says "(may be a repeat ...)" where an answer was lost."""


@dataclass(frozen=True, slots=True)
class Told:
    """One message about one service that a receiver took. `identity`: what the receiver may fold repeats by; empty = nothing."""

    service: str
    kind: str
    """firing | resolved, empty for other news"""
    at_s: float
    identity: str
    marked: bool


class _Receiver(Provider, ABC):
    """Takes everything that comes; `fault` is what it does to every request, `flaky` to every third."""

    def __init__(self, *, port: int = 0) -> None:
        super().__init__(port=port)
        self.fault: dict[str, Any] | None = None
        self.flaky = False
        self.lost_answers = 0

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        if self.fault is not None:
            self.script(**self.fault)
        elif self.flaky and len(self.seen) % 3 == 0:
            self.lost_answers += 1
            self.script("accept_then_die")
        super().serve(handler)

    @abstractmethod
    def told(self) -> list[Told]:
        """What it was told so far, in order."""


class _Naive(_Receiver):
    """Takes every request for news: it folds no repeats."""

    def told(self) -> list[Told]:
        return [told for seen in self.accepted for told in self.read(seen)]

    @abstractmethod
    def read(self, seen: Seen) -> list[Told]:
        """What one accepted request told."""


class Webhook(_Naive):
    name = "webhook"

    def handle(self, seen: Seen) -> Answer:
        return Answer(200, b"", parsed=json.loads(seen.body))

    def read(self, seen: Seen) -> list[Told]:
        identity = seen.headers.get("x-tocsin-delivery", "")
        marked = any("repeat" in name for name in seen.headers)
        if seen.headers.get("x-tocsin-event") == "incident.acknowledged":
            return []
        return [
            Told(alert["labels"].get("service", ""), alert["status"], seen.at_s, identity, marked)
            for alert in seen.parsed["alerts"]
            if seen.path == "/in" and _SERVICE.fullmatch(alert["labels"].get("service", ""))
        ]

    def person_paged(self) -> list[float]:
        """When a person was called (not merely informed)."""
        calls = [seen for seen in self.accepted if seen.path == "/person"]
        return [seen.at_s for seen in calls if seen.headers.get("x-tocsin-event") == "incident.triggered"]

    def heard_back(self, mark: str) -> bool:
        """Whether the page of the probing alert `mark` has come."""
        return any(seen.path == "/back" and mark in seen.body for seen in self.accepted)


class PagerDuty(_Receiver):
    """Folds by dedup key, as PagerDuty does: what it is told of an open alert again opens nothing."""

    name = "pagerduty"

    def handle(self, seen: Seen) -> Answer:
        body = json.loads(seen.body)
        return json_answer(202, {"status": "success", "dedup_key": body.get("dedup_key", "")}, parsed=body)

    def told(self) -> list[Told]:
        """What changed something: a trigger that opens an incident, a resolve that ends one."""
        names: dict[str, str] = {}
        open_: dict[str, bool] = {}
        out = []
        for seen in self.accepted:
            key, action = seen.parsed["dedup_key"], seen.parsed["event_action"]
            if action == "trigger":
                names.setdefault(key, _service(seen.body))
            if (action == "trigger") == open_.get(key, False) or action not in ("trigger", "resolve"):
                continue
            open_[key] = action == "trigger"
            out.append(Told(names.get(key, ""), "firing" if action == "trigger" else "resolved", seen.at_s, "", False))
        return out


class Slack(_Naive):
    name = "slack"

    def handle(self, seen: Seen) -> Answer:
        return Answer(200, b"ok", parsed=json.loads(seen.body))

    def read(self, seen: Seen) -> list[Told]:
        return [Told(_service(seen.body), _kind(seen.body), seen.at_s, "", _MARK in seen.body)]


class MailServer(FakeMail):
    """`fault` is the reply to every message (`drop` closes the connection); `flaky` loses the answer to every third."""

    def __init__(self, *, port: int = 0) -> None:
        super().__init__(port=port)
        self.fault = ""
        self.flaky = False
        self.lost_answers = 0

    def next_act(self) -> str:
        if not self.fault and self.flaky and len(self.mails) % 3 == 0:
            self.lost_answers += 1
            return "accept_then_die"
        return self.fault

    def told(self) -> list[Told]:
        return [_of_mail(mail) for mail in self.mails]


def _of_mail(mail: dict[str, Any]) -> Told:
    subject, text = mail["subject"], mail["text"]
    return Told(_service(subject), _kind(subject + text[:40]), mail["at_s"], "", _MARK in text)


class Receivers:
    """All four, running for the time of a scenario."""

    def __init__(self) -> None:
        self.webhook, self.pagerduty, self.slack, self.email = Webhook(), PagerDuty(), Slack(), MailServer()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with self.webhook, self.pagerduty, self.slack, self.email:
            yield

    def told(self, channel: str) -> list[Told]:
        receiver: _Receiver | MailServer = getattr(self, channel)
        return [told for told in receiver.told() if told.service and told.kind]

    @property
    def http(self) -> tuple[_Receiver, ...]:
        return (self.webhook, self.pagerduty, self.slack)

    def fault(self, do: str, *, mail: str, **more: Any) -> None:
        """Every receiver misbehaves so until `heal`."""
        for receiver in self.http:
            receiver.fault = {"do": do, **more}
        self.email.fault = mail

    def flaky(self) -> None:
        """Every third message is taken, and the connection closed before the answer."""
        for receiver in self._all():
            receiver.flaky = True

    def heal(self) -> None:
        for receiver in self.http:
            receiver.fault, receiver.flaky = None, False
        self.email.fault, self.email.flaky = "", False

    @property
    def lost_answers(self) -> int:
        return sum(receiver.lost_answers for receiver in self._all())

    def _all(self) -> tuple[_Receiver | MailServer, ...]:
        return (*self.http, self.email)


def _kind(text: str) -> str:
    """firing | resolved; empty for news that somebody has acknowledged it."""
    return "resolved" if "RESOLVED" in text else "" if "ACKNOWLEDGED" in text else "firing"


def _service(text: str) -> str:
    match = _SERVICE.search(text)
    return match[0] if match else ""
