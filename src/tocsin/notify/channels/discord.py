"""Discord by webhook: an embed, mentions switched off."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import SecretStr

from tocsin.model.notification import Delivery, DeliveryOutcome, Message, NotificationKind
from tocsin.notify.channel import Io, Rate, channel, fold
from tocsin.notify.render import alert_lines, headline
from tocsin.notify.respond import json_of, judged, post_json
from tocsin.notify.texts import Worded

_COLOURS = {"critical": 0xB3261E, "warning": 0x8A5A00}
_RESOLVED = 0x1B6E3C


@channel("discord")
class Discord(Worded):
    """Posts to a channel's webhook."""

    url_field: ClassVar[str] = "webhook_url"
    address_field: ClassVar[str] = "name"
    rate: ClassVar[Rate] = Rate(per_s=0.5, burst=5, parallel=1)

    webhook_url: SecretStr
    name: str = ""

    def lane(self) -> str:
        return f"discord {self.name or fold(self.webhook_url.get_secret_value())}"

    async def send(self, message: Message, io: Io) -> Delivery:
        """The first message of an incident is its root; later ones edit it, and say the news in one line."""
        message = self.dressed(message, clean=plain)
        root = str(io.refs.get("message_id", ""))
        if not root or message.notification.kind is NotificationKind.PAGE:
            sent = await self._call("POST", "", {"embeds": [_embed(message)]}, io)
            if sent.outcome is DeliveryOutcome.ACCEPTED and message.notification.incident:
                io.refs["message_id"] = sent.provider_id
            return sent
        edited = await self._call("PATCH", f"/messages/{quote(root, safe='')}", {"embeds": [_embed(message)]}, io)
        if edited.status == 404:
            io.refs.pop("message_id")  # somebody deleted it: begin anew
            return await self.send(message, io)
        if edited.outcome is not DeliveryOutcome.ACCEPTED:
            return edited
        news = message.lines[0] if message.lines else message.title
        number = f"#{message.notification.incident} " if message.notification.incident else ""
        return await self._call("POST", "", {"content": _cut(f"{number}{plain(headline(message))}\n{plain(news)}", 2000)}, io)

    async def _call(self, method: str, path: str, body: dict[str, Any], io: Io) -> Delivery:
        base, _, query = self.webhook_url.get_secret_value().partition("?")
        url = f"{base.rstrip('/')}{path}?wait=true{f'&{query}' if query else ''}"
        response = await post_json(io.http, url, {**body, "allowed_mentions": {"parse": []}}, method=method)
        if isinstance(response, Delivery):
            return response
        answer = json_of(response)
        if response.status == 200 and answer.get("id"):
            return Delivery.accepted(str(answer["id"]), status=200, delivered=True)
        after_s = answer.get("retry_after", 0)
        if response.status == 429 and isinstance(after_s, int | float) and after_s > 0:
            return Delivery.retry(f"Discord: wait {after_s:g} s", after_ms=round(after_s * 1000), status=429)
        return judged(response, io.now_ms, "Discord", reason=str(answer.get("message", "")))


def _embed(message: Message) -> dict[str, Any]:
    links = [
        ("Acknowledge", message.ack_url),
        ("Incident", message.incident_url),
        ("Runbook", message.runbook_url),
        ("Silence", message.silence_url),
        ("Chart", "" if message.chart_url.startswith("https://") else message.chart_url),
    ]
    told = list(message.lines) if message.own_text else [plain(line) for line in (*message.lines, *alert_lines(message))]
    text = "\n".join([*told, *(f"{name}: {url}" for name, url in links if url), plain(message.why)])
    colour = _RESOLVED if message.state == "resolved" else _COLOURS.get(message.severity, 0x33415C)
    # Titles are shown as they are.
    embed: dict[str, Any] = {"title": _cut(headline(message), 256), "description": _cut(text, 4096), "color": colour}
    if message.chart_url.startswith("https://"):
        embed["image"] = {"url": message.chart_url}  # fetched by Discord later; one that it cannot reach is left out
    return embed


def plain(text: str) -> str:
    """A description reads Markdown: what would be markup, a link or a mention is escaped."""
    return "".join("\\" + c if c in "\\`*_~|[]<>#" else c for c in text)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
