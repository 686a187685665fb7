"""Groups: which alerts of a route are told together. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.alerts.route import Node
from tocsin.model.labels import EMPTY_LABELS, Labels, quote
from tocsin.model.route import Route

_LONGEST_KEY = 1000


@dataclass(frozen=True, slots=True)
class Group:
    """State of one group. Instants 0 = never.

    `notified_firing` and `notified_resolved` are what the receiver was told: fingerprint -> start of the episode told.
    """

    key: str
    """Unique: receiver and group key."""
    group_key: str
    route_id: str
    receiver: str
    labels: Labels = EMPTY_LABELS
    created_ms: int = 0
    next_flush_ms: int = 0
    last_flush_ms: int = 0
    last_notified_ms: int = 0
    notified_firing: Mapping[str, int] = field(default_factory=dict)
    notified_resolved: Mapping[str, int] = field(default_factory=dict)
    retired: bool = False
    """Its route left the configuration: nobody joins, whoever was told of a firing alert still hears of its end."""
    muted: bool = False
    """A time interval kept its route quiet when it was looked at last."""
    covered: bool = False
    """Everything told of it is suppressed since it was told, and incidents know."""


def group_labels(route: Route, labels: Labels) -> Labels:
    return labels if route.group_by is None else labels.only(route.group_by)


def labels_text(labels: Labels) -> str:
    """`{alertname="ok", job="a"}` as in Alertmanager's group keys."""
    return "{" + ", ".join(f"{name}={_quoted(value)}" for name, value in labels.pairs) + "}"


def _quoted(value: str) -> str:
    # Nearly every value is plain; a storm has ten thousand of them.
    plain = value.isprintable() and '"' not in value and "\\" not in value
    return f'"{value}"' if plain else quote(value)


def group_key(node: Node, labels: Labels) -> str:
    """Alertmanager's `groupKey`, e.g. `{}/{team="a"}:{alertname="ok"}`; `labels` are the group's."""
    return f"{node.key}:{labels_text(labels)}"


def row_key(receiver: str, key: str) -> str:
    """Key of the group's row; a longer one ends in a digest instead."""
    full = f"{receiver}/{key}"
    if len(full) <= _LONGEST_KEY:
        return full
    return full[: _LONGEST_KEY - 65] + "#" + hashlib.sha256(full.encode()).hexdigest()


def new_group(node: Node, labels: Labels, now_ms: int) -> Group:
    """The group that an alert with `labels` opens on this route; its timer is not set."""
    own = group_labels(node.route, labels)
    key = group_key(node, own)
    receiver = node.route.receiver
    return Group(row_key(receiver, key), key, node.route.id, receiver, own, created_ms=now_ms)


def first_flush_ms(route: Route, *, starts_at_ms: int, severest: bool, now_ms: int) -> int:
    """When a new group is told first: after `group_wait`, at once if the alert is older than that already."""
    wait_ms = route.group_wait_ms
    if severest and route.critical_group_wait_ms is not None:
        wait_ms = route.critical_group_wait_ms
    return now_ms if starts_at_ms + wait_ms <= now_ms else now_ms + wait_ms
