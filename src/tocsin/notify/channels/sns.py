"""AWS SNS: Publish to a topic, a phone or an endpoint, signed with Signature Version 4."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, model_validator

from tocsin.model.notification import Delivery, Message
from tocsin.model.ports import HttpError, HttpResponse
from tocsin.notify.channel import Io, Rate, channel
from tocsin.notify.compatible import Compatible, Words, alias, cut, cut_bytes
from tocsin.notify.respond import from_error, judged
from tocsin.notify.sigv4 import Credentials, signed_headers

_MOST_BYTES, _SMS_BYTES, _SUBJECT = 256 * 1024, 1600, 100
_BUSY = {"Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "KMSThrottling", "InternalError"}
_ROLE_S = 3600
_EARLY_MS = 300_000


class SigV4(BaseModel):
    """Whose signature: a key pair, and the role that it takes if any."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    region: str = Field(min_length=1)
    access_key: str = Field(min_length=1)
    secret_key: SecretStr
    session_token: SecretStr = SecretStr("")
    role_arn: str = ""
    external_id: str = ""
    sts_url: str = ""
    """Empty = AWS's endpoint of the region."""

    @property
    def own(self) -> Credentials:
        return Credentials(self.access_key, self.secret_key.get_secret_value(), self.session_token.get_secret_value())


@channel("sns")
class Sns(Compatible):
    """Publishes to SNS."""

    address_field: ClassVar[str] = "topic_arn"
    for_programs: ClassVar[bool] = True
    rate: ClassVar[Rate] = Rate(per_s=5.0, burst=20, parallel=2)
    templated: ClassVar[tuple[str, ...]] = (
        "api_url", "topic_arn", "phone_number", "target_arn", "subject", "message", "attributes",
    )  # fmt: skip

    sigv4: SigV4
    api_url: str = ""
    """Empty = AWS's endpoint of the region."""
    topic_arn: str = ""
    phone_number: str = ""
    target_arn: str = ""
    subject: str = '{{ template "sns.default.subject" . }}'
    message: str = '{{ template "sns.default.message" . }}'
    attributes: Mapping[str, str] = Field(default_factory=dict)
    _role: dict[str, tuple[int, Credentials]] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _one_way(self) -> Sns:
        if sum(1 for way in (self.topic_arn, self.phone_number, self.target_arn) if way) != 1:
            raise ValueError("expected one of topic_arn, phone_number and target_arn")
        return self

    def lane(self) -> str:
        return f"sns {self.sigv4.region}"

    async def send(self, message: Message, io: Io) -> Delivery:
        who = await self._credentials(io)
        if isinstance(who, Delivery):
            return who
        words = self.words(message)
        url = words.value(self.api_url) or f"https://sns.{self.sigv4.region}.{_domain(self.sigv4.region)}/"
        response = await self._call(url, self.form(message, words, io.host), who, "sns", io)
        if isinstance(response, Delivery):
            return response
        if response.status == 200 and (found := _tag("MessageId", response)):
            return Delivery.accepted(found, status=200)
        return _judged(response, io.now_ms, "SNS")

    def form(self, message: Message, words: Words, host: str) -> dict[str, str]:
        """The fields of Publish, within the limits of SNS."""
        form = {"Action": "Publish", "Version": "2010-03-31"}
        if self.topic_arn:
            form["TopicArn"] = topic = words.value(self.topic_arn)
            if topic.endswith(".fifo"):
                # Alertmanager repeats the group's hash here, and SNS then swallows every further message for five minutes, an
                # end among them. The id of the delivery folds repeats of the same message only.
                form |= {"MessageDeduplicationId": message.notification.id, "MessageGroupId": alias(message, host)}
        form |= {"PhoneNumber": words.value(self.phone_number)} if self.phone_number else {}
        form |= {"TargetArn": words.value(self.target_arn)} if self.target_arn else {}
        text, limit = words.body(self.message), _SMS_BYTES if self.phone_number else _MOST_BYTES
        attributes = {str(name): str(value) for name, value in words.values(self.attributes).items()}
        if len(text.encode()) > limit:
            attributes["truncated"] = "true"
        form["Message"] = cut_bytes(text, limit) or " "
        if subject := _subject(words.title(self.subject) if self.subject else ""):
            form["Subject"] = subject
        for number, (name, value) in enumerate(sorted(attributes.items()), 1):
            entry = f"MessageAttributes.entry.{number}"
            form |= {f"{entry}.Name": name, f"{entry}.Value.DataType": "String", f"{entry}.Value.StringValue": value}
        return form

    async def _credentials(self, io: Io) -> Credentials | Delivery:
        """The keys to sign with: our own, or those of the role for the next hour."""
        if not self.sigv4.role_arn:
            return self.sigv4.own
        until_ms, kept = self._role.get("role", (0, self.sigv4.own))
        if io.now_ms < until_ms:
            return kept
        form = {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleArn": self.sigv4.role_arn,
            "RoleSessionName": "tocsin",
            "DurationSeconds": str(_ROLE_S),
        }
        if self.sigv4.external_id:
            form["ExternalId"] = self.sigv4.external_id
        url = self.sigv4.sts_url or f"https://sts.{self.sigv4.region}.{_domain(self.sigv4.region)}/"
        response = await self._call(url, form, self.sigv4.own, "sts", io)
        if isinstance(response, Delivery):
            return response
        parts = [_tag(name, response) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
        if response.status != 200 or not all(parts):
            return _judged(response, io.now_ms, "AWS STS")
        self._role["role"] = (io.now_ms + _ROLE_S * 1000 - _EARLY_MS, Credentials(*parts))
        return self._role["role"][1]

    async def _call(self, url: str, form: Mapping[str, str], who: Credentials, service: str, io: Io) -> HttpResponse | Delivery:
        body = urlencode(form).encode()
        plain = {"Content-Type": "application/x-www-form-urlencoded"}
        headers = signed_headers(url, plain, body, who=who, region=self.sigv4.region, service=service, now_ms=io.now_ms)
        try:
            return await io.http.request("POST", url, headers=headers, body=body)
        except HttpError as error:
            return from_error(error)


def _judged(response: HttpResponse, now_ms: int, name: str) -> Delivery:
    code = _tag("Code", response)
    reason = f"{code}: {_tag('Message', response)}" if code else ""
    if code in _BUSY:
        # AWS says "too many" with a 400.
        return Delivery.retry(f"{name}: HTTP {response.status} {reason}", status=response.status)
    return judged(response, now_ms, name, reason=reason)


def _tag(name: str, response: HttpResponse) -> str:
    """The text of the first element of this name in AWS's small XML answers."""
    found = re.search(rf"<{name}>([^<]*)</{name}>", response.body.decode(errors="replace"))
    return found[1] if found else ""


def _subject(text: str) -> str:
    """SNS refuses subjects that are not printable ASCII, or of 100 characters and more, or that begin with a blank."""
    plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in " ".join(text.split()))
    return plain if len(plain) < _SUBJECT else cut(plain, _SUBJECT - 3).rstrip("…") + "..."


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
