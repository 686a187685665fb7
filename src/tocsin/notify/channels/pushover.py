"""Pushover: critical pages ring until somebody answers or an hour has passed."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urlencode

from pydantic import SecretStr

from tocsin.model.notification import Delivery, Message, NotificationKind
from tocsin.model.ports import HttpError
from tocsin.notify.channel import Channel, Io, Rate, channel
from tocsin.notify.render import headline
from tocsin.notify.respond import from_error, json_of, judged

_RETRY_S, _EXPIRE_S = 60, 3600


@channel("pushover")
class Pushover(Channel):
    """Pushes to a user or group."""

    address_field: ClassVar[str] = "user_key"
    rate: ClassVar[Rate] = Rate(per_s=2.0, burst=10, parallel=2)

    user_key: SecretStr
    token: SecretStr
    device: str = ""
    sound: str = ""
    api_url: str = "https://api.pushover.net/1/messages.json"

    async def send(self, message: Message, io: Io) -> Delivery:
        form: dict[str, str | int] = {
            "token": self.token.get_secret_value(),
            "user": self.user_key.get_secret_value(),
            "title": headline(message)[:250],
            "message": ("\n".join([*message.lines, message.why]) or headline(message))[:1024],
        }
        if message.notification.kind is NotificationKind.PAGE and message.severity == "critical":
            form |= {"priority": 2, "retry": _RETRY_S, "expire": _EXPIRE_S}
        url = message.ack_url or message.incident_url
        if url and len(url) <= 512:
            form |= {"url": url, "url_title": "Acknowledge" if message.ack_url else "Open incident"}
        form |= {name: value for name, value in (("device", self.device), ("sound", self.sound)) if value}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            response = await io.http.request("POST", self.api_url, headers=headers, body=urlencode(form).encode())
        except HttpError as error:
            return from_error(error)
        answer = json_of(response)
        if response.status == 200 and answer.get("status") == 1:
            return Delivery.accepted(str(answer.get("receipt") or answer.get("request", "")), status=200)
        return judged(response, io.now_ms, "Pushover", reason=", ".join(str(error) for error in answer.get("errors", ())))
