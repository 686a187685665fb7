"""What people answer in Slack, PagerDuty and by SMS: signatures checked, persons recognised, commands done. Runs in the core.

    web /in/<channel> ──raw body and headers──▶ command `inbound` ──verified──▶ incident.acknowledge, escalate, resolve

A signature is an HMAC over the raw body, compared in constant time; Slack's timestamps may be five minutes old, and no body is
taken twice. Who is not a person of the configuration may press what they like: nothing happens, and they are told.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from tocsin.bus.wire import Args
from tocsin.clock import Clock
from tocsin.errors import CommandError
from tocsin.log import get_log
from tocsin.metrics import Counter
from tocsin.model.event import Actor
from tocsin.model.ports import Http
from tocsin.notify.answers import Answers, number_of
from tocsin.notify.inbound import Report, twilio_call_report, twilio_report
from tocsin.notify.settings import ChannelSettings
from tocsin.notify.slack_actions import SlackActions

log = get_log("inbound")

refused_total = Counter(
    "tocsin_callbacks_refused_total", "Callbacks that were forged, too old or came twice.", ["channel", "reason"]
)

_OLDEST_MS = 300_000
_REMEMBERED = 4096
_PAGERDUTY_EVENTS = {"incident.acknowledged": "acknowledge", "incident.resolved": "resolve"}
_SMS = re.compile(r"\s*([AERSTND])\s*#?(\d{1,9})\s*", re.IGNORECASE)
_KEYS = {"4": "acknowledge", "5": "escalate", "6": "resolve"}
_SAID = {"acknowledge": "Acknowledged", "escalate": "The next ones are called", "resolve": "Resolved"}
_SMS_ACTIONS = {
    "A": "acknowledge", "E": "escalate", "R": "resolve", "S": "silence", "T": "real", "N": "noise", "D": "duplicate",
}  # fmt: skip

Command = Callable[[str, Args, Actor], Awaitable[Any]]


class Inbound:
    """The handler of the command `inbound`. Secrets are read from the channels' defaults each time, so a reload counts."""

    def __init__(
        self,
        *,
        settings: Callable[[], ChannelSettings],
        command: Command,
        clock: Clock,
        report: Callable[[Report], Awaitable[bool]],
        http: Http,
    ) -> None:
        """`command(name, args, actor)` runs another core command, such as incident.acknowledge.

        `report` takes delivery reports; `http` carries answers to who pressed a button.
        """
        self._settings = settings
        self._command = command
        self._answers = Answers(settings=settings, command=command)
        self.slack_actions = SlackActions(answers=self._answers, http=http)
        self._clock = clock
        self._report = report
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, args: Args, actor: Actor) -> Any:
        """{channel, body (latin-1), headers, url}. Raises CommandError 401 for a wrong signature, 404 without a secret."""
        handlers = {
            "slack": self._slack,
            "pagerduty": self._pagerduty,
            "twilio": self._twilio,
            "twilio/status": self._twilio_status,
            "twilio/voice": self._voice,
            "twilio/voice/status": self._voice_status,
        }
        handler = handlers.get(str(args["channel"]))
        if handler is None:
            raise CommandError(404, "not_set_up", "callbacks of this service are not set up")
        return await handler(str(args["body"]).encode("latin-1"), args["headers"], str(args.get("url", "")), actor.address)

    def _secret(self, channel: str, name: str) -> str:
        value = self._settings().defaults.get(channel, {}).get(name, "")
        secret = value.get_secret_value() if hasattr(value, "get_secret_value") else str(value or "")
        if not secret:
            raise CommandError(404, "not_set_up", f"callbacks of {channel} are not set up: its {name} is not configured")
        return secret

    def _once(self, channel: str, signature: str) -> None:
        """Raises CommandError 401 for a body that came before."""
        if signature in self._seen:
            raise self._refused(channel, "replayed", "this callback was taken already")
        self._seen[signature] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def _refused(self, channel: str, reason: str, text: str) -> CommandError:
        """Counted and logged: an administrator should know that somebody tries, or that a secret is wrong."""
        refused_total.inc(channel, reason)
        log.warning("refused a callback", channel=channel, reason=text)
        return CommandError(401, reason, text)

    # -- Slack --

    async def _slack(self, body: bytes, headers: Mapping[str, str], _url: str, address: str) -> Any:
        stamp, signature = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
        if not slack_signed(self._secret("slack", "signing_secret"), stamp, body, signature, self._clock.now_ms()):
            raise self._refused("slack", "bad_signature", "the signature is not Slack's, or too old")
        self._once("slack", signature)
        payload = _object(dict(parse_qsl(body.decode(errors="replace"))).get("payload", "{}"))
        said = await self.slack_actions.obey(payload, address)
        return {"response_type": "ephemeral", "replace_original": False, "text": said} if said else {}

    # -- PagerDuty --

    async def _pagerduty(self, body: bytes, headers: Mapping[str, str], _url: str, address: str) -> Any:
        signatures = headers.get("x-pagerduty-signature", "")
        if not pagerduty_signed(self._secret("pagerduty", "webhook_secret"), body, signatures):
            raise self._refused("pagerduty", "bad_signature", "the signature is not PagerDuty's")
        if signatures in self._seen:
            return {}  # Sent again because our answer came late: any refusal would count against the subscription.
        event = _object(body).get("event")
        if isinstance(event, dict) and (found := pagerduty_answer(event)):
            verb, number, who = found
            try:
                await self._command(f"incident.{verb}", {"number": number}, Actor("integration", who, "pagerduty", address))
            except CommandError as error:
                if error.status >= 500:
                    raise  # PagerDuty tries for two days.
                log.warning("PagerDuty's answer has no effect", verb=verb, incident=number, reason=str(error))
        self._once("pagerduty", signatures)
        return {}

    # -- SMS --

    async def _twilio(self, body: bytes, headers: Mapping[str, str], url: str, address: str) -> Any:
        form, signature = self._twilio_form("/in/twilio", body, headers, url)
        self._once("twilio", f"{signature}{form.get('MessageSid', '')}")
        found = _SMS.fullmatch(form.get("Body", ""))
        if found is None:
            return _twiml(
                "Answer a letter and the number, such as A42: A acknowledge, E escalate, R resolve, S silence 1 h, N noise"
            )
        number = re.sub(r"[^\d+]", "", form.get("From", ""))
        person = self._answers.person("sms", lambda method: re.sub(r"[^\d+]", "", method.address) == number)
        return _twiml(await self._answers.do(person, _SMS_ACTIONS[found[1].upper()], int(found[2]), "sms", address) or "Done.")

    async def _twilio_status(self, body: bytes, headers: Mapping[str, str], url: str, _address: str) -> Any:
        """A delivery report. Twilio repeats them and so may others: a state never goes back, so there is nothing to replay."""
        form, _ = self._twilio_form("/in/twilio/status", body, headers, url)
        found = twilio_report(form)
        if found is not None:
            await self._report(found)
        return {}

    async def _voice(self, body: bytes, headers: Mapping[str, str], url: str, address: str) -> Any:
        """A key pressed in a call of ours: `To` is the person's phone, the incident stands in the signed address."""
        form, signature = self._twilio_form("/in/twilio/voice", body, headers, url, channel="voice")
        self._once("voice", f"{signature}{form.get('CallSid', '')}")
        answer, number = _KEYS.get(form.get("Digits", "")), number_of(dict(parse_qsl(urlsplit(url).query)).get("incident", ""))
        if answer is None or number is None:
            return _spoken("That key means nothing here. Good bye.")
        called = re.sub(r"[^\d+]", "", form.get("To", ""))
        person = self._answers.person("voice", lambda method: re.sub(r"[^\d+]", "", method.address) == called)
        return _spoken(await self._answers.do(person, answer, number, "voice", address) or f"{_SAID[answer]}. Good bye.")

    async def _voice_status(self, body: bytes, headers: Mapping[str, str], url: str, _address: str) -> Any:
        form, _ = self._twilio_form("/in/twilio/voice/status", body, headers, url, channel="voice")
        found = twilio_call_report(form)
        if found is not None:
            await self._report(found)
        return {}

    def _twilio_form(
        self, path: str, body: bytes, headers: Mapping[str, str], url: str, *, channel: str = "sms"
    ) -> tuple[dict[str, str], str]:
        """The form and its signature, which covers the public URL. Raises CommandError 401."""
        form = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        signature, token = headers.get("x-twilio-signature", ""), self._secret(channel, "auth_token")
        query = urlsplit(url).query
        public = self._settings().external_url.rstrip("/") + path + (f"?{query}" if query else "")
        if not (twilio_signed(token, public, form, signature) or twilio_signed(token, url, form, signature)):
            raise self._refused("twilio", "bad_signature", "the signature is not Twilio's")
        return form, signature


def slack_signed(secret: str, stamp: str, body: bytes, signature: str, now_ms: int) -> bool:
    """`v0=` HMAC-SHA256 over `v0:timestamp:body`; not older than five minutes. Source: Slack, "Verifying requests"."""
    if not stamp.isdecimal() or abs(now_ms - int(stamp) * 1000) > _OLDEST_MS:
        return False
    wanted = "v0=" + hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode(), signature.encode())


def pagerduty_signed(secret: str, body: bytes, signatures: str) -> bool:
    """One of the comma-separated `v1=` HMAC-SHA256 over the body. Source: PagerDuty, "Verifying webhook signatures"."""
    wanted = "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return any(hmac.compare_digest(wanted.encode(), each.strip().encode()) for each in signatures.split(","))


def twilio_signed(token: str, url: str, form: Mapping[str, str], signature: str) -> bool:
    """Base64 of HMAC-SHA1 over the URL and the sorted fields. Source: Twilio, "Validating requests"."""
    text = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    wanted = base64.b64encode(hmac.digest(token.encode(), text.encode(), "sha1"))
    return hmac.compare_digest(wanted, signature.encode())


def incident_of_key(key: str) -> int | None:
    """Our incident behind a dedup key such as `tocsin/<host>/42`."""
    found = re.fullmatch(r"tocsin/.*/(\d{1,9})", key)
    return int(found[1]) if found else None


def pagerduty_answer(event: Mapping[str, Any]) -> tuple[str, int, str] | None:
    """(verb, incident, who) of a webhook's event; None = nothing for us, or an echo of what we told PagerDuty ourselves."""
    verb = _PAGERDUTY_EVENTS.get(str(event.get("event_type", "")))
    data, agent, client = ((value if isinstance(value, dict) else {}) for value in map(event.get, ("data", "agent", "client")))
    number = incident_of_key(str(data.get("incident_key", "")))
    ours = str(client.get("name", "")) == "Tocsin" or "integration" in str(agent.get("type", ""))
    if verb is None or number is None or ours:
        return None
    return verb, number, str(agent.get("summary") or "PagerDuty")


def _object(text: str | bytes) -> dict[str, Any]:
    """A JSON object; empty when it is none."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _spoken(text: str) -> dict[str, str]:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Response><Say>{escape(text)}</Say><Hangup/></Response>'
    return {"content_type": "text/xml", "body": body}


def _twiml(text: str) -> dict[str, str]:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Response><Message>{escape(text)}</Message></Response>'
    return {"content_type": "text/xml", "body": body}
