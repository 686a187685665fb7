"""What the receivers of alertmanager.yml have in common whose request is Alertmanager's own: Go templates in their settings.

A channel's settings carry Alertmanager's keys; the ones that may hold templates are run over each message. News that
Alertmanager does not know (an acknowledgement, a test) are said in Tocsin's words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, model_validator

from tocsin.formats.gotemplate import TemplateError
from tocsin.log import get_log
from tocsin.model.notification import Message, NotificationKind
from tocsin.notify.channel import Channel
from tocsin.notify.render import headline, text_body
from tocsin.notify.texts import LIMITS, PLAIN_STATES, Struct, compile_text, data_of, functions_at

log = get_log("notify.compatible")


class Compatible(Channel):
    """A channel with templates in its settings."""

    # YAML makes a number of an agent or department that is written as one.
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True, coerce_numbers_to_str=True
    )
    templated: ClassVar[tuple[str, ...]] = ()
    """Settings that may hold templates, at any depth."""

    text_library: Mapping[str, str] = Field(default_factory=dict)
    """Files of `templates:` by name: what the templates may call."""

    @model_validator(mode="after")
    def _readable(self) -> Compatible:
        for name in self.templated:
            for text in texts_in(getattr(self, name)):
                try:
                    compile_text(text, self.text_library)
                except TemplateError as error:
                    raise ValueError(f"{name}: not a template that Tocsin can run: {error}") from None
        return self

    def words(self, message: Message) -> Words:
        return Words(message, self.text_library, self.type)


def texts_in(value: Any) -> list[str]:
    """Every text inside a setting, keys of maps included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for pair in value.items() for part in pair for text in texts_in(part)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in texts_in(item)]
    return []


class Words:
    """One message as templates see it. A template that fails is logged, and the page goes out without it."""

    def __init__(self, message: Message, library: Mapping[str, str], channel: str) -> None:
        self._message = message
        self._library = library
        self._channel = channel
        self._data: Struct | None = None

    @property
    def plain(self) -> bool:
        """Whether no template is written for this news."""
        return self._message.state in PLAIN_STATES or not self._message.alerts

    @property
    def over(self) -> bool:
        return self._message.notification.kind is NotificationKind.RESOLVED

    def title(self, template: str) -> str:
        """A line: the template's text, or our headline."""
        return headline(self._message) if self.plain else self.value(template, otherwise=headline(self._message))

    def body(self, template: str) -> str:
        """The whole message: the template's text, or ours."""
        return text_body(self._message) if self.plain else self.value(template, otherwise=text_body(self._message))

    def value(self, template: str, *, otherwise: str = "") -> str:
        """A setting with its templates run."""
        if "{{" not in template:
            return template
        if self._data is None:
            self._data = data_of(self._message)
        try:
            now = functions_at(self._message.notification.created_ms)
            return compile_text(template, self._library).run(self._data, functions=now, limits=LIMITS)
        except Exception as error:  # whatever a template does, the page goes out
            log.error("a template of a receiver failed", channel=self._channel, template=template[:80], problem=str(error))
            return otherwise

    def values(self, setting: Any) -> Any:
        """A setting of any depth with its templates run, map keys included."""
        if isinstance(setting, str):
            return self.value(setting)
        if isinstance(setting, Mapping):
            return {self.value(str(key)): self.values(item) for key, item in setting.items()}
        if isinstance(setting, list | tuple):
            return [self.values(item) for item in setting]
        return setting


def alias(message: Message, host: str) -> str:
    """The name under which a provider folds repeats and finds what to close: Alertmanager's hash of the group key.

    Alerts that are open there when Alertmanager is replaced by Tocsin are thus closed by Tocsin.
    """
    note = message.notification
    key = "" if note.kind is NotificationKind.TEST else str(message.group.get("group_key", ""))
    return hashlib.sha256((key or f"tocsin/{host}/{note.incident or note.id}").encode()).hexdigest()


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, with a mark that something is missing."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def cut_bytes(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, with a mark that something is missing."""
    raw = text.encode()
    return text if len(raw) <= limit else raw[: limit - 3].decode(errors="ignore") + "…"


def items_of(text: str) -> list[str]:
    """Entries between commas; empty ones are left out."""
    return [item for item in text.strip().split(",") if item]
