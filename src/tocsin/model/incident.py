"""Incidents: what people work on; and the people.

triggered ◀──────────────┐ ack timeout, severity raised
  │ ack   snooze         │
  ▼         ▼            │
acknowledged  snoozed ───┘
  └────── resolved (by source or person) ──reopen window──▶ triggered
suppressed: open, every alert muted, no timers    merged: lives on in another incident
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.model.labels import EMPTY_LABELS, Labels

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Days of the week as people write them; the place is the number, Monday 0."""


class IncidentState(enum.StrEnum):
    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    SUPPRESSED = "suppressed"
    RESOLVED = "resolved"
    MERGED = "merged"

    @property
    def open(self) -> bool:
        return self not in (IncidentState.RESOLVED, IncidentState.MERGED)


class Urgency(enum.StrEnum):
    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class ContactMethod:
    """One way to reach a person. Declared in the operator's file = verified."""

    id: str
    channel: str
    address: str
    settings: Mapping[str, object] = field(default_factory=dict)
    verified: bool = True


@dataclass(frozen=True, slots=True)
class NotificationRule:
    """Use `method` this long after the person is paged, for pages of this urgency."""

    method: str
    delay_ms: int = 0
    urgency: Urgency = Urgency.HIGH


@dataclass(frozen=True, slots=True)
class QuietHours:
    start_minute: int
    end_minute: int
    time_zone: str = "UTC"
    allow_severities: tuple[str, ...] = ("critical",)
    days: tuple[int, ...] = ()
    """Days on which they begin, 0 = Monday; empty = every day."""
    own: bool = False
    """Set by the person in the dashboard; else they stand in the operator's file."""


@dataclass(frozen=True, slots=True)
class Person:
    """A user as the paging stages see one."""

    name: str
    full_name: str = ""
    email: str = ""
    time_zone: str = "UTC"
    methods: tuple[ContactMethod, ...] = ()
    rules: tuple[NotificationRule, ...] = ()
    quiet_hours: QuietHours | None = None


class TargetKind(enum.StrEnum):
    USER = "user"
    SCHEDULE = "schedule"
    TEAM = "team"
    DESTINATION = "destination"
    """A channel of a receiver rather than a person."""
    ROUND_ROBIN = "round_robin"


@dataclass(frozen=True, slots=True)
class Target:
    kind: TargetKind
    name: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyStep:
    targets: tuple[Target, ...]
    delay_ms: int = 300_000
    """How long this step waits for an acknowledgement before the next one."""
    min_severity: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """An escalation policy; `final` is paged when every step and repeat has passed without an answer."""

    name: str
    steps: tuple[PolicyStep, ...]
    repeat: int = 2
    final: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True)
class Incident:
    """One row of work. `version` counts changes; a command carries the version it saw."""

    number: int
    key: str
    """Dedup key: (receiver, group key); an open incident is unique under it."""
    generation: int
    title: str
    severity: str
    urgency: Urgency
    state: IncidentState
    receiver: str
    policy: Policy
    group_labels: Labels = EMPTY_LABELS
    service: str = ""
    created_ms: int = 0
    acknowledged_ms: int = 0
    acknowledged_by: str = ""
    resolved_ms: int = 0
    resolved_by: str = ""
    snoozed_until_ms: int = 0
    step: int = 0
    """Index of the step to execute next."""
    loop: int = 0
    next_escalation_at_ms: int = 0
    """0 = no timer runs."""
    reopen_count: int = 0
    updated_ms: int = 0
    version: int = 1
    trace_id: str = ""
