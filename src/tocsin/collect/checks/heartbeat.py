"""Something calls us regularly; silence is the failure."""

from __future__ import annotations

from typing import Any, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from tocsin.collect.check import Check, check
from tocsin.collect.cron import parse_cron
from tocsin.collect.fields import DurationMs
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, unsupported
from tocsin.model.duration import format_duration


@check("heartbeat")
class Heartbeat(Check):
    """A job calls `/hb/<token>` when it has run (also `/start`, `/fail`); silence fails the check after the grace time."""

    example = "{name: nightly backup, heartbeat: {period: 24h, grace: 1h}}"
    evidence = "kind of the last call, its body, run duration"

    passive = True

    period: DurationMs = Field(0, description="how often it calls; or give `cron`")
    grace: DurationMs = Field(300_000, description="how late it may be, and how long a started run may take")
    cron: str = Field("", description="when it runs, such as `0 3 * * *`")
    zone: str = Field("UTC", description="time zone of `cron`")
    token: str = Field("", repr=False, description="secret of the URL, at least 16 characters; default: one made by Tocsin")

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        text = str(value)
        return {"cron": text} if " " in text.strip() or text.startswith("@") else {"period": text}

    @field_validator("cron")
    @classmethod
    def _cron(cls, value: str) -> str:
        if value:
            parse_cron(value).next_after(0, "UTC")
        return value

    @field_validator("zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"unknown time zone {value!r}; expected an IANA name such as Europe/Paris") from None
        return value

    @model_validator(mode="after")
    def _one_rhythm(self) -> Self:
        if bool(self.period) == bool(self.cron):
            raise ValueError("give either `period` or `cron`")
        if self.token and len(self.token) < 16:
            raise ValueError("the token is the only secret of the URL: at least 16 characters")
        return self

    @property
    def target(self) -> str:
        return f"cron {self.cron} {self.zone}" if self.cron else f"every {format_duration(self.period)}"

    async def run(self, io: Io) -> Outcome:
        return unsupported("a heartbeat is called, not run; its state follows from the calls")
