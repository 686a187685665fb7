"""Webex: a bot's message in a room. The bot's token stands in `http_config.authorization`."""

from __future__ import annotations

from typing import ClassVar

from tocsin.model.notification import Delivery, Message
from tocsin.notify.channel import Io, Rate, channel
from tocsin.notify.compatible import Compatible, cut_bytes
from tocsin.notify.respond import json_of, judged, post_json

_MOST_BYTES = 7439
_DEFAULT = '{{ template "webex.default.message" . }}'


@channel("webex")
class Webex(Compatible):
    """Posts Markdown to a room."""

    address_field: ClassVar[str] = "room_id"
    rate: ClassVar[Rate] = Rate(per_s=2.0, burst=5, parallel=1)
    templated: ClassVar[tuple[str, ...]] = ("message", "room_id")

    room_id: str
    api_url: str = "https://webexapis.com/v1/messages"
    message: str = _DEFAULT

    def lane(self) -> str:
        return f"webex {self.room_id}"

    async def send(self, message: Message, io: Io) -> Delivery:
        words = self.words(message)
        text = words.body(self.message)
        if words.plain or self.message == _DEFAULT:
            text = text.replace("<@", "<\u200b@")  # a label cannot call the whole room; a text of one's own may
        body = {"markdown": cut_bytes(text, _MOST_BYTES), "roomId": words.value(self.room_id)}
        response = await post_json(io.http, self.api_url, body, headers={"Content-Type": "application/json"})
        if isinstance(response, Delivery):
            return response
        answer = json_of(response)
        if response.status == 200 and answer.get("id"):
            return Delivery.accepted(str(answer["id"]), status=200, delivered=True)
        return judged(response, io.now_ms, "Webex", reason=str(answer.get("message", "")))
