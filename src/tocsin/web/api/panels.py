"""Shapes of shared panels: what is asked to be signed, and the addresses that come of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ConfigDict, Field

from tocsin.web.forms import Body
from tocsin.web.panel_link import Kind, SharedPanel

_DAY_S = 86_400


class SharedQuery(Body):
    query: str = Field(min_length=1, max_length=4000)
    name: str = Field(default="", max_length=200)
    """Of its lines; `{{label}}` is filled in."""


class NewShare(Body):
    """`from` and `to` as in addresses: `now-6h` moves with the time, RFC 3339 and ms stand still."""

    model_config = ConfigDict(populate_by_name=True)

    queries: list[SharedQuery] = Field(min_length=1, max_length=8)
    title: str = Field(default="", max_length=200)
    kind: Kind = "lines"
    unit: str = Field(default="", max_length=20)
    start: str = Field(default="now-1h", alias="from", max_length=40)
    end: str = Field(default="now", alias="to", max_length=40)
    tz: str = Field(default="UTC", max_length=64)
    limits: list[float] = Field(default_factory=list, max_length=4)
    days: int = Field(default=30, ge=1, le=365)
    """How long the addresses work."""

    def panel(self, now_ms: int) -> SharedPanel:
        return SharedPanel(
            queries=tuple((one.name, one.query) for one in self.queries),
            title=self.title,
            kind=self.kind,
            unit=self.unit,
            start=self.start,
            end=self.end,
            zone=self.tz,
            limits=tuple(limit for limit in self.limits if math.isfinite(limit)),
            until_s=now_ms // 1000 + self.days * _DAY_S,
        )


@dataclass(frozen=True, slots=True)
class SharedAddresses:
    """Both show the same, to whoever has them, until `expires_ms`."""

    picture: str
    page: str
    expires_ms: int
    framed_by: Sequence[str]
    """Who may show `page` in a frame (`web.frame_ancestors`); empty = nobody."""
