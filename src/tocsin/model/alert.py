"""Alerts: the state of one label set of one rule, and what the dispatcher is told."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.model.labels import Labels


class Verdict(enum.StrEnum):
    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


class AlertPhase(enum.StrEnum):
    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    CLEARING = "clearing"


class AlertReason(enum.StrEnum):
    """Why the state machine moved, or did not."""

    BECAME_TRUE = "became_true"
    HOLD_MET = "hold_met"
    STILL_TRUE = "still_true"
    BECAME_FALSE = "became_false"
    HOLD_UNREACHABLE = "hold_unreachable"
    KEEP_FIRING = "keep_firing_for"
    CLEAR_HELD = "clear_condition_held"
    KEPT_UNKNOWN = "kept_because_unknown"
    UNKNOWN_TOO_LONG = "unknown_too_long"
    TARGET_BLIND = "target_blind"
    NO_DATA = "no_data"
    FLAPPING = "flapping"
    AFTER_DEPLOY = "waits_after_deploy"
    WAITS_FOR_PARENT = "waits_for_what_it_depends_on"
    UNREACHABLE = "unreachable"
    """What it depends on is down: it is counted there, and nobody is told of it."""
    PARENT_RECOVERED = "what_it_depends_on_has_recovered"
    ON_PROBATION = "on_probation"
    RULE_REMOVED = "rule_removed"
    RULE_CHANGED = "rule_changed"
    LOST = "no_data_for_a_day"


@dataclass(frozen=True, slots=True)
class AlertState:
    """State of one label set of one rule. Times in ms, 0 = never."""

    rule_id: str
    labels: Labels
    """Rule labels and `alertname` included; what the alert is known by."""
    phase: AlertPhase
    active_at_ms: int
    """First TRUE of this spell (Prometheus's activeAt)."""
    fired_at_ms: int = 0
    keep_firing_since_ms: int = 0
    resolved_at_ms: int = 0
    last_true_ms: int = 0
    unknown_since_ms: int = 0
    value: float = 0.0
    annotations: Mapping[str, str] = field(default_factory=dict)
    reason: AlertReason = AlertReason.BECAME_TRUE
    history: int = 0
    """Last evaluations as bits, newest lowest: 1 = TRUE (m-of-n)."""
    evaluations: int = 0
    flapping_since_ms: int = 0
    note: str = ""
    """Why it is held open or not told, for a person; empty where nothing needs saying."""
    below: Labels | None = None
    """The alert that it stands behind while it is unreachable."""
    held_since_ms: int = 0
    """True long enough to fire, but kept back since."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One move of the state machine that somebody outside must hear of or that history must keep."""

    rule_id: str
    labels: Labels
    before: AlertPhase
    after: AlertPhase
    at_ms: int
    reason: AlertReason
    value: float
    annotations: Mapping[str, str]
    active_at_ms: int


@dataclass(frozen=True, slots=True)
class Alert:
    """What the dispatcher knows of one label set; Alertmanager's alert.

    Firing while `ends_at_ms` is 0 or in the future. `timeout` marks an end that was assumed (sender named none).
    """

    labels: Labels
    annotations: Mapping[str, str]
    starts_at_ms: int
    ends_at_ms: int = 0
    updated_at_ms: int = 0
    timeout: bool = False
    generator_url: str = ""
    source: str = ""
    """`rule:<id>`, `api:<who>`, `heartbeat:<id>`, `pagerduty:<key>`."""
    value: float | None = None

    def firing(self, now_ms: int) -> bool:
        return self.ends_at_ms == 0 or self.ends_at_ms > now_ms

    @property
    def fingerprint(self) -> str:
        return self.labels.fingerprint_hex()


class Suppression(enum.StrEnum):
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    MUTED = "muted"
    MAINTENANCE = "maintenance"
    DEPENDENCY = "dependency"
    """A service that the alert's own service depends on is in trouble."""


@dataclass(frozen=True, slots=True)
class SuppressedBy:
    """Why an alert is not told: the kind and what did it (silence id, source fingerprint, interval name)."""

    kind: Suppression
    by: str


NO_SEVERITY = "none"
"""What fires on purpose, all the time, says so (Watchdog, InfoInhibitor): told where a route asks for it, and nobody's work."""


class PageReason(enum.StrEnum):
    """Why a group is told now; the texts are Alertmanager's `notification_reason`."""

    FIRST = "first notification"
    NEW_ALERTS = "new alerts added"
    SOME_RESOLVED = "some alerts resolved"
    ALL_RESOLVED = "all alerts resolved"
    REPEAT = "repeat interval elapsed"
    UNSUPPRESSED = "suppression ended"
    SUPPRESSED = "all alerts suppressed"
    """Nobody is told; who is being paged for this group need not be any more."""


@dataclass(frozen=True, slots=True)
class Page:
    """A group of alerts that one receiver should hear of now, and why.

    `firing` and `resolved` hold the alerts of the group that are not suppressed; `suppressed` the others with their causes.
    """

    receiver: str
    group_key: str
    group_labels: Labels
    route_id: str
    reason: PageReason
    firing: tuple[Alert, ...]
    resolved: tuple[Alert, ...]
    suppressed: tuple[tuple[Alert, tuple[SuppressedBy, ...]], ...] = ()
    decided_ms: int = 0
    trace_id: str = ""
    """Follows one alert through every stage, log line and notification."""
