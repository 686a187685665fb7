"""What `/api/tocsin/v1` answers, as values. `ui/src/lib/api.ts` repeats these names; a test keeps the two equal.

Instants are ms UTC (`_ms`), 0 = never. Orjson writes these dataclasses as they are; the OpenAPI document is made from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.web.api.check_shapes import CheckRow, LabelMap

Trend = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class User:
    name: str
    full_name: str
    role: str


@dataclass(frozen=True, slots=True)
class Problem:
    place: str
    path: str
    message: str
    warning: bool


@dataclass(frozen=True, slots=True)
class Session:
    user: User
    csrf: str
    version: str
    external_url: str
    host: str
    severities: Sequence[str]
    started_ms: int
    nobody_paged: bool
    config_problems: Sequence[Problem]


@dataclass(frozen=True, slots=True)
class Engine:
    ok: bool
    last_evaluation_ms: int
    last_sample_ms: int
    core_started_ms: int
    lag_ms: int
    unwritten: str = ""
    """Why new samples are in memory only (the disk is full); empty = they are written."""


@dataclass(frozen=True, slots=True)
class Kpi:
    id: str
    title: str
    value: float | None
    text: str
    unit: str
    trend: Trend
    state: str
    unscoped: Sequence[str] = ()
    """Labels of the scope that its metrics do not have: by these it is not narrowed."""


@dataclass(frozen=True, slots=True)
class HostRow:
    instance: str
    cpu: float | None
    memory: float | None
    disk_worst: float | None
    disk_mount: str
    inodes_worst: float | None
    load1: float | None
    cores: int
    rx_bytes_s: float | None
    tx_bytes_s: float | None
    trend: Mapping[str, Trend]


@dataclass(frozen=True, slots=True)
class ServiceRow:
    name: str
    state: str
    since_ms: int
    rate: float | None
    error_ratio: float | None
    p95_s: float | None
    checks: Mapping[str, int]
    alerts: int
    trend: Trend
    owner: str
    tier: str = ""
    runbook: str = ""
    repository: str = ""


@dataclass(frozen=True, slots=True)
class RuleOfAlert:
    group: str
    name: str
    expr: str
    for_ms: int
    source: str


@dataclass(frozen=True, slots=True)
class AlertRow:
    fingerprint: str
    name: str
    severity: str
    state: str
    labels: LabelMap
    annotations: LabelMap
    value: float | None
    starts_at_ms: int
    ends_at_ms: int
    fires_in_ms: int
    suppressed_by: Sequence[Mapping[str, str]]
    explanation: str
    incident: int
    flapping: str
    """Why it is called flapping; empty while it is steady."""
    rule: RuleOfAlert
    source: str
    strip: str
    acknowledged_by: str
    """Who has the open incident that it belongs to; empty = nobody yet."""


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    id: int
    t_ms: int
    actor: str
    verb: str
    text: str
    cause: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Episode:
    starts_at_ms: int
    ends_at_ms: int
    ended_by: str
    incident: int


@dataclass(frozen=True, slots=True)
class AlertDetail(AlertRow):
    history: Sequence[Episode]
    trace: Sequence[TimelineEntry]
    now_ms: int
    cursor: int


@dataclass(frozen=True, slots=True)
class AlertList:
    now_ms: int
    cursor: int
    alerts: Sequence[AlertRow]
    next: str
    """Pass as `cursor` to get the next page; empty = this was the last."""


@dataclass(frozen=True, slots=True)
class IncidentRow:
    number: int
    title: str
    severity: str
    urgency: str
    state: str
    service: str
    created_ms: int
    acknowledged_ms: int
    acknowledged_by: str
    resolved_ms: int
    resolved_by: str
    snoozed_until_ms: int
    next_escalation_at_ms: int
    next_escalation_to: str
    alerts_firing: int
    alerts_total: int
    receiver: str
    policy: str
    version: int
    assignee: str
    affected: int
    """Alerts that stand behind it: of what depends on it, and told to nobody else."""
    flapping: str
    """Why it is called flapping; empty while it is steady or over."""


@dataclass(frozen=True, slots=True)
class Attempt:
    n: int
    started_ms: int
    ended_ms: int
    outcome: str
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class NotificationRow:
    id: str
    incident: int
    kind: str
    channel: str
    address: str
    recipient: str
    reason: str
    state: str
    state_reason: str
    due_at_ms: int
    created_ms: int
    sent_ms: int
    done_ms: int
    attempts: int
    provider_id: str
    possible_repeat: bool
    attempt_log: Sequence[Attempt]


@dataclass(frozen=True, slots=True)
class NotificationList:
    now_ms: int
    cursor: int
    notifications: Sequence[NotificationRow]
    next: str


@dataclass(frozen=True, slots=True)
class WhyRow:
    who: str
    told: bool
    text: str
    t_ms: int
    channel: str
    state: str


@dataclass(frozen=True, slots=True)
class SimilarIncident:
    number: int
    title: str
    created_ms: int
    resolved_ms: int
    remediation: str
    """What was done, in words."""
    action: str
    cause: str
    held: bool | None
    verdict: str


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """A deploy or another mark near an incident."""

    id: int
    t_ms: int
    kind: str
    service: str
    text: str


@dataclass(frozen=True, slots=True)
class Graph:
    query: str
    from_ms: int
    to_ms: int
    threshold: float | None


@dataclass(frozen=True, slots=True)
class PolicyStepRow:
    index: int
    targets: Sequence[str]
    delay_ms: int
    executed_ms: int


@dataclass(frozen=True, slots=True)
class IncidentDetail(IncidentRow):
    group_labels: LabelMap
    alerts: Sequence[AlertRow]
    timeline: Sequence[TimelineEntry]
    notifications: Sequence[NotificationRow]
    why: Sequence[WhyRow]
    remediation: Mapping[str, Any]
    verdict: str
    similar: Sequence[SimilarIncident]
    changes: Sequence[IncidentChange]
    """From two hours before it to its end, oldest first."""
    runbook: str
    graph: Graph | None
    policy_steps: Sequence[PolicyStepRow]
    merged_into: int
    previous: int
    split_from: int
    linked: Sequence[int]
    receivers: Sequence[str]
    now_ms: int
    cursor: int


@dataclass(frozen=True, slots=True)
class IncidentList:
    now_ms: int
    cursor: int
    incidents: Sequence[IncidentRow]
    next: str


@dataclass(frozen=True, slots=True)
class MatcherRow:
    name: str
    value: str
    isRegex: bool  # noqa: N815  (Alertmanager's spelling)
    isEqual: bool  # noqa: N815


@dataclass(frozen=True, slots=True)
class SilenceRow:
    id: str
    matchers: Sequence[MatcherRow]
    starts_at_ms: int
    ends_at_ms: int
    created_by: str
    comment: str
    state: str
    matching_now: int
    etag: str
    """What `If-Match` takes when it is changed."""


@dataclass(frozen=True, slots=True)
class SilenceList:
    now_ms: int
    cursor: int
    silences: Sequence[SilenceRow]
    next: str


@dataclass(frozen=True, slots=True)
class SilencePreview:
    now: Sequence[AlertRow]
    last_7d: int
    warning: str = ""
    cannot_be_silenced: int = 0


@dataclass(frozen=True, slots=True)
class TargetRow:
    job: str
    instance: str
    url: str
    up: bool | None
    last_ms: int
    duration_s: float
    samples: int
    error: str
    labels: LabelMap


@dataclass(frozen=True, slots=True)
class TargetList:
    targets: Sequence[TargetRow]
    next: str


@dataclass(frozen=True, slots=True)
class OnCallNow:
    schedule: str
    who: Sequence[str]
    until_ms: int


@dataclass(frozen=True, slots=True)
class ChangeRow:
    t_ms: int
    actor: str
    text: str
    subject: str
    of_all: bool = False
    """In a scope: it is a change of everything, or nothing tells what it is of."""


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    id: str
    title: str
    done: bool


@dataclass(frozen=True, slots=True)
class AlertCounts:
    firing: Mapping[str, int]
    pending: int
    suppressed: int


@dataclass(frozen=True, slots=True)
class CheckCounts:
    counts: Mapping[str, int]
    problems: Sequence[CheckRow]


@dataclass(frozen=True, slots=True)
class Scoped:
    """What an answer was narrowed to."""

    matchers: Sequence[str]
    unscoped: Mapping[str, Sequence[str]]
    """Part of the page (hosts, services) -> labels that do not narrow it, as its metrics do not have them."""


@dataclass(frozen=True, slots=True)
class Overview:
    now_ms: int
    cursor: int
    sentence: str
    engine: Engine
    incidents: Sequence[IncidentRow | Mapping[str, Any]]
    alerts: AlertCounts
    checks: CheckCounts
    services: Sequence[ServiceRow]
    hosts: Sequence[HostRow]
    kpis: Sequence[Kpi]
    oncall: Sequence[OnCallNow]
    changes: Sequence[ChangeRow]
    checklist: Sequence[ChecklistItem]
    scope: Scoped | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    kind: str
    title: str
    url: str


@dataclass(frozen=True, slots=True)
class SearchResults:
    results: Sequence[SearchResult]


@dataclass(frozen=True, slots=True)
class AuditList:
    events: Sequence[TimelineEntry]
    next: str
