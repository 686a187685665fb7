"""SMS by Twilio, with Vonage as second provider: two failures on one and the next attempt takes the other."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, SecretStr, field_validator, model_validator

from tocsin.model.notification import Delivery, Message
from tocsin.notify.channel import Channel, Io, Rate, channel
from tocsin.notify.gsm import sms_text
from tocsin.notify.respond import json_of, judged
from tocsin.notify.twilio import create, e164, post_form

_ATTEMPTS_PER_PROVIDER = 2
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

    _number = field_validator("to")(e164)

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
        return await create(
            io.http,
            io.now_ms,
            api_url=self.api_url,
            account_sid=self.account_sid,
            auth_token=self.auth_token.get_secret_value(),
            what="Messages",
            form=form,
        )

    async def _by_vonage(self, text: str, io: Io) -> Delivery:
        form = {
            "api_key": self.vonage_key,
            "api_secret": self.vonage_secret.get_secret_value(),
            "to": self.to.lstrip("+"),
            "from": self.vonage_from or self.sender,
            "text": text,
        }
        response = await post_form(io.http, f"{self.vonage_url}/sms/json", form, {})
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
