"""Notifications: one message to one person or place by one channel; the row is queue and history at once.

pending ─claim─▶ sending ─▶ accepted ─▶ delivered ─▶ read
   ▲               │ │
   └──── retry ◀───┘ ├─▶ failed (permanent)     pending ─▶ cancelled | bundled | held | expired
                     └─▶ unknown (sent, answer lost)
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class NotificationKind(enum.StrEnum):
    PAGE = "page"
    UPDATE = "update"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    TEST = "test"
    DIGEST = "digest"
    PUBLISHED = "published"
    """News of a status page, to a visitor who asked for it."""


class NotificationState(enum.StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    CANCELLED = "cancelled"
    BUNDLED = "bundled"
    HELD = "held"
    EXPIRED = "expired"

    @property
    def final(self) -> bool:
        return self not in (NotificationState.PENDING, NotificationState.SENDING, NotificationState.HELD)


@dataclass(frozen=True, slots=True)
class Notification:
    """One row of the outbox. `id` is the stable delivery id that goes to the provider (32 hex digits)."""

    id: str
    incident: int
    """0 for messages without an incident (test, digest)."""
    kind: NotificationKind
    channel: str
    address: str
    """Where to: mail address, phone, webhook name: shown to people, secrets never in it."""
    recipient: str
    """Person or receiver name."""
    due_at_ms: int
    created_ms: int
    expires_ms: int
    reason: str
    """Why this recipient, one sentence: "primary of payments, step 1 of 3"."""
    dedup_key: str
    """Unique: (incident, generation, step, loop, recipient, channel, kind, n)."""
    settings_ref: str
    """Where the channel's settings are found in the configuration: `user:ana/0`, `receiver:web/slack/0`."""
    payload: Mapping[str, Any] = field(default_factory=dict)
    """What `render` needs: a snapshot of the incident and alerts at decision time (JSON values)."""
    state: NotificationState = NotificationState.PENDING
    attempts: int = 0
    lease_until_ms: int = 0
    provider_id: str = ""
    state_reason: str = ""
    sent_ms: int = 0
    """First provider request."""
    done_ms: int = 0
    order_key: str = ""
    """Rows of one order key are sent strictly one after the other: (incident, channel, address)."""
    trace_id: str = ""


class DeliveryOutcome(enum.StrEnum):
    ACCEPTED = "accepted"
    RETRY = "retry"
    PERMANENT = "permanent"
    UNKNOWN = "unknown"
    """The request may have arrived: the answer was lost after the body was sent."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A channel's answer to one attempt."""

    outcome: DeliveryOutcome
    reason: str = ""
    """What the provider said, for people; no secrets."""
    provider_id: str = ""
    retry_after_ms: int = 0
    status: int = 0
    """HTTP or SMTP status, 0 = none."""
    delivered: bool = False
    """The provider confirmed arrival, not only acceptance."""

    @classmethod
    def accepted(cls, provider_id: str = "", *, status: int = 0, reason: str = "", delivered: bool = False) -> Delivery:
        return cls(DeliveryOutcome.ACCEPTED, reason, provider_id, 0, status, delivered)

    @classmethod
    def retry(cls, reason: str, *, after_ms: int = 0, status: int = 0) -> Delivery:
        return cls(DeliveryOutcome.RETRY, reason, "", after_ms, status)

    @classmethod
    def permanent(cls, reason: str, *, status: int = 0) -> Delivery:
        return cls(DeliveryOutcome.PERMANENT, reason, "", 0, status)

    @classmethod
    def unknown(cls, reason: str, *, status: int = 0) -> Delivery:
        return cls(DeliveryOutcome.UNKNOWN, reason, "", 0, status)


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel sends: rendered once, channel-neutral. The channel cuts to its limits and says so."""

    notification: Notification
    title: str
    """Symptom, service, magnitude; no severity prefix."""
    severity: str
    state: str
    """triggered, acknowledged, resolved, test."""
    lines: tuple[str, ...]
    """Plain sentences: how bad, since when, who is affected."""
    why: str
    """Why this recipient got it."""
    incident_url: str = ""
    ack_url: str = ""
    """Signed, expiring; GET shows a page, POST acknowledges."""
    answer_url: str = ""
    """The same page in every state: also to silence, resolve, and say whether it was real."""
    runbook_url: str = ""
    silence_url: str = ""
    visitor: Mapping[str, str] = field(default_factory=dict)
    """Of a message to a visitor of a status page: `page`, `page_title` and the addresses `page_url`, `leave_url`, perhaps
    `confirm_url`; for a webhook its `secret`."""
    chart_url: str = ""
    """The chart as an image, signed, expiring; may answer 404 when there is nothing to draw."""
    fields: tuple[tuple[str, str], ...] = ()
    alerts: tuple[Mapping[str, Any], ...] = ()
    """Alertmanager-shaped alerts for webhooks."""
    group: Mapping[str, Any] = field(default_factory=dict)
    """Webhook v4 envelope values: receiver, groupKey, groupLabels, commonLabels, ..."""
    started_ms: int = 0
    own_title: str = ""
    """The operator's headline, whole; empty = ours."""
    own_text: str = ""
    """The operator's text in the markup of the channel; stands in `lines` as well, and alerts are not listed under it."""
    possible_repeat: bool = False
