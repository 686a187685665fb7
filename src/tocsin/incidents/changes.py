"""What can happen to an incident (changes), and what must be written when it does (effects). Plain values."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.alert import PageReason
from tocsin.model.event import SYSTEM, Actor
from tocsin.model.incident import Policy, Urgency
from tocsin.model.notification import NotificationKind

# -- changes: what happens to an incident --


@dataclass(frozen=True, slots=True)
class Fired:
    """Alerts of the group fire and are not suppressed. `severity` is the worst of them."""

    severity: str
    urgency: Urgency
    raised: bool = False
    """Worse than the incident was."""
    more_urgent: bool = False
    new_alerts: int = 0
    reason: PageReason = PageReason.FIRST
    text: str = ""


@dataclass(frozen=True, slots=True)
class Muted:
    """Every firing alert of the group is suppressed."""

    by: str


@dataclass(frozen=True, slots=True)
class Ended:
    """No alert of the group fires any more."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class FlapBegan:
    """It comes and goes: it stays open from here on, and its comings and goings are no longer told."""

    text: str


@dataclass(frozen=True, slots=True)
class FlapSettled:
    """It came and went for a while and now fires without a break."""

    text: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """A group whose receiver has a policy joined an incident that only places heard of: it leads from here on."""

    key: str
    receiver: str
    policy: Policy
    text: str


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The leading group is over while another one fires: that one leads."""

    key: str
    receiver: str
    policy: Policy
    text: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    actor: Actor


@dataclass(frozen=True, slots=True)
class Unacknowledge:
    actor: Actor


@dataclass(frozen=True, slots=True)
class Resolve:
    actor: Actor
    text: str = ""


@dataclass(frozen=True, slots=True)
class Snooze:
    actor: Actor
    until_ms: int


@dataclass(frozen=True, slots=True)
class Escalate:
    """To the next step now."""

    actor: Actor


@dataclass(frozen=True, slots=True)
class AcknowledgementTimedOut:
    pass


@dataclass(frozen=True, slots=True)
class ReminderDue:
    pass


@dataclass(frozen=True, slots=True)
class SnoozeOver:
    pass


@dataclass(frozen=True, slots=True)
class AutoResolve:
    pass


@dataclass(frozen=True, slots=True)
class StormGrew:
    """More groups have joined a storm since it was last told."""


@dataclass(frozen=True, slots=True)
class Merge:
    actor: Actor
    into: int


Change = (
    Fired
    | Muted
    | Ended
    | FlapBegan
    | FlapSettled
    | Adopted
    | HandedOver
    | Acknowledge
    | Unacknowledge
    | Resolve
    | Snooze
    | Escalate
    | AcknowledgementTimedOut
    | ReminderDue
    | SnoozeOver
    | AutoResolve
    | StormGrew
    | Merge
)

# -- effects: what must be written with it --


@dataclass(frozen=True, slots=True)
class Record:
    """A line of the timeline."""

    verb: str
    text: str
    actor: Actor = SYSTEM
    cause: str = ""


@dataclass(frozen=True, slots=True)
class CancelPages:
    """Pages that wait are no longer sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Everybody who was paged hears of it; `only` limits it to one person and the places."""

    kind: NotificationKind
    text: str
    only: str | None = None


@dataclass(frozen=True, slots=True)
class PagePerson:
    """Page one person besides (before) the policy."""

    person: str
    text: str


@dataclass(frozen=True, slots=True)
class StartTimer:
    kind: str
    due_at_ms: int


@dataclass(frozen=True, slots=True)
class StopTimers:
    pass


Effect = Record | CancelPages | Tell | PagePerson | StartTimer | StopTimers
