"""Slack: by incoming webhook (post only), or by bot token (one message per incident, edited in place, news in its thread)."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import SecretStr, field_validator, model_validator

from tocsin.model.notification import Delivery, Message, NotificationKind
from tocsin.model.ports import HttpResponse
from tocsin.notify.answers import VERDICTS
from tocsin.notify.attach import slack_upload
from tocsin.notify.channel import Io, Rate, channel, fold
from tocsin.notify.render import alert_lines, headline
from tocsin.notify.respond import excerpt, json_of, judged, post_json, retry_after_ms
from tocsin.notify.texts import Worded
from tocsin.notify.threads import GUEST

HEADER_LIMIT, SECTION_LIMIT, BUDGET = 150, 3000, 12_000
_WAIT_AND_TRY = {"ratelimited", "rate_limited", "service_unavailable", "internal_error", "fatal_error", "request_timeout"}


@channel("slack")
class Slack(Worded):
    """Posts to an incoming webhook (`api_url`), or as an app (`bot_token` and `channel`)."""

    address_field: ClassVar[str] = "channel"
    url_field: ClassVar[str] = "api_url"
    illustrates: ClassVar[bool] = True
    threads: ClassVar[bool] = True
    news_every_ms: ClassVar[int] = 30_000
    rate: ClassVar[Rate] = Rate(per_s=1.0, burst=3, parallel=1)

    api_url: SecretStr = SecretStr("")
    """The incoming webhook's URL (a secret)."""
    bot_token: SecretStr = SecretStr("")
    """`xoxb-...`, with the scope chat:write."""
    channel: str = ""
    """Channel or user id or name; with a webhook only shown to people."""
    user_id: str = ""
    """Slack's id of this person (`U...`): whose button presses count as theirs."""
    interactive: bool = False
    """Buttons act in Slack (needs interactivity, or Socket Mode, which sets it); otherwise they are links."""
    app_token: SecretStr = SecretStr("")
    """`xapp-...`, with the scope connections:write: Socket Mode, said once under `channels: slack:`."""
    web_api: str = "https://slack.com/api"

    @field_validator("app_token")
    @classmethod
    def _app_level(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not value.get_secret_value().startswith("xapp-"):
            raise ValueError("expected an app-level token (xapp-...); the bot's token (xoxb-...) is bot_token")
        return value

    @field_validator("api_url")
    @classmethod
    def _http(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("expected the https URL of an incoming webhook")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Slack:
        if not self.api_url.get_secret_value() and not (self.bot_token.get_secret_value() and (self.channel or self.user_id)):
            raise ValueError("expected api_url (incoming webhook), or bot_token and channel")
        return self

    def lane(self) -> str:
        return f"slack {self.channel or self.user_id or fold(self.api_url.get_secret_value())}"

    async def send(self, message: Message, io: Io) -> Delivery:
        if self.bot_token.get_secret_value():
            return await self._send_as_app(message, io)
        body = self._body(message)
        response = await post_json(io.http, self.api_url.get_secret_value(), body)
        return response if isinstance(response, Delivery) else _of_webhook(response, io.now_ms)

    def _body(self, message: Message, *, interactive: bool = False) -> dict[str, Any]:
        # The header is plain text: nothing in it can mention or link. In the text the labels are escaped, its own markup is not.
        title = self.worded("title", message)
        text = self.worded("text", message, clean=escape)
        shown = blocks(message, interactive=interactive, title=title, text=text)
        return {"text": cut(escape(title or headline(message)), SECTION_LIMIT), "blocks": shown}

    # -- as an app --

    async def _send_as_app(self, message: Message, io: Io) -> Delivery:
        """The first message of an incident is its root; later ones edit the root and say the news in its thread.

        An incident that was told in the message of another (a storm) has all its news in that one's thread.
        """
        body = self._body(message, interactive=self.interactive or bool(self.app_token.get_secret_value()))
        root = io.refs.get("ts", "")
        if not root:
            answer = await self._call("chat.postMessage", {"channel": self.channel or self.user_id, **body}, io)
            if isinstance(answer, Delivery):
                return answer
            io.refs.update(ts=answer["ts"], channel=answer["channel"])
            return Delivery.accepted(str(answer["ts"]), status=200, delivered=True)
        if io.refs.get(GUEST):
            return await self._reply(message, io, body)
        edited = await self._call("chat.update", {"channel": io.refs["channel"], "ts": root, **body}, io)
        if isinstance(edited, Delivery):
            if "message_not_found" not in edited.reason:
                return edited
            # Somebody deleted the root: begin anew.
            io.refs.pop("ts")
            return await self._send_as_app(message, io)
        return await self._reply(message, io, {"text": cut(escape(_news(message)), SECTION_LIMIT)})

    async def _reply(self, message: Message, io: Io, said: dict[str, Any]) -> Delivery:
        where = {
            "channel": io.refs["channel"],
            "thread_ts": io.refs["ts"],
            "reply_broadcast": message.notification.kind is NotificationKind.PAGE,
        }
        reply = await self._call("chat.postMessage", {**said, **where}, io)
        return reply if isinstance(reply, Delivery) else Delivery.accepted(str(reply["ts"]), status=200, delivered=True)

    async def illustrate(self, message: Message, io: Io, image: bytes) -> str:
        """The chart in the thread; an incoming webhook cannot carry files."""
        token, root = self.bot_token.get_secret_value(), io.refs.get("ts", "")
        if not token or not root:
            return ""
        return await slack_upload(
            io.http, web_api=self.web_api, token=token, channel=io.refs["channel"], thread=root, image=image, title=message.title
        )

    async def _call(self, method: str, body: dict[str, Any], io: Io) -> dict[str, Any] | Delivery:
        """One Web API call. HTTP 200 with ok=false is Slack's normal way to refuse."""
        headers = {"Authorization": f"Bearer {self.bot_token.get_secret_value()}"}
        response = await post_json(io.http, f"{self.web_api}/{method}", body, headers=headers)
        if isinstance(response, Delivery):
            return response
        answer = json_of(response)
        if answer.get("ok") is True and "ts" in answer and "channel" in answer:
            return answer
        error = str(answer.get("error", ""))
        if response.status != 200 or not error:
            return judged(response, io.now_ms, "Slack")
        if error in _WAIT_AND_TRY:
            return Delivery.retry(f"Slack: {error}", after_ms=retry_after_ms(response, io.now_ms), status=200)
        return Delivery.permanent(f"Slack refused: {error}", status=200)


def _of_webhook(response: HttpResponse, now_ms: int) -> Delivery:
    if response.status == 200 and response.body.strip() == b"ok":
        return Delivery.accepted(status=200, delivered=True)
    if 200 <= response.status < 400:
        # A captive portal or proxy answered; Slack says `ok` and nothing else.
        return Delivery.retry(f"not Slack's answer: HTTP {response.status} {excerpt(response.body)}", status=response.status)
    return judged(response, now_ms, "Slack")


# -- the message --


def blocks(message: Message, *, interactive: bool = False, title: str = "", text: str = "") -> list[dict[str, Any]]:
    """Block Kit within Slack's limits; texts are cut, never the buttons. `title` and `text` (mrkdwn) stand in place of ours."""
    out: list[dict[str, Any]] = [{"type": "header", "text": _plain(title or headline(message), HEADER_LIMIT)}]
    body = text or escape("\n".join([*message.lines, *alert_lines(message)]))
    out.append({"type": "section", "text": {"type": "mrkdwn", "text": cut(body or " ", SECTION_LIMIT)}})
    context = " - ".join(part for part in (message.why, "(may be a repeat)" if message.possible_repeat else "") if part)
    if context:
        out.append({"type": "context", "elements": [{"type": "mrkdwn", "text": cut(escape(context), SECTION_LIMIT)}]})
    if buttons := (_action_buttons(message) if interactive else []) + link_buttons(message, with_ack=not interactive):
        out.append({"type": "actions", "elements": buttons})
    return out


_BUTTONS = {
    "acknowledge": ("Acknowledge", "primary"),
    "escalate": ("Escalate", ""),
    "silence": ("Silence 1 h", ""),
    "resolve": ("Resolve", "danger"),
    "real": ("Real", ""),
    "noise": ("Noise", ""),
    "duplicate": ("Duplicate", ""),
}
_OFFERED = {
    "triggered": ("acknowledge", "escalate", "silence", "resolve"),
    "acknowledged": ("escalate", "silence", "resolve"),
    "resolved": VERDICTS,
}
"""What can be answered to an incident in each state."""


def _action_buttons(message: Message) -> list[dict[str, Any]]:
    if not message.notification.incident:
        return []
    number = str(message.notification.incident)
    named = [(action, *_BUTTONS[action]) for action in _OFFERED.get(message.state, ())]
    return [
        {"type": "button", "action_id": action, "value": number, "text": _plain(text, 75)} | ({"style": style} if style else {})
        for action, text, style in named
    ]


def link_buttons(message: Message, *, with_ack: bool = True) -> list[dict[str, Any]]:
    links = [
        ("ack", "Acknowledge", message.ack_url if with_ack else ""),
        ("open", "Open incident", message.incident_url),
        (
            "answer",
            "Was it real?" if message.state == "resolved" else "Silence, resolve ...",
            message.answer_url if with_ack else "",
        ),
        ("runbook", "Runbook", message.runbook_url),
        ("silence", "Silence", message.silence_url if with_ack else ""),  # an app silences by itself
        ("chart", "Chart", message.chart_url if with_ack else ""),  # an app shows the chart itself, in the thread
    ]
    buttons: list[dict[str, Any]] = []
    for action, text, url in links:
        if url and len(url) <= 3000:
            buttons.append({"type": "button", "action_id": f"link_{action}", "text": _plain(text, 75), "url": url})
    if buttons and message.state == "triggered" and with_ack:
        buttons[0]["style"] = "primary"
    return buttons


def _news(message: Message) -> str:
    first = message.lines[0] if message.lines else message.title
    return f"{headline(message)}\n{first}" if message.notification.kind is NotificationKind.PAGE else first


def escape(text: str) -> str:
    """Slack's three control characters: after this a label cannot mention a channel or forge a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, not inside an escape, with a mark that something is missing."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    ampersand = kept.rfind("&")
    if ampersand >= 0 and ";" not in kept[ampersand:]:
        kept = kept[:ampersand]
    return kept + "…"


def _plain(text: str, limit: int) -> dict[str, Any]:
    # plain_text is shown as it is; only line breaks would spoil a header.
    return {"type": "plain_text", "text": cut(" ".join(text.split()) or " ", limit), "emoji": False}
