"""ntfy: push to a topic, with an Acknowledge action that needs no app."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pydantic import SecretStr, field_validator

from tocsin.model.notification import Delivery, Message, NotificationKind
from tocsin.notify.channel import Channel, Io, Rate, channel
from tocsin.notify.render import alert_lines, headline
from tocsin.notify.respond import json_of, judged, post_json

_BODY_LIMIT, _TITLE_LIMIT = 3800, 200
_OFFERED = {
    "triggered": (("acknowledge", "Acknowledge"), ("silence", "Silence 1 h")),
    "acknowledged": (("resolve", "Resolve"), ("silence", "Silence 1 h")),
    "resolved": (("real", "Real"), ("noise", "Noise")),
}
_PRIORITY = {"critical": 5, "warning": 4}


@channel("ntfy")
class Ntfy(Channel):
    """Publishes to a topic of ntfy.sh or of your own server."""

    address_field: ClassVar[str] = "topic"
    rate: ClassVar[Rate] = Rate(per_s=1.0, burst=10, parallel=2)

    topic: str
    server: str = "https://ntfy.sh"
    token: SecretStr = SecretStr("")

    @field_validator("topic")
    @classmethod
    def _topic(cls, value: str) -> str:
        if not re.fullmatch(r"[-_A-Za-z0-9]{1,64}", value):
            raise ValueError("expected a topic of 1 to 64 letters, digits, - and _")
        return value

    def lane(self) -> str:
        return f"ntfy {self.server}"

    async def send(self, message: Message, io: Io) -> Delivery:
        token = self.token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = await post_json(io.http, self.server.rstrip("/"), self._body(message), headers=headers)
        if isinstance(response, Delivery):
            return response
        answer = json_of(response)
        if response.status == 200 and answer.get("id"):
            return Delivery.accepted(str(answer["id"]), status=200)
        return judged(response, io.now_ms, "ntfy", reason=str(answer.get("error", "")))

    def _body(self, message: Message) -> dict[str, Any]:
        text = "\n".join([*message.lines, *alert_lines(message), message.why])
        encoded = text.encode()
        body: dict[str, Any] = {
            "topic": self.topic,
            "title": headline(message)[:_TITLE_LIMIT],
            "message": text if len(encoded) <= _BODY_LIMIT else encoded[:_BODY_LIMIT].decode(errors="ignore") + "…",
            "priority": _PRIORITY.get(message.severity, 3) if message.notification.kind is NotificationKind.PAGE else 3,
        }
        if message.incident_url:
            body["click"] = message.incident_url
        if message.chart_url.startswith("https://"):
            body |= {"attach": message.chart_url, "filename": "chart.png"}
        actions = _answers(message)
        if message.incident_url:
            actions.append({"action": "view", "label": "Open", "url": message.incident_url})
        if message.silence_url and not message.answer_url:  # a person's own link has a button that silences at once
            actions.append({"action": "view", "label": "Silence", "url": message.silence_url})
        return {**body, "actions": actions} if actions else body


def _answers(message: Message) -> list[dict[str, Any]]:
    """At most two buttons (ntfy shows three): each posts its answer to the signed link, no app needed."""
    if not message.answer_url:
        return []
    return [
        {
            "action": "http",
            "label": label,
            "url": message.answer_url,
            "method": "POST",
            "headers": {"Content-Type": "application/x-www-form-urlencoded"},
            "body": f"answer={answer}",
            "clear": True,
        }
        for answer, label in _OFFERED.get(message.state, ())
    ]
