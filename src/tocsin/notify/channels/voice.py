"""A phone call by Twilio: the sentence is said twice, and a key answers it. A voicemail does not count as told."""

from __future__ import annotations

from typing import ClassVar
from xml.sax.saxutils import escape, quoteattr

from pydantic import Field, SecretStr, field_validator

from tocsin.model.notification import Delivery, Message
from tocsin.notify.channel import Channel, Io, Rate, channel
from tocsin.notify.render import subject_words
from tocsin.notify.twilio import create, e164

_LONGEST_SAID = 400
_RINGS_S = 30


@channel("voice")
class Voice(Channel):
    """Calls a phone."""

    address_field: ClassVar[str] = "to"
    takes_updates: ClassVar[bool] = False
    # Three calls in 15 minutes to one person.
    rate: ClassVar[Rate] = Rate(per_s=3 / 900, burst=3, parallel=1)

    to: str
    """E.164, such as +33612345678."""
    sender: str = Field(alias="from")
    account_sid: str
    auth_token: SecretStr
    answer_url: str = ""
    """Where Twilio tells which key was pressed: your external_url + /in/twilio/voice. Without it nothing can be pressed."""
    status_callback: str = ""
    """Where Twilio tells how the call went: your external_url + /in/twilio/voice/status."""
    language: str = Field(default="en-US", pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    api_url: str = "https://api.twilio.com"

    _bare = field_validator("to", "sender")(e164)

    def lane(self) -> str:
        return f"voice {self.to}"

    async def send(self, message: Message, io: Io) -> Delivery:
        form = {
            "To": self.to,
            "From": self.sender,
            "Twiml": self.twiml(message),
            "Timeout": str(_RINGS_S),
            "MachineDetection": "Enable",
        }
        if self.status_callback:
            form |= {"StatusCallback": self.status_callback, "StatusCallbackEvent": "completed"}
        return await create(
            io.http,
            io.now_ms,
            api_url=self.api_url,
            account_sid=self.account_sid,
            auth_token=self.auth_token.get_secret_value(),
            what="Calls",
            form=form,
        )

    def twiml(self, message: Message) -> str:
        """What is said, and which key means what."""
        number = message.notification.incident
        said = f"This is Tocsin. {subject_words(message)}."[:_LONGEST_SAID]
        again = " This may be a repeat." if message.possible_repeat else ""
        if not number or not self.answer_url:
            spoken = self._say(f"{said}{again}")
            return f'<Response>{spoken}<Pause length="1"/>{spoken}</Response>'
        keys = " Press 4 to acknowledge, 5 to escalate, 6 to resolve."
        action = quoteattr(f"{self.answer_url}?incident={number}")
        ask = f'<Gather numDigits="1" timeout="6" method="POST" action={action}>{self._say(said + again + keys)}</Gather>'
        return f"<Response>{ask}{ask}{self._say('No key was pressed. The page goes on to others.')}</Response>"

    def _say(self, text: str) -> str:
        return f"<Say language={quoteattr(self.language)}>{escape(text)}</Say>"
