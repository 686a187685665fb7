"""A mail to a visitor who follows a status page: what was published, and a way to leave that needs no sign-in.

It says nothing of incidents, people or hosts of ours, and its log says nothing of the visitor.
"""

from __future__ import annotations

from dataclasses import replace
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from typing import ClassVar

from tocsin.model.notification import Delivery, Message
from tocsin.notify.channel import Io, Rate
from tocsin.notify.channels.email import Email, bare, one_line

_SUBJECT_LIMIT = 200
_BUTTON = "display:inline-block;padding:10px 16px;border-radius:6px;background:#33415c;color:#ffffff;text-decoration:none"
_SMALL = "margin:24px 0 0;font-size:13px;color:#5b6577"


class VisitorMail(Email):
    """Not among the channels of people: nobody is paged this way. A lane of its own, so that many of them delay no page."""

    rate: ClassVar[Rate] = Rate(per_s=5.0, burst=10, parallel=2)

    def lane(self) -> str:
        return f"visitors {self.smarthost}"

    async def send(self, message: Message, io: Io) -> Delivery:
        answer = await self.post(compose(message, sender=self.sender, recipient=self.to, host=io.host), io)
        # Mail servers repeat the address in what they answer.
        return replace(answer, reason=answer.reason.replace(bare(self.to), "this address"))


def compose(message: Message, *, sender: str, recipient: str, host: str) -> EmailMessage:
    """The mail, with the header fields of RFC 8058: mail programs offer to leave by one click."""
    visitor, note = message.visitor, message.notification
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = Address(addr_spec=bare(recipient))
    mail["Subject"] = one_line(f"{visitor['page_title']}: {message.title}")[:_SUBJECT_LIMIT]
    mail["Message-ID"] = f"<{note.id}@{host}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["Precedence"] = "bulk"
    if not visitor.get("confirm_url"):
        mail["List-Unsubscribe"] = f"<{visitor['leave_url']}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(_text(message))
    mail.add_alternative(_html(message), subtype="html")
    return mail


def _text(message: Message) -> str:
    visitor = message.visitor
    if confirm := visitor.get("confirm_url"):
        return "\n\n".join([*message.lines, f"Confirm: {confirm}", f"Status page: {visitor['page_url']}"]) + "\n"
    ways = [f"Status page: {visitor['page_url']}", f"{message.why} To stop: {visitor['leave_url']}"]
    return "\n\n".join([message.title, *message.lines, *ways]) + "\n"


def _html(message: Message) -> str:
    visitor, confirm = message.visitor, message.visitor.get("confirm_url", "")
    lines = "".join(f"<p dir='auto'>{escape(line)}</p>" for line in message.lines)
    url, word = (confirm, "Confirm") if confirm else (visitor["page_url"], "Open the status page")
    leave = "" if confirm else f" <a href='{escape(visitor['leave_url'], quote=True)}'>Stop these mails</a>"
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='color-scheme' content='light dark'></head>"
        "<body style='font-family:sans-serif;line-height:1.5'>"
        f"<p style='margin:0;font-size:13px'>{escape(visitor['page_title'])}</p>"
        f"<h1 dir='auto' style='margin:4px 0 12px;font-size:20px'>{escape(message.title)}</h1>{lines}"
        f"<p><a href='{escape(url, quote=True)}' style='{_BUTTON}'>{word}</a></p>"
        f"<p style='{_SMALL}'>{escape(message.why)}{leave}</p></body></html>"
    )
