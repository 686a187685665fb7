"""Checks: what is configured, what one execution saw, and the state that follows.

PENDING ──first result──▶ UP ◀──successes──┐
                          │ failure         │
                          ▼                 │
                      (confirming) ──failures──▶ DOWN
any ──own network blind, agent silent──▶ UNKNOWN        any ──by a person──▶ PAUSED
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tocsin.model.labels import EMPTY_LABELS, Labels


class CheckState(enum.StrEnum):
    PENDING = "pending"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"
    PAUSED = "paused"


class CheckReason(enum.StrEnum):
    """Why a result is as it is."""

    OK = "ok"
    SLOW = "slow"
    TIMEOUT = "timeout"
    DNS = "dns_failure"
    REFUSED = "connection_refused"
    RESET = "connection_reset"
    UNREACHABLE = "unreachable"
    TLS = "tls_error"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_EXPIRES_SOON = "certificate_expires_soon"
    EXPIRES_SOON = "expires_soon"
    STATUS = "unexpected_status"
    BODY = "unexpected_body"
    PROTOCOL = "protocol_error"
    AUTHENTICATION = "authentication_failed"
    QUERY = "query_failed"
    UNEXPECTED_ANSWER = "unexpected_answer"
    HEARTBEAT_MISSED = "heartbeat_missed"
    HEARTBEAT_FAILED = "heartbeat_reported_failure"
    MANUAL = "set_by_person"
    FORBIDDEN_TARGET = "forbidden_target"
    UNSUPPORTED = "unsupported_here"
    BLIND = "monitor_blind"
    INTERNAL = "internal_error"


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of a probe: resolve, connect, tls, processing (to the first byte), transfer."""

    name: str
    ms: float


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one execution of a check saw. A failed check is a value.

    `facts` hold evidence for people and API: status, body excerpt, certificate chain, query answer (JSON values, secrets
    masked). `samples` are further metrics by name (labels inside the name are not allowed; give (name, labels, value)).
    """

    check_id: str
    started_ms: int
    duration_ms: float
    ok: bool
    reason: CheckReason
    message: str
    phases: tuple[Phase, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    samples: tuple[tuple[str, Mapping[str, str], float], ...] = ()
    degraded: bool = False
    """It answered, but not as it should (slow, certificate expires soon): ok stays True."""
    unknown: bool = False
    """The probe could not judge (blind, unsupported here): counts neither as success nor as failure."""
    location: str = "local"
    attempt: int = 1
    """1 for the scheduled run, 2.. for the confirming re-checks."""
    start_lag_ms: float = 0.0
    manual_by: str = ""
    """Name of the person who asked for this run, empty for scheduled ones."""


@dataclass(frozen=True, slots=True)
class CheckAlert:
    """A check's `alert:` block; expands to an ordinary alert rule."""

    severity: str = "critical"
    for_ms: int = 0
    annotations: Mapping[str, str] = field(default_factory=dict)
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """Definition of one check. `settings` are the type's own fields, already validated, as JSON values."""

    id: str
    """Stable: a slug of the name; unique."""
    name: str
    type: str
    settings: Mapping[str, Any]
    target: str
    """What is probed, for people and for the `instance` label."""
    every_ms: int = 60_000
    timeout_ms: int = 10_000
    failures: int = 3
    """Failures in a row before DOWN; the first one counts. Re-checks follow after 5 s and 10 s."""
    successes: int = 2
    """Successes in a row before UP again."""
    labels: Labels = EMPTY_LABELS
    alert: CheckAlert = CheckAlert()
    locations: tuple[str, ...] = ("local",)
    paused: bool = False
    source: str = ""
    """`file:line` of the declaration, or `ui` for one added in the dashboard."""
    runbook: str = ""


@dataclass(frozen=True, slots=True)
class CheckStatus:
    """State of one check."""

    check_id: str
    state: CheckState
    since_ms: int
    reason: CheckReason = CheckReason.OK
    message: str = ""
    consecutive_failures: int = 0
    consecutive_successes: int = 0
    last_ms: int = 0
    last_ok_ms: int = 0
    next_ms: int = 0
