"""Microsoft Teams by a Workflows webhook: an Adaptive Card. Buttons can only open addresses."""

from __future__ import annotations

from typing import Any, ClassVar

import orjson
from pydantic import SecretStr

from tocsin.model.notification import Delivery, Message
from tocsin.notify.channel import Io, Rate, channel, fold
from tocsin.notify.render import alert_lines, headline
from tocsin.notify.respond import judged, post_json
from tocsin.notify.texts import Worded

_LIMIT = 28_000
_COLOURS = {"critical": "attention", "warning": "warning"}


@channel("msteams")
class MsTeams(Worded):
    """Posts to the URL of a workflow "when a Teams webhook request is received"."""

    url_field: ClassVar[str] = "webhook_url"
    address_field: ClassVar[str] = "name"
    rate: ClassVar[Rate] = Rate(per_s=2.0, burst=4, parallel=1)

    webhook_url: SecretStr
    name: str = ""

    def lane(self) -> str:
        return f"msteams {self.name or fold(self.webhook_url.get_secret_value())}"

    async def send(self, message: Message, io: Io) -> Delivery:
        response = await post_json(io.http, self.webhook_url.get_secret_value(), card_message(self.dressed(message, clean=plain)))
        if isinstance(response, Delivery):
            return response
        if response.status == 202 or (response.status == 200 and not response.body.lstrip().startswith(b"<")):
            # 202 = the workflow was started; whether the card shows, Teams does not tell.
            return Delivery.accepted(status=response.status)
        return judged(response, io.now_ms, "Teams")


def card_message(message: Message) -> dict[str, Any]:
    """The webhook's body, below Teams' 28 KB; alerts are left out first."""
    alerts = alert_lines(message)
    while len(orjson.dumps(body := _body(message, alerts))) > _LIMIT and alerts:
        alerts = alerts[: len(alerts) // 2]
    return body


def _body(message: Message, alerts: list[str]) -> dict[str, Any]:
    colour = "good" if message.state == "resolved" else _COLOURS.get(message.severity, "default")
    items: list[dict[str, Any]] = [
        {
            "type": "TextBlock",
            "text": plain(headline(message)),
            "weight": "bolder",
            "size": "large",
            "wrap": True,
            "color": colour,
        }
    ]
    told = [message.own_text[:20_000]] if message.own_text else [plain(line)[:2000] for line in (*message.lines, *alerts)]
    items += [{"type": "TextBlock", "text": line, "wrap": True} for line in told if line]
    if message.why:
        items.append({"type": "TextBlock", "text": plain(message.why), "wrap": True, "isSubtle": True, "size": "small"})
    links = [
        ("Acknowledge", message.ack_url),
        ("Open incident", message.incident_url),
        ("Runbook", message.runbook_url),
        ("Silence", message.silence_url),
        ("Chart", message.chart_url),
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": items,
        "actions": [{"type": "Action.OpenUrl", "title": title, "url": url} for title, url in links if url],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def plain(text: str) -> str:
    """A TextBlock reads Markdown: what would be markup is escaped."""
    return "".join("\\" + c if c in "\\`*_[]#<>" else c for c in text)
