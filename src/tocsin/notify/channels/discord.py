"""Discord by webhook: an embed, mentions switched off."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import SecretStr

from tocsin.model.notification import Delivery, Message
from tocsin.notify.channel import Channel, Io, Rate, channel, fold
from tocsin.notify.render import alert_lines, headline
from tocsin.notify.respond import json_of, judged, post_json

_COLOURS = {"critical": 0xB3261E, "warning": 0x8A5A00}
_RESOLVED = 0x1B6E3C


@channel("discord")
class Discord(Channel):
    """Posts to a channel's webhook."""

    url_field: ClassVar[str] = "webhook_url"
    address_field: ClassVar[str] = "name"
    rate: ClassVar[Rate] = Rate(per_s=0.5, burst=5, parallel=1)

    webhook_url: SecretStr
    name: str = ""

    def lane(self) -> str:
        return f"discord {self.name or fold(self.webhook_url.get_secret_value())}"

    async def send(self, message: Message, io: Io) -> Delivery:
        links = [
            ("Acknowledge", message.ack_url),
            ("Incident", message.incident_url),
            ("Runbook", message.runbook_url),
            ("Silence", message.silence_url),
        ]
        text = "\n".join([*message.lines, *alert_lines(message), *(f"{name}: {url}" for name, url in links if url), message.why])
        colour = _RESOLVED if message.state == "resolved" else _COLOURS.get(message.severity, 0x33415C)
        embed: dict[str, Any] = {"title": _cut(headline(message), 256), "description": _cut(text, 4096), "color": colour}
        if message.chart_url.startswith("https://"):
            embed["image"] = {"url": message.chart_url}  # fetched by Discord later; one that it cannot reach is left out
        body = {
            "embeds": [embed],
            "allowed_mentions": {"parse": []},
        }
        response = await post_json(io.http, f"{self.webhook_url.get_secret_value()}?wait=true", body)
        if isinstance(response, Delivery):
            return response
        answer = json_of(response)
        if response.status == 200 and answer.get("id"):
            return Delivery.accepted(str(answer["id"]), status=200, delivered=True)
        after_s = answer.get("retry_after", 0)
        if response.status == 429 and isinstance(after_s, int | float) and after_s > 0:
            return Delivery.retry(f"Discord: wait {after_s:g} s", after_ms=round(after_s * 1000), status=429)
        return judged(response, io.now_ms, "Discord", reason=str(answer.get("message", "")))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
