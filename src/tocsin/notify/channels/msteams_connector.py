"""Microsoft Teams by the old Office 365 connectors: a message card. Microsoft has retired them; compatible receivers remain."""

from __future__ import annotations

from typing import ClassVar

import orjson
from pydantic import SecretStr

from tocsin.model.notification import Delivery, Message
from tocsin.notify.channel import Io, Rate, channel, fold
from tocsin.notify.compatible import Compatible, cut
from tocsin.notify.respond import excerpt, judged, post_json

_MOST_BYTES = 28_000
_GREY, _RED, _GREEN = "808080", "8C1A1A", "2DC72D"


@channel("msteams_connector")
class MsTeamsConnector(Compatible):
    """Posts a message card to a connector's URL."""

    url_field: ClassVar[str] = "webhook_url"
    address_field: ClassVar[str] = "name"
    rate: ClassVar[Rate] = Rate(per_s=2.0, burst=4, parallel=1)
    templated: ClassVar[tuple[str, ...]] = ("title", "summary", "text")

    webhook_url: SecretStr
    title: str = '{{ template "msteams.default.title" . }}'
    summary: str = '{{ template "msteams.default.summary" . }}'
    text: str = '{{ template "msteams.default.text" . }}'
    name: str = ""

    def lane(self) -> str:
        return f"msteams_connector {self.name or fold(self.webhook_url.get_secret_value())}"

    async def send(self, message: Message, io: Io) -> Delivery:
        headers = {"Content-Type": "application/json"}
        response = await post_json(io.http, self.webhook_url.get_secret_value(), self.card(message), headers=headers)
        if isinstance(response, Delivery):
            return response
        if 200 <= response.status < 300:
            if b"HTTP error 429" in response.body or b"delivery failed" in response.body:
                # The connector answers 200 and says in the text that Teams refused.
                return Delivery.retry(f"Teams: {excerpt(response.body)}", status=response.status)
            return Delivery.accepted(status=response.status, delivered=response.body.strip() == b"1")
        return judged(response, io.now_ms, "Teams")

    def card(self, message: Message) -> dict[str, str]:
        """The message card, below Teams' 28 KB; the text is cut."""
        words = self.words(message)
        colour = _GREEN if words.over else _GREY if message.state in ("test", "digest") else _RED
        card = {
            "@context": "http://schema.org/extensions",
            "type": "MessageCard",
            "title": words.title(self.title),
            "summary": words.title(self.summary),
            "text": words.body(self.text),
            "themeColor": colour,
        }
        while len(orjson.dumps(card)) > _MOST_BYTES:
            longest = max(("text", "title", "summary"), key=lambda part: len(card[part]))
            card[longest] = cut(card[longest], len(card[longest]) // 2)
        return card
