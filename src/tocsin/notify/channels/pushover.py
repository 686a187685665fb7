"""Pushover: critical pages ring until somebody answers or an hour has passed."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote, urlencode

from pydantic import SecretStr

from tocsin.model.notification import Delivery, Message, NotificationKind
from tocsin.model.ports import HttpError
from tocsin.notify.channel import Io, Rate, channel
from tocsin.notify.render import alert_lines, headline
from tocsin.notify.respond import from_error, json_of, judged
from tocsin.notify.texts import Worded

_RETRY_S, EXPIRE_S = 60, 3600
_TITLE, _TEXT, _URL = 250, 1024, 512


@channel("pushover")
class Pushover(Worded):
    """Pushes to a user or group."""

    address_field: ClassVar[str] = "user_key"
    rate: ClassVar[Rate] = Rate(per_s=2.0, burst=10, parallel=2)

    user_key: SecretStr
    token: SecretStr
    device: str = ""
    sound: str = ""
    api_url: str = "https://api.pushover.net/1/messages.json"

    async def send(self, message: Message, io: Io) -> Delivery:
        kind, message = message.notification.kind, self.dressed(message)
        if kind is not NotificationKind.PAGE:
            await self._stop_ringing(io)
        form: dict[str, str | int] = {
            "token": self.token.get_secret_value(),
            "user": self.user_key.get_secret_value(),
            "title": _cut(headline(message), _TITLE),
            "message": _text(message),
            "timestamp": message.started_ms // 1000,
        }
        if kind is NotificationKind.PAGE and message.severity == "critical":
            form |= {"priority": 2, "retry": _RETRY_S, "expire": EXPIRE_S}
        url = message.answer_url or message.incident_url
        if url and len(url) <= _URL:
            form |= {
                "url": url,
                "url_title": "Acknowledge" if message.ack_url else "Was it real?" if message.answer_url else "Open incident",
            }
        form |= {name: value for name, value in (("device", self.device), ("sound", self.sound)) if value}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            response = await io.http.request("POST", self.api_url, headers=headers, body=urlencode(form).encode())
        except HttpError as error:
            return from_error(error)
        answer = json_of(response)
        if response.status == 200 and answer.get("status") == 1:
            if answer.get("receipt"):
                io.refs["receipt"] = str(answer["receipt"])
            return Delivery.accepted(str(answer.get("receipt") or answer.get("request", "")), status=200)
        return judged(response, io.now_ms, "Pushover", reason=", ".join(str(error) for error in answer.get("errors", ())))

    async def _stop_ringing(self, io: Io) -> None:
        """Somebody has it, or it is over: an emergency goes on ringing for an hour otherwise. Best effort."""
        receipt = io.refs.pop("receipt", "")
        if not receipt:
            return
        body = urlencode({"token": self.token.get_secret_value()}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            await io.http.request("POST", f"{self._receipt(receipt)}/cancel.json", headers=headers, body=body)
        except HttpError:
            return

    def receipt_url(self, receipt: str) -> str:
        """Where to ask whether an emergency was acknowledged."""
        return f"{self._receipt(receipt)}.json?{urlencode({'token': self.token.get_secret_value()})}"

    def _receipt(self, receipt: str) -> str:
        return f"{self.api_url.rsplit('/', 1)[0]}/receipts/{quote(receipt, safe='')}"


def _text(message: Message) -> str:
    """Pushover makes links of the addresses in a text; one that does not fit whole is left out."""
    text = "\n".join([*message.lines, *alert_lines(message), message.why]).strip() or headline(message)
    more = f"\nSilence: {message.silence_url}" if message.silence_url else ""
    return text + more if len(text + more) <= _TEXT else _cut(text, _TEXT)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
