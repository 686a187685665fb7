"""E-mail: text and HTML, one thread per incident, one message per recipient."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from typing import ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from tocsin.model.notification import Delivery, Message, NotificationKind
from tocsin.notify.channel import Io, Rate, channel
from tocsin.notify.render import html_body, subject, text_body
from tocsin.notify.texts import Worded

_MAILBOX = re.compile(r"^[^\s<>\"(),:;@\\]+@[^\s<>\"(),:;@\\]+$")
_LABEL = re.compile(r"[^A-Za-z0-9]+")
_SUBJECT_LIMIT = 300
_CHART_WITHIN_S = 0.3
"""A mail cannot be edited: the chart is in it when it is drawn by then, else its link."""
_CHART_ID = "chart@tocsin"
_LARGEST_CHART = 200_000
_PLAIN_PORTS = {465: "tls", 587: "starttls"}


@channel("email")
class Email(Worded):
    """A mail to one address through your own mail server."""

    address_field: ClassVar[str] = "to"
    idempotent: ClassVar[bool] = True
    news_every_ms: ClassVar[int] = 300_000
    rate: ClassVar[Rate] = Rate(per_s=10.0, burst=50, parallel=8)

    to: str
    sender: str = Field(default="tocsin@localhost", alias="from")
    smarthost: str = "localhost:25"
    """host:port"""
    security: Literal["auto", "starttls", "tls", "none"] = "auto"
    """auto = implicit TLS on port 465, STARTTLS on 587, otherwise as `require_tls` says."""
    require_tls: bool = False
    auth_username: str = ""
    auth_password: SecretStr = SecretStr("")

    @field_validator("to", "sender")
    @classmethod
    def _one_mailbox(cls, value: str) -> str:
        bare = value[value.rfind("<") + 1 :].rstrip("> ") if "<" in value else value.strip()
        if any(c in value for c in "\r\n\0") or not _MAILBOX.match(bare):
            raise ValueError("expected one mail address such as ana@example.com")
        return value

    @field_validator("smarthost")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError("expected host:port of the mail server")
        return value

    def lane(self) -> str:
        return f"email {self.smarthost}"

    async def send(self, message: Message, io: Io) -> Delivery:
        own = {
            "subject": self.worded("subject", message),
            "text": self.worded("text", message),
            "html": self.worded("html", message, clean=escape),
        }
        image = await io.picture.png(_CHART_WITHIN_S)
        return await self.post(compose(message, sender=self.sender, recipient=self.to, host=io.host, own=own, chart=image), io)

    async def post(self, mail: EmailMessage, io: Io) -> Delivery:
        """Hand a mail to the mail server."""
        host, _, port = self.smarthost.rpartition(":")
        answer = await io.smtp.send(
            host=host.strip("[]"),
            port=int(port),
            security=self._security(int(port)),
            username=self.auth_username,
            password=self.auth_password.get_secret_value(),
            sender=bare(self.sender),
            recipient=bare(self.to),
            message=mail.as_bytes(),
        )
        text = " ".join(answer.text.split())[:300]
        if 200 <= answer.code < 300:
            return Delivery.accepted(str(mail["Message-ID"]), status=answer.code, reason=text)
        if answer.code >= 500:
            return Delivery.permanent(f"mail server refused: {answer.code} {text}", status=answer.code)
        if answer.code == 0 and answer.sent:
            return Delivery.unknown(f"the mail server did not confirm: {text}")
        return Delivery.retry(f"mail server: {answer.code or ''} {text}".strip(), status=answer.code)

    def _security(self, port: int) -> str:
        if self.security != "auto":
            return self.security
        return _PLAIN_PORTS.get(port) or ("starttls" if self.require_tls else "none")


def compose(
    message: Message, *, sender: str, recipient: str, host: str, own: Mapping[str, str] | None = None, chart: bytes = b""
) -> EmailMessage:
    """The mail. The Message-ID is that of the delivery, so that a repeat is the same mail to every client.

    `own`: the operator's subject, text and html in place of ours; the ways to answer stand under them all the same.
    `chart`: a PNG that is shown in our HTML.
    """
    own = own or {}
    notification = message.notification
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = Address(addr_spec=bare(recipient)) if "<" not in recipient else recipient
    mail["Subject"] = one_line(own.get("subject") or subject(message))[:_SUBJECT_LIMIT]
    mail["Message-ID"] = f"<{notification.id}@{host}>"
    if notification.incident:
        # The root needs not exist: clients thread by the reference alone.
        root = f"<incident-{notification.incident}@{host}>"
        mail["In-Reply-To"] = root
        mail["References"] = root
    if service := _LABEL.sub("-", str(dict(message.fields).get("service", ""))).strip("-")[:60]:
        mail["List-Id"] = f"<{service.lower()}.incidents.{host}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Tocsin-Delivery"] = notification.id
    mail["X-Tocsin-Kind"] = notification.kind.value
    if notification.kind is NotificationKind.PAGE and message.severity == "critical":
        mail["Importance"] = "high"
    ways = [(name, url) for name, url in (("Acknowledge", message.ack_url), ("Incident", message.incident_url)) if url]
    text, page = own.get("text", ""), own.get("html", "")
    if text:
        text = "\n".join([text, "", *(f"{name}: {url}" for name, url in ways)]) + "\n"
    if page:
        page += "<p>" + " ".join(f'<a href="{escape(url)}">{name}</a>' for name, url in ways) + "</p>"
    mail.set_content(text or text_body(message))
    if page or not chart or len(chart) > _LARGEST_CHART:
        mail.add_alternative(page or html_body(message), subtype="html")
        return mail
    mail.add_alternative(html_body(message, chart_src=f"cid:{_CHART_ID}"), subtype="html")
    html = list(mail.iter_parts())[-1]
    assert isinstance(html, EmailMessage)
    html.add_related(chart, maintype="image", subtype="png", cid=f"<{_CHART_ID}>", filename="chart.png", disposition="inline")
    return mail


def one_line(text: str) -> str:
    """Header text: control characters (a CR LF in a label) become spaces, so that no header can be injected."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def bare(mailbox: str) -> str:
    """The address alone: `Ana <ana@example.com>` -> `ana@example.com`."""
    return mailbox[mailbox.rfind("<") + 1 :].rstrip("> ") if "<" in mailbox else mailbox.strip()
