"""A webhook of a visitor who follows a status page: what was published, as JSON in the shape that Atlassian Statuspage posts.

The address is a stranger's: it is called over connections of its own that lead to the public internet only, redirects are not
followed, and next to nothing of an answer is read or kept. docs/how-to/status-page.md has the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson
from pydantic import Field, SecretStr

from tocsin.model.notification import Delivery, Message
from tocsin.model.ports import HttpError, HttpResponse, Way
from tocsin.notify.channel import Channel, Io, Rate
from tocsin.notify.channels.webhook import signature
from tocsin.notify.respond import retry_after_ms
from tocsin.notify.wire import stamp

_RETRIED = (408, 425, 429)
_TIMEOUT_S = 5.0
_LONGEST_ANSWER = 4_096
_LONGEST_PAUSE_MS = 3_600_000


class VisitorHook(Channel):
    """Not among the channels of people. All of them share a lane: no stranger's server delays a page."""

    rate: ClassVar[Rate] = Rate(per_s=10.0, burst=20, parallel=8)
    idempotent: ClassVar[bool] = True
    for_programs: ClassVar[bool] = True
    one_provider: ClassVar[bool] = False

    url: SecretStr
    pages: Mapping[str, bool] = Field(default_factory=dict)
    """{page that has webhooks: whether they may lead to private addresses}"""

    def lane(self) -> str:
        return "visitors webhooks"

    async def send(self, message: Message, io: Io) -> Delivery:
        visitor = message.visitor
        page = visitor.get("page", "")
        if page not in self.pages:
            return Delivery.permanent("this page has no webhooks any more")
        body = orjson.dumps(compose(message, io.now_ms))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": message.notification.id,
            "X-Tocsin-Delivery": message.notification.id,
            "X-Tocsin-Signature": signature([visitor["secret"]], io.now_ms // 1000, body),
        }
        way = Way(follow_redirects=False, outside=not self.pages[page], longest_body=_LONGEST_ANSWER)
        url = self.url.get_secret_value()
        try:
            answer = await io.http.request("POST", url, headers=headers, body=body, timeout_s=_TIMEOUT_S, way=way)
        except HttpError as error:
            # What went wrong may name the visitor's host: the log says nothing of visitors.
            return Delivery.unknown("no answer came") if error.sent else Delivery.retry("cannot connect to this address")
        return classify(answer, io.now_ms)


def compose(message: Message, now_ms: int) -> dict[str, Any]:
    """The body: `meta`, `page`, and either `incident` or `confirmation`."""
    visitor, note = message.visitor, message.notification
    told = note.payload.get("hook") or {}
    page = {"id": visitor["page"], "name": visitor["page_title"], "url": visitor["page_url"].partition("#")[0]}
    meta = {"generated_at": stamp(now_ms), "delivery": note.id, "unsubscribe": visitor["leave_url"]}
    if confirm := visitor.get("confirm_url"):
        lines = [line for line in message.lines if line]
        confirmation = {"text": " ".join(lines), "confirm_url": confirm, "secret": visitor["secret"]}
        return {"meta": {"event": "subscription.confirm", **meta}, "page": page, "confirmation": confirmation}
    incident = {**told.get("incident", {}), "shortlink": visitor["page_url"]}
    return {"meta": {"event": "incident.updated", **meta}, "page": page | told.get("page", {}), "incident": incident}


def classify(answer: HttpResponse, now_ms: int) -> Delivery:
    """2xx is taken; 408, 425, 429 and 5xx come again; the rest, redirects too, will not get better. The text is not kept."""
    status = answer.status
    if 200 <= status < 300:
        return Delivery.accepted(status=status, delivered=True)
    if status in _RETRIED or status >= 500:
        pause_ms = min(retry_after_ms(answer, now_ms), _LONGEST_PAUSE_MS)
        return Delivery.retry(f"HTTP {status}", after_ms=pause_ms, status=status)
    why = " (redirects are not followed)" if 300 <= status < 400 else ""
    return Delivery.permanent(f"HTTP {status}{why}", status=status)
