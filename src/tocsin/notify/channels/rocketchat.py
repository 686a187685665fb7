"""Rocket.Chat: chat.postMessage with a personal access token."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SecretStr

from tocsin.model.notification import Delivery, Message
from tocsin.notify.channel import Io, Rate, channel, fold
from tocsin.notify.compatible import Compatible, Words, cut
from tocsin.notify.respond import json_of, judged, post_json

_TITLE = 1024


class AttachmentField(BaseModel):
    """A pair shown below the text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = ""
    value: str = ""
    short: bool | None = None


class AttachmentAction(BaseModel):
    """A button that opens `url` or posts `msg`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = "button"
    text: str = ""
    url: str = ""
    msg: str = ""


@channel("rocketchat")
class RocketChat(Compatible):
    """Posts to a channel."""

    address_field: ClassVar[str] = "channel"
    rate: ClassVar[Rate] = Rate(per_s=1.0, burst=5, parallel=1)
    templated: ClassVar[tuple[str, ...]] = (
        "channel", "color", "title", "title_link", "text", "emoji", "icon_url", "image_url", "thumb_url", "nested_texts",
    )  # fmt: skip

    token: SecretStr
    token_id: SecretStr
    api_url: str = "https://open.rocket.chat/"
    channel: str = ""
    color: str = '{{ if eq .Status "firing" }}red{{ else }}green{{ end }}'
    title: str = '{{ template "rocketchat.default.title" . }}'
    title_link: str = '{{ template "rocketchat.default.titlelink" . }}'
    text: str = '{{ template "rocketchat.default.text" . }}'
    emoji: str = '{{ template "rocketchat.default.emoji" . }}'
    icon_url: str = '{{ template "rocketchat.default.iconurl" . }}'
    image_url: str = ""
    thumb_url: str = ""
    short_fields: bool = False
    link_names: bool = False
    """Accepted as Alertmanager accepts it, and as there without effect."""
    attachment_fields: tuple[AttachmentField, ...] = ()
    """`fields` of alertmanager.yml."""
    actions: tuple[AttachmentAction, ...] = ()

    @property
    def nested_texts(self) -> list[str]:
        pairs = [text for one in self.attachment_fields for text in (one.title, one.value)]
        return pairs + [text for one in self.actions for text in (one.text, one.url, one.msg)]

    def lane(self) -> str:
        return f"rocketchat {self.channel or fold(self.token.get_secret_value())}"

    async def send(self, message: Message, io: Io) -> Delivery:
        headers = {
            "X-Auth-Token": self.token.get_secret_value(),
            "X-User-Id": self.token_id.get_secret_value(),
            "Content-Type": "application/json",
        }
        url = f"{self.api_url.rstrip('/')}/api/v1/chat.postMessage"
        response = await post_json(io.http, url, self.body(message), headers=headers)
        if isinstance(response, Delivery):
            return response
        answer = json_of(response)
        if response.status == 200 and answer.get("success") is True:
            sent = answer.get("message")
            name = str(sent.get("_id", "")) if isinstance(sent, dict) else ""
            return Delivery.accepted(name, status=200, delivered=True)
        if response.status == 200 and answer:
            return Delivery.permanent(f"Rocket.Chat refused: {answer.get('error', '')}", status=200)
        return judged(response, io.now_ms, "Rocket.Chat", reason=str(answer.get("error") or answer.get("message") or ""))

    def body(self, message: Message) -> dict[str, Any]:
        """The message: one attachment."""
        words = self.words(message)
        out = {
            "channel": words.value(self.channel),
            "emoji": words.value(self.emoji),
            "avatar": words.value(self.icon_url),
            "attachments": [self._attachment(words)],
        }
        return {key: value for key, value in out.items() if value}

    def _attachment(self, words: Words) -> dict[str, Any]:
        fields = [
            {
                "title": words.value(f.title),
                "value": words.value(f.value),
                "short": self.short_fields if f.short is None else f.short,
            }
            for f in self.attachment_fields
        ]
        actions = [
            {
                "type": "button",
                "text": words.value(action.text),
                "url": words.value(action.url),
                "msg": words.value(action.msg),
                "is_webview": False,
                "msg_in_chat_window": False,
            }
            for action in self.actions
        ]
        attachment: dict[str, Any] = {
            "title": cut(words.title(self.title), _TITLE),
            "title_link": words.value(self.title_link),
            "text": words.body(self.text) if words.plain else words.value(self.text),
            "image_url": words.value(self.image_url),
            "thumb_url": words.value(self.thumb_url),
            "color": words.value(self.color),
            "fields": [_said(field) for field in fields],
            "actions": [_said(action) for action in actions],
        }
        return _said(attachment)


def _said(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty; false is said."""
    return {key: value for key, value in values.items() if value is False or value}
