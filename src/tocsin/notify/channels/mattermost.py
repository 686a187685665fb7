"""Mattermost by incoming webhook."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import SecretStr

from tocsin.model.notification import Delivery, Message
from tocsin.notify.channel import Io, Rate, channel, fold
from tocsin.notify.render import text_body
from tocsin.notify.respond import judged, post_json
from tocsin.notify.texts import Worded

_LIMIT = 16_000


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
        # A zero-width space behind every @ keeps a label from calling the whole channel.
        text = text_body(self.dressed(message)).replace("@", "@\u200b")
        body: dict[str, Any] = {"text": text if len(text) <= _LIMIT else text[: _LIMIT - 1] + "…"}
        if self.channel:
            body["channel"] = self.channel
        response = await post_json(io.http, self.webhook_url.get_secret_value(), body)
        if isinstance(response, Delivery):
            return response
        if response.status == 200 and response.body.strip() == b"ok":
            return Delivery.accepted(status=200, delivered=True)
        return judged(response, io.now_ms, "Mattermost")
