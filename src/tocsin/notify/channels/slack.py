"""Slack by incoming webhook: blocks, escaped texts, buttons that are links."""

from __future__ import annotations

from typing import Any, ClassVar

import orjson
from pydantic import SecretStr, field_validator

from tocsin.model.notification import Delivery, Message
from tocsin.model.ports import HttpError, HttpResponse
from tocsin.notify.channel import Channel, Io, Rate, channel, fold
from tocsin.notify.render import alert_lines, headline
from tocsin.notify.respond import excerpt, from_error, retry_after_ms

HEADER_LIMIT, SECTION_LIMIT, TEXT_LIMIT, BUDGET = 150, 3000, 3000, 12_000


@channel("slack")
class Slack(Channel):
    """Posts to an incoming webhook."""

    address_field: ClassVar[str] = "channel"
    url_field: ClassVar[str] = "api_url"
    rate: ClassVar[Rate] = Rate(per_s=1.0, burst=3, parallel=1)

    api_url: SecretStr
    """The incoming webhook's URL (a secret)."""
    channel: str = ""
    """Shown to people; the webhook decides where it posts."""

    @field_validator("api_url")
    @classmethod
    def _http(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("expected the https URL of an incoming webhook")
        return value

    def lane(self) -> str:
        return f"slack {self.channel or fold(self.api_url.get_secret_value())}"

    async def send(self, message: Message, io: Io) -> Delivery:
        body = orjson.dumps({"text": escape(headline(message)), "blocks": blocks(message)})
        headers = {"Content-Type": "application/json; charset=utf-8"}
        try:
            response = await io.http.request("POST", self.api_url.get_secret_value(), headers=headers, body=body)
        except HttpError as error:
            return from_error(error)
        return _classify(response, io.now_ms)


def _classify(response: HttpResponse, now_ms: int) -> Delivery:
    text = excerpt(response.body)
    if response.status == 200 and response.body.strip() == b"ok":
        return Delivery.accepted(status=200, delivered=True)
    if response.status == 429 or response.status >= 500:
        return Delivery.retry(f"Slack: HTTP {response.status} {text}".strip(), after_ms=retry_after_ms(response, now_ms),
                              status=response.status)  # fmt: skip
    if 200 <= response.status < 400:
        # A captive portal or proxy answered; Slack says `ok` and nothing else.
        return Delivery.retry(f"not Slack's answer: HTTP {response.status} {text}".strip(), status=response.status)
    return Delivery.permanent(f"Slack refused: {text or response.status}", status=response.status)


def blocks(message: Message) -> list[dict[str, Any]]:
    """Block Kit within Slack's limits; texts are cut, never the buttons."""
    out: list[dict[str, Any]] = [{"type": "header", "text": _plain(headline(message), HEADER_LIMIT)}]
    body = "\n".join([*message.lines, *alert_lines(message)])
    out.append({"type": "section", "text": {"type": "mrkdwn", "text": cut(escape(body) or " ", SECTION_LIMIT)}})
    context = " - ".join(part for part in (message.why, "(may be a repeat)" if message.possible_repeat else "") if part)
    if context:
        out.append({"type": "context", "elements": [{"type": "mrkdwn", "text": cut(escape(context), SECTION_LIMIT)}]})
    if buttons := link_buttons(message):
        out.append({"type": "actions", "elements": buttons})
    return out


def link_buttons(message: Message) -> list[dict[str, Any]]:
    links = [("ack", "Acknowledge", message.ack_url), ("open", "Open incident", message.incident_url),
             ("runbook", "Runbook", message.runbook_url)]  # fmt: skip
    buttons: list[dict[str, Any]] = []
    for action, text, url in links:
        if url and len(url) <= 3000:
            buttons.append({"type": "button", "action_id": f"link_{action}", "text": _plain(text, 75), "url": url})
    if buttons and message.state == "triggered":
        buttons[0]["style"] = "primary"
    return buttons


def escape(text: str) -> str:
    """Slack's three control characters: after this a label cannot mention a channel or forge a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, not inside an escape, with a mark that something is missing."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    ampersand = kept.rfind("&")
    if ampersand >= 0 and ";" not in kept[ampersand:]:
        kept = kept[:ampersand]
    return kept + "…"


def _plain(text: str, limit: int) -> dict[str, Any]:
    # plain_text is shown as it is; only line breaks would spoil a header.
    return {"type": "plain_text", "text": cut(" ".join(text.split()) or " ", limit), "emoji": False}
