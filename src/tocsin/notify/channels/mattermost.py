"""Mattermost by incoming webhook."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pydantic import SecretStr

from tocsin.model.notification import Delivery, Message
from tocsin.notify.channel import Io, Rate, channel, fold
from tocsin.notify.render import text_body
from tocsin.notify.respond import judged, post_json
from tocsin.notify.texts import Worded

_LIMIT = 16_000
_CALLS = re.compile(r"@|<(?=[!@#])")
_LINKS = re.compile(r"<(?=[a-zA-Z][a-zA-Z0-9+.-]*:[^<>]*\|)")


@channel("mattermost")
class Mattermost(Worded):
    """Posts to an incoming webhook."""

    url_field: ClassVar[str] = "webhook_url"
    address_field: ClassVar[str] = "channel"
    rate: ClassVar[Rate] = Rate(per_s=2.0, burst=5, parallel=1)

    webhook_url: SecretStr
    channel: str = ""

    def lane(self) -> str:
        return f"mattermost {self.channel or fold(self.webhook_url.get_secret_value())}"

    async def send(self, message: Message, io: Io) -> Delivery:
        dressed = self.dressed(message)
        text = harmless(text_body(dressed), links=bool(dressed.own_text))
        body: dict[str, Any] = {"text": text if len(text) <= _LIMIT else text[: _LIMIT - 1] + "…"}
        if self.channel:
            body["channel"] = self.channel
        response = await post_json(io.http, self.webhook_url.get_secret_value(), body)
        if isinstance(response, Delivery):
            return response
        if response.status == 200 and response.body.strip() == b"ok":
            return Delivery.accepted(status=200, delivered=True)
        return judged(response, io.now_ms, "Mattermost")


def harmless(text: str, *, links: bool) -> str:
    """A zero-width space behind what would call the whole channel (`@all`, and Slack's `<!channel>`, which Mattermost reads as
    well) and, without `links`, behind what would show a link under another name."""
    calm = _CALLS.sub(lambda found: found[0] + "\u200b", text)
    return calm if links else _LINKS.sub("<\u200b", calm)
