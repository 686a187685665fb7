"""Texts of an operator's own: Go templates over Alertmanager's data, as `alertmanager.yml` gives them for a receiver.

They are read when the configuration is (TemplateError: refused with its place). One that fails while it runs is logged, and
our own text goes out in its place: a page is sent all the same.
"""

from __future__ import annotations

import base64
import datetime as dt
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Self

import orjson
from pydantic import Field, model_validator

from tocsin.formats.goformat import go_text
from tocsin.formats.gotemplate import Limits, Template, TemplateError, compile_template
from tocsin.formats.gotemplate_numbers import humanize_duration
from tocsin.formats.gotemplate_text import TEXT_FUNCTIONS, Moment, Span
from tocsin.log import get_log
from tocsin.model.notification import Message
from tocsin.notify.channel import Channel
from tocsin.notify.named import BUILT_IN
from tocsin.notify.render import html_body
from tocsin.notify.wire import webhook_body

log = get_log("notify.texts")

LIMITS = Limits(steps=20_000, output=100_000, depth=20)
PLAIN_STATES = ("acknowledged", "test", "digest")
"""News that Alertmanager does not know, so that no template is written for it."""

Clean = Callable[[str], str]


class Worded(Channel):
    """A channel whose texts may be the operator's own."""

    texts: Mapping[str, str] = Field(default_factory=dict)
    """Go templates by part of the message; parts without one are written by Tocsin."""
    text_library: Mapping[str, str] = Field(default_factory=dict)
    """Files of `templates:` by name: what the texts may call."""

    @model_validator(mode="after")
    def _readable(self) -> Self:
        for part, text in self.texts.items():
            try:
                compile_text(text, self.text_library)
            except TemplateError as error:
                raise ValueError(f"{part}: not a template that Tocsin can run: {error}") from None
        return self

    def worded(self, part: str, message: Message, *, clean: Clean = str) -> str:
        """The operator's text for this part; empty = say it in our own words. `clean` is applied to labels and annotations."""
        text = self.texts.get(part, "")
        if not text or not message.alerts or message.state in PLAIN_STATES:
            return ""
        try:
            now = functions_at(message.notification.created_ms)
            return compile_text(text, self.text_library).run(data_of(message, clean), functions=now, limits=LIMITS).strip()
        except Exception as error:  # whatever a template does, the page goes out
            log.error("a template of a receiver failed; the plain text is sent", channel=self.type, part=part, problem=str(error))
            return ""

    def dressed(self, message: Message, *, clean: Clean = str) -> Message:
        """The message with the operator's `title` and `text` in place of ours, where there are any."""
        title, text = self.worded("title", message), self.worded("text", message, clean=clean)
        lines = (text,) if text else message.lines
        return replace(message, own_title=" ".join(title.split()), own_text=text, lines=lines)


def compile_text(text: str, library: Mapping[str, str]) -> Template:
    """Raises TemplateError; its message names what of Go's language or of the functions is not known."""
    return _compiled(text, tuple(library.items()))


@lru_cache(maxsize=256)
def _compiled(text: str, library: tuple[tuple[str, str], ...]) -> Template:
    return compile_template(text, _FUNCTIONS, library={"": BUILT_IN, **dict(library)})


# -- the data -------------------------------------------------------------------------------------------------------------


class Struct(dict[str, Any]):
    """A Go struct: an unknown field is an error."""

    def template_field(self, name: str) -> Any:
        return self[name]


class Pairs(list[Struct]):
    """Sorted labels or annotations."""

    def template_field(self, name: str) -> Any:
        return {"Names": [pair["Name"] for pair in self], "Values": [pair["Value"] for pair in self]}[name]


class Texts(dict[str, str]):
    """Labels or annotations: a missing one is the empty text."""

    def template_field(self, name: str) -> Any:
        pairs = Pairs(Struct(Name=key, Value=self[key]) for key in sorted(self, key=lambda key: (key != "alertname", key)))
        match name:
            case "SortedPairs":
                return pairs
            case "Names" | "Values":
                return pairs.template_field(name)
            case "Remove":
                return self._without
        return self.get(name, "")

    def _without(self, names: Iterable[str]) -> Texts:
        gone = set(names)
        return Texts({key: value for key, value in self.items() if key not in gone})


class Alerts(list[Struct]):
    def template_field(self, name: str) -> Any:
        return {"Firing": self._of("firing"), "Resolved": self._of("resolved")}[name]

    def _of(self, status: str) -> Alerts:
        return Alerts(alert for alert in self if alert["Status"] == status)


def data_of(message: Message, clean: Clean = str) -> Struct:
    """What a template is run over: the fields of Alertmanager's webhook, in Go's names, with their methods."""
    body = webhook_body(message)

    def texts(values: Mapping[str, Any]) -> Texts:
        return Texts({str(key): clean(str(value)) for key, value in values.items()})

    alerts = Alerts(
        Struct(
            Status=alert["status"],
            Labels=texts(alert["labels"]),
            Annotations=texts(alert["annotations"]),
            StartsAt=_moment(alert["startsAt"]),
            EndsAt=_moment(alert["endsAt"]),
            GeneratorURL=clean(alert["generatorURL"]),
            Fingerprint=alert["fingerprint"],
        )
        for alert in body["alerts"]
    )
    return Struct(
        Receiver=body["receiver"],
        Status=body["status"],
        Alerts=alerts,
        GroupLabels=texts(body["groupLabels"]),
        CommonLabels=texts(body["commonLabels"]),
        CommonAnnotations=texts(body["commonAnnotations"]),
        ExternalURL=body["externalURL"],
        GroupKey=body["groupKey"],
        TruncatedAlerts=body["truncatedAlerts"],
        NotificationReason=body["notification_reason"],
        TocsinTitle=clean(message.title),
        TocsinLines=[clean(line) for line in message.lines],
        TocsinHTML=html_body(message),
        TocsinURL=message.incident_url,
        TocsinAcknowledgeURL=message.ack_url,
        TocsinSilenceURL=message.silence_url,
    )


def _moment(text: str) -> Moment:
    return Moment(dt.datetime.fromisoformat(text.replace("Z", "+00:00")))


def functions_at(now_ms: int) -> dict[str, Callable[..., Any]]:
    """The functions that know what time it is: the moment at which the message was decided."""
    now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
    return {"now": lambda: Moment(now), "since": lambda moment: Span(now.timestamp() - moment.timestamp())}


# -- functions ------------------------------------------------------------------------------------------------------------

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **TEXT_FUNCTIONS,
    **functions_at(0),
    "join": lambda separator, items: separator.join(map(go_text, items)),
    "trimSpace": lambda text: text.strip(),
    "stringSlice": lambda *items: list(items),
    "list": lambda *items: list(items),
    "append": lambda items, *more: [*items, *more],
    "safeUrl": lambda text: text,
    "urlUnescape": lambda text: urllib.parse.unquote_plus(text),
    "date": lambda layout, moment: moment.template_field("Format")(layout),
    "tz": lambda name, moment: moment.in_zone(name),
    "base64encode": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64decode": lambda text: base64.urlsafe_b64decode(text).decode(),
    "dict": lambda *items: dict(zip(items[::2], items[1::2], strict=True)),
    "humanizeDuration": lambda value: humanize_duration(value.seconds if isinstance(value, Span) else value),
    "toJson": lambda value: orjson.dumps(value, default=go_text, option=orjson.OPT_NON_STR_KEYS).decode(),
}
