"""Telegram: a bot's message to a chat, answers threaded as replies, an Acknowledge button."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, ClassVar, Literal

import orjson
from pydantic import SecretStr, field_validator

from tocsin.model.notification import Delivery, DeliveryOutcome, Message
from tocsin.model.ports import HttpError
from tocsin.notify.attach import multipart
from tocsin.notify.channel import Io, Rate, channel
from tocsin.notify.render import text_body
from tocsin.notify.respond import json_of, judged, post_json
from tocsin.notify.texts import Worded

TEXT_LIMIT = 4096
_ANSWERS = {
    "triggered": (("acknowledge", "Acknowledge"), ("silence", "Silence 1 h")),
    "acknowledged": (("resolve", "Resolve"), ("silence", "Silence 1 h")),
    "resolved": (("real", "Real"), ("noise", "Noise"), ("duplicate", "Duplicate")),
}


@channel("telegram")
class Telegram(Worded):
    """Plain text: nothing in a label can become markup."""

    address_field: ClassVar[str] = "chat_id"
    # 1 message a second and chat, 20 a minute in a group.
    illustrates: ClassVar[bool] = True
    rate: ClassVar[Rate] = Rate(per_s=0.33, burst=3, parallel=1)

    bot_token: SecretStr
    chat_id: str
    message_thread_id: int | None = None
    user_id: int = 0
    """Telegram's id of this person: whose button presses count as theirs."""
    api_url: str = "https://api.telegram.org"
    parse_mode: Literal["", "HTML", "Markdown", "MarkdownV2"] = "HTML"
    """The markup of a text of your own."""
    buttons: bool = True
    """An Acknowledge button inside Telegram; Tocsin fetches the answers itself (long polling), no public address is needed."""

    @field_validator("chat_id", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    def lane(self) -> str:
        return f"telegram {self.chat_id}"

    async def send(self, message: Message, io: Io) -> Delivery:
        own = self.worded("text", message, clean=escape if self.parse_mode == "HTML" else str)
        if own and len(own) <= TEXT_LIMIT:
            told = await self._post(message, io, {"text": own, **({"parse_mode": self.parse_mode} if self.parse_mode else {})})
            if told.outcome is not DeliveryOutcome.PERMANENT or "parse" not in told.reason:
                return told
        # Nobody's own text, or one whose markup Telegram does not take: the plain page.
        text = text_body(message)
        return await self._post(message, io, {"text": text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"})

    async def _post(self, message: Message, io: Io, said: Mapping[str, str]) -> Delivery:
        body: dict[str, Any] = {"chat_id": self.chat_id, **said, "link_preview_options": {"is_disabled": True}}
        if self.message_thread_id is not None:
            body["message_thread_id"] = self.message_thread_id
        if root := io.refs.get("message_id"):
            body["reply_parameters"] = {"message_id": root, "allow_sending_without_reply": True}
        if keyboard := self._keyboard(message):
            body["reply_markup"] = {"inline_keyboard": keyboard}
        url = f"{self.api_url}/bot{self.bot_token.get_secret_value()}/sendMessage"
        response = await post_json(io.http, url, body)
        if isinstance(response, Delivery):
            return response
        answer = json_of(response)
        if answer.get("ok") is True and isinstance(answer.get("result"), dict):
            sent = answer["result"].get("message_id", 0)
            io.refs.setdefault("message_id", sent)
            return Delivery.accepted(str(sent), status=response.status, delivered=True)
        parameters = answer.get("parameters")
        after_s = parameters.get("retry_after", 0) if isinstance(parameters, dict) else 0
        if isinstance(after_s, int) and after_s > 0:
            return Delivery.retry(f"Telegram: wait {after_s} s", after_ms=after_s * 1000, status=response.status)
        return judged(response, io.now_ms, "Telegram", reason=str(answer.get("description", "")))

    async def illustrate(self, message: Message, io: Io, image: bytes) -> str:
        """The chart as an answer to the message, without a sound."""
        fields = {"chat_id": self.chat_id, "disable_notification": "true"}
        if self.message_thread_id is not None:
            fields["message_thread_id"] = str(self.message_thread_id)
        if root := io.refs.get("message_id"):
            fields["reply_parameters"] = orjson.dumps({"message_id": root, "allow_sending_without_reply": True}).decode()
        kind, body = multipart(fields, file_field="photo", name="chart.png", content=image, media_type="image/png")
        url = f"{self.api_url}/bot{self.bot_token.get_secret_value()}/sendPhoto"
        try:
            answer = json_of(await io.http.request("POST", url, headers={"Content-Type": kind}, body=body, timeout_s=20.0))
        except HttpError as error:
            return str(error)
        return "" if answer.get("ok") is True else f"Telegram: {answer.get('description', 'no answer that is understood')}"

    def _keyboard(self, message: Message) -> list[list[dict[str, str]]]:
        """Rows of buttons: what can be answered in this state, then the incident."""
        number = message.notification.incident
        answers = _ANSWERS.get(message.state, ()) if number and self.buttons else ()
        rows = [[{"text": text, "callback_data": f"{answer}:{number}"} for answer, text in answers]]
        # Telegram refuses buttons with addresses that it cannot reach itself, such as http://localhost.
        if message.incident_url.startswith("https://"):
            rows.append([{"text": "Open incident", "url": message.incident_url}])
        return [row for row in rows if row]
