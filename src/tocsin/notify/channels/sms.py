"""SMS by Twilio, with Vonage as second provider: two failures on one and the next attempt takes the other."""

from __future__ import annotations

import base64
import re
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from pydantic import Field, SecretStr, field_validator, model_validator

from tocsin.model.notification import Delivery, Message
from tocsin.model.ports import HttpError, HttpResponse
from tocsin.notify.channel import Channel, Io, Rate, channel
from tocsin.notify.gsm import sms_text
from tocsin.notify.respond import from_error, json_of, judged

_NUMBER = re.compile(r"^\+[1-9]\d{6,14}$")
_ATTEMPTS_PER_PROVIDER = 2
# Twilio's codes of numbers that will never take this message: invalid, opted out, no such sender, landline, blocked.
_TWILIO_FINAL = {21211, 21610, 21612, 21614, 21408, 21606, 20003}
_VONAGE_RETRY = {"1", "5", "10"}


@channel("sms")
class Sms(Channel):
    """One GSM-7 segment to a phone."""

    address_field: ClassVar[str] = "to"
    takes_updates: ClassVar[bool] = False
    rate: ClassVar[Rate] = Rate(per_s=1.0, burst=3, parallel=2)

    to: str
    """E.164, such as +33612345678."""
    sender: str = Field(default="", alias="from")
    account_sid: str = ""
    auth_token: SecretStr = SecretStr("")
    messaging_service_sid: str = ""
    status_callback: str = ""
    """Where Twilio sends delivery reports: your external_url + /in/twilio/status."""
    api_url: str = "https://api.twilio.com"
    vonage_key: str = ""
    vonage_secret: SecretStr = SecretStr("")
    vonage_from: str = ""
    vonage_url: str = "https://rest.nexmo.com"

    @field_validator("to")
    @classmethod
    def _number(cls, value: str) -> str:
        bare = re.sub(r"[\s().-]", "", value)
        if not _NUMBER.match(bare):
            raise ValueError("expected a phone number with country code such as +33612345678")
        return bare

    @model_validator(mode="after")
    def _some_provider(self) -> Sms:
        if not self._providers():
            raise ValueError("expected account_sid, auth_token and from (Twilio), or vonage_key, vonage_secret and vonage_from")
        return self

    def lane(self) -> str:
        return f"sms {self.account_sid or self.vonage_key}"

    async def send(self, message: Message, io: Io) -> Delivery:
        providers = self._providers()
        turn = message.notification.attempts // _ATTEMPTS_PER_PROVIDER
        return await getattr(self, f"_by_{providers[turn % len(providers)]}")(sms_text(message), io)  # type: ignore[no-any-return]

    def _providers(self) -> list[str]:
        found = []
        if self.account_sid and self.auth_token.get_secret_value() and (self.sender or self.messaging_service_sid):
            found.append("twilio")
        if self.vonage_key and self.vonage_secret.get_secret_value() and (self.vonage_from or self.sender):
            found.append("vonage")
        return found

    async def _by_twilio(self, text: str, io: Io) -> Delivery:
        form = {"To": self.to, "Body": text}
        form |= {"MessagingServiceSid": self.messaging_service_sid} if self.messaging_service_sid else {"From": self.sender}
        if self.status_callback:
            form["StatusCallback"] = self.status_callback
        login = base64.b64encode(f"{self.account_sid}:{self.auth_token.get_secret_value()}".encode()).decode()
        url = f"{self.api_url}/2010-04-01/Accounts/{quote(self.account_sid)}/Messages.json"
        response = await _post_form(io, url, form, {"Authorization": f"Basic {login}"})
        if isinstance(response, Delivery):
            return response
        answer = json_of(response)
        if response.status == 201 and answer.get("sid"):
            return Delivery.accepted(str(answer["sid"]), status=201, reason=f"Twilio: {answer.get('status', 'accepted')}")
        code = answer.get("code", 0)
        if code in _TWILIO_FINAL:
            return Delivery.permanent(f"Twilio {code}: {answer.get('message', '')}", status=response.status)
        return judged(response, io.now_ms, "Twilio", reason=f"{code or ''} {answer.get('message', '')}".strip())

    async def _by_vonage(self, text: str, io: Io) -> Delivery:
        form = {
            "api_key": self.vonage_key,
            "api_secret": self.vonage_secret.get_secret_value(),
            "to": self.to.lstrip("+"),
            "from": self.vonage_from or self.sender,
            "text": text,
        }
        response = await _post_form(io, f"{self.vonage_url}/sms/json", form, {})
        if isinstance(response, Delivery):
            return response
        parts = json_of(response).get("messages")
        if response.status != 200 or not isinstance(parts, list) or not parts:
            return judged(response, io.now_ms, "Vonage")
        # HTTP 200 says nothing: every part has a status of its own.
        refused = [part for part in parts if str(part.get("status")) != "0"]
        if not refused:
            return Delivery.accepted(str(parts[0].get("message-id", "")), status=200, reason="Vonage: accepted")
        text = f"Vonage {refused[0].get('status')}: {refused[0].get('error-text', '')}"
        return Delivery.retry(text, status=200) if str(refused[0].get("status")) in _VONAGE_RETRY else Delivery.permanent(text)


async def _post_form(io: Io, url: str, form: dict[str, Any], headers: dict[str, str]) -> HttpResponse | Delivery:
    all_headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    try:
        return await io.http.request("POST", url, headers=all_headers, body=urlencode(form).encode())
    except HttpError as error:
        return from_error(error)
