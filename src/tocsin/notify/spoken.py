"""What a message said: the text of what left for the provider, kept for the log of notifications.

    channel.send ──request or mail──▶ Heard ──▶ provider
                                        └──text_of──▶ masked ──▶ notification_texts

It is taken from the wire, so it is true for every channel and every template of the operator's. Never kept: headers, addresses
(they hold keys), the channel's secrets, links that act without a sign-in, and codes that prove who reads an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from email import message_from_bytes, policy
from typing import Any
from urllib.parse import parse_qsl

import orjson
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.engine import Connection

from tocsin.model.notification import Message
from tocsin.model.ports import Http, HttpResponse, Smtp, SmtpAnswer, Way
from tocsin.model.secrets import HIDDEN, without
from tocsin.notify.channel import Channel, Io
from tocsin.notify.render import headline, text_body
from tocsin.state.prepared import Prepared
from tocsin.state.schema import notification_texts

LONGEST = 8_000
KEEP_MS = 90 * 86_400_000
MOST_KEPT = 20_000
"""Texts: 160 MB at the very worst, some MB where pages are pages."""
_SHORTEST = 6
_CODES = "code/"
"""How the keys of messages begin that carry a code (incidents/contacts.py)."""

_ACTS = re.compile(r"(/(?:ack|charts|leave|confirm)/)[^\s\"'<>()\\|&]+")
_SECRET_NAMES = re.compile(
    r"(?i)^(?:.*(?:token|secret|password|api_?key|integration_?key)|routing_key|user_?key|authorization|user)$"
)
_PROSE = frozenset(
    (
        "text",
        "title",
        "content",
        "body",
        "message",
        "summary",
        "description",
        "subject",
        "fallback",
        "pretext",
        "markdown",
        "html",
        "name",
        "value",
    )
)
_LOOKS = frozenset(
    (
        "type", "style", "action_id", "emoji", "color", "themecolor", "block_id", "short", "wrap", "weight", "size", "version",
        "$schema", "parse_mode", "mrkdwn", "disable_web_page_preview", "channel", "ts", "thread_ts", "chat_id",
        "reply_broadcast", "contenttype", "spacing", "issubtle", "url", "callback_data",
    )
)  # fmt: skip


class Heard:
    """Listens to what one attempt sends."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, bytes]] = []
        """(media type, body) of requests that carried something, in their order; a mail as message/rfc822."""

    def listening(self, io: Io) -> Io:
        return replace(io, http=_ListeningHttp(io.http, self), smtp=_ListeningSmtp(io.smtp, self))


class _ListeningHttp:
    def __init__(self, http: Http, heard: Heard) -> None:
        self._http, self._heard = http, heard

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
        way: Way | None = None,
    ) -> HttpResponse:
        if body and method != "GET":
            kind = next((value for name, value in (headers or {}).items() if name.lower() == "content-type"), "")
            self._heard.parts.append((kind, body))
        return await self._http.request(method, url, headers=headers, body=body, timeout_s=timeout_s, way=way)


class _ListeningSmtp:
    def __init__(self, smtp: Smtp, heard: Heard) -> None:
        self._smtp, self._heard = smtp, heard

    async def send(self, *, message: bytes, **how: Any) -> SmtpAnswer:
        self._heard.parts.append(("message/rfc822", message))
        return await self._smtp.send(message=message, **how)


# -- text ---------------------------------------------------------------------------------------------------------------


def spoken(heard: Heard, channel: Channel, message: Message) -> str:
    """The text of an attempt, masked and bounded. A way that is not ours to listen to (Apprise) says the plain text."""
    if message.notification.dedup_key.startswith(_CODES):
        return f"{headline(message)}\n\nA code to be entered by {message.notification.recipient}; it is not kept."
    texts = [text for kind, body in heard.parts if (text := text_of(kind, body, whole=channel.for_programs))]
    # A message in several requests (an edit and a line in the thread) repeats itself: each text once.
    found = "\n\n".join(dict.fromkeys(texts)) or text_body(message)
    return _bounded(masked(found, secrets_of(channel)))


def text_of(kind: str, body: bytes, *, whole: bool = False) -> str:
    """What a person would read of one request. `whole`: for programs, all fields with their names."""
    kind = kind.partition(";")[0].strip().lower()
    if kind == "message/rfc822":
        return _of_mail(body)
    if kind.startswith("multipart/"):
        return ""  # a picture that follows
    if kind == "application/x-www-form-urlencoded":
        return "\n".join(_said(dict(parse_qsl(body.decode("utf-8", "replace")))))
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace").strip()
    if whole:
        return orjson.dumps(_without_secrets(value), option=orjson.OPT_INDENT_2).decode()
    return "\n".join(dict.fromkeys(_said(value)))


def _of_mail(body: bytes) -> str:
    mail = message_from_bytes(body, policy=policy.default)
    part = mail.get_body(preferencelist=("plain", "html"))
    text = str(part.get_content()) if part is not None else ""
    return f"Subject: {mail['subject']}\n\n{text}".strip()


def _said(value: Any, name: str = "") -> Iterator[str]:
    """The sentences of a chat message, in its order; what only says how it looks is left out."""
    if isinstance(value, Mapping):
        if "action_id" in value:  # a button of Slack's: only its words
            value = {"text": value.get("text")}
        for key, inner in value.items():
            if str(key).lower() not in _LOOKS and not _SECRET_NAMES.match(str(key)):
                yield from _said(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _said(inner, name)
    elif isinstance(value, str) and value.strip():
        yield value.strip() if name.lower() in _PROSE or not name else f"{name}: {value.strip()}"


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: HIDDEN if _SECRET_NAMES.match(str(key)) else _without_secrets(inner) for key, inner in value.items()}
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value


def masked(text: str, secrets: Iterable[str]) -> str:
    """Without the given secrets and without links that act for whoever has them."""
    text = without(text, secrets, shortest=_SHORTEST)
    return _ACTS.sub(rf"\1{HIDDEN}", text)


def secrets_of(channel: Channel) -> Iterator[str]:
    """Every secret among a channel's settings."""
    return (one.get_secret_value() for one in _secrets(dict(channel)))


def _secrets(value: Any) -> Iterator[SecretStr]:
    if isinstance(value, SecretStr):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secrets(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets(inner)


def _bounded(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\0", "").strip()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… ({len(text) - LONGEST} more characters)"


# -- keeping ------------------------------------------------------------------------------------------------------------

_VALUES: dict[str, Any] = {"t_ms": sa.bindparam("now"), "template": sa.bindparam("by"), "body": sa.bindparam("said")}
_SAID = Prepared(sa.insert(notification_texts).values(notification=sa.bindparam("of"), **_VALUES))
_SAID_AGAIN = Prepared(
    sa.update(notification_texts).where(notification_texts.c.notification == sa.bindparam("of")).values(**_VALUES)
)


def template_of(channel: Channel) -> str:
    """Which parts of the message are the operator's own words: `text, title`; empty = all of it is Tocsin's."""
    return ", ".join(sorted(getattr(channel, "texts", {})))


def keep(tx: Connection, notification: str, body: str, template: str, now_ms: int) -> None:
    """What the latest attempt said."""
    values = {"of": notification, "now": now_ms, "by": template, "said": body}
    if not _SAID_AGAIN.run(tx, **values):
        _SAID.run(tx, **values)


def prune(tx: Connection, now_ms: int) -> None:
    """Old texts go, and of very many the oldest; who was told, when and how it went stays."""
    c = notification_texts.c
    enough = sa.select(c.t_ms).order_by(c.t_ms.desc()).offset(MOST_KEPT).limit(1)
    oldest = tx.execute(enough).scalar() or 0
    tx.execute(sa.delete(notification_texts).where(c.t_ms <= max(oldest, now_ms - KEEP_MS)))
