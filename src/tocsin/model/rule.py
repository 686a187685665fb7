"""Rules: definitions only. State is `AlertState` (model/alert.py)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.errors import Place


class Semantics(enum.StrEnum):
    NATIVE = "native"
    """Three-valued, with everything the `tocsin` annotation may say. Checks and shipped rules."""
    COMPATIBLE = "compatible"
    """Prometheus's results, except that a target known to be blind gives UNKNOWN instead of "resolved"."""
    PROMETHEUS = "prometheus"
    """Byte for byte."""


@dataclass(frozen=True, slots=True)
class NativeSettings:
    """What the annotation named `tocsin` may say. Durations in ms, 0 = not set."""

    hold_m: int = 0
    """m of the last n evaluations TRUE before firing; 0 = plain `for`."""
    hold_n: int = 0
    clear_expr: str = ""
    """Firing ends when this expression no longer returns the series (hysteresis); empty = `expr` itself."""
    clear_for_ms: int = 0
    min_traffic_expr: str = ""
    min_traffic: float = 0.0
    on_nodata: str = "keep"
    """keep | ok | alert"""
    depends_on: tuple[str, ...] = ()
    """Names of alerts: while one of them fires, this one stands behind it."""
    proof_expr: str = ""
    """Returns what has failed by itself, seen in a way that does not lead through what it depends on."""
    deploy_grace_ms: int = 0
    probation_until_ms: int = 0
    thresholds: tuple[tuple[str, float], ...] = ()
    """Per-label overrides: (matchers text, threshold)."""


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One alerting rule."""

    id: str
    """Stable identity: file group, name and a hash of what makes it this rule; state is kept under it."""
    group: str
    name: str
    expr: str
    for_ms: int = 0
    keep_firing_for_ms: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    semantics: Semantics = Semantics.COMPATIBLE
    native: NativeSettings = NativeSettings()
    place: Place = Place()
    check_id: str = ""
    """The check it was derived from, if any."""


@dataclass(frozen=True, slots=True)
class RecordingRule:
    id: str
    group: str
    name: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)
    place: Place = Place()


Rule = AlertRule | RecordingRule


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules evaluated together, in order, at `interval_ms`."""

    name: str
    file: str
    interval_ms: int
    rules: tuple[Rule, ...]
    limit: int = 0
    query_offset_ms: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.file};{self.name}"
