"""Routing: the tree of Alertmanager, as typed values."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tocsin.errors import Place
from tocsin.model.labels import Matcher
from tocsin.model.recurrence import Occurrences


@dataclass(frozen=True, slots=True)
class Route:
    """A node of the routing tree; values are already inherited from the parent.

    `group_by` None = `['...']` (all labels).
    """

    id: str
    receiver: str
    matchers: tuple[Matcher, ...] = ()
    group_by: tuple[str, ...] | None = ()
    group_wait_ms: int = 30_000
    group_interval_ms: int = 300_000
    repeat_interval_ms: int = 14_400_000
    continue_: bool = False
    mute_time_intervals: tuple[str, ...] = ()
    active_time_intervals: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    critical_group_wait_ms: int | None = None
    """Set on the built-in route only: alerts of the severest level wait this long instead of `group_wait_ms`."""


@dataclass(frozen=True, slots=True)
class InhibitRule:
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class TimeRange:
    start_minute: int
    end_minute: int


@dataclass(frozen=True, slots=True)
class InclusiveRange:
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """One interval of a named `time_intervals` entry; empty fields do not restrict."""

    times: tuple[TimeRange, ...] = ()
    weekdays: tuple[InclusiveRange, ...] = ()
    """0 = Sunday."""
    days_of_month: tuple[InclusiveRange, ...] = ()
    months: tuple[InclusiveRange, ...] = ()
    years: tuple[InclusiveRange, ...] = ()
    location: str = "UTC"


@dataclass(frozen=True, slots=True)
class Destination:
    """One channel of a receiver: type and its settings (validated by the channel, secrets already resolved)."""

    channel: str
    settings: Mapping[str, Any]
    send_resolved: bool = True
    index: int = 0


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who hears of a page. A receiver with `policy` pages people; one with destinations only is a one-level policy."""

    name: str
    destinations: tuple[Destination, ...] = ()
    policy: str = ""
    place: Place = Place()
    labels: Mapping[str, str] = field(default_factory=dict)
    """For queries (`receiver_matchers` of the Alertmanager API); `name` is always among them there."""

    @property
    def tells_nobody(self) -> bool:
        """Alertmanager's idiom for "nobody": declared, with nothing in it."""
        return bool(self.place.file) and not self.destinations and not self.policy


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """Planned work, once or recurring: alerts that match are recorded, nobody is told."""

    name: str
    matchers: tuple[Matcher, ...]
    occurrences: Occurrences
    comment: str = ""
    public: str = ""
    """What status pages say of it; the name and the comment are never shown there."""
    id: str = ""
    """Of one that was made in the dashboard; empty = it stands in the file."""


@dataclass(frozen=True, slots=True)
class Routing:
    """Everything the dispatcher needs of the configuration."""

    root: Route
    receivers: Mapping[str, Receiver]
    inhibit_rules: tuple[InhibitRule, ...] = ()
    time_intervals: Mapping[str, tuple[TimeInterval, ...]] = field(default_factory=dict)
    resolve_timeout_ms: int = 300_000
    severities: tuple[str, ...] = ("info", "warning", "critical")
    """Ordered, least first."""
    original: str = ""
    """The Alertmanager part of the configuration as text, secrets redacted (API v2 status)."""
    maintenance: tuple[MaintenanceWindow, ...] = ()
    depends_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """service -> the services it stands on."""


class SilenceState(enum.StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Silence:
    id: str
    matchers: tuple[Matcher, ...]
    starts_at_ms: int
    ends_at_ms: int
    created_by: str
    comment: str
    updated_at_ms: int = 0
    annotations: Mapping[str, str] = field(default_factory=dict)

    def state(self, now_ms: int) -> SilenceState:
        if now_ms < self.starts_at_ms:
            return SilenceState.PENDING
        return SilenceState.ACTIVE if now_ms < self.ends_at_ms else SilenceState.EXPIRED
