"""What a rule set is worth: recall, delay, precision, notifications per incident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from generate import INCIDENTS, Incident, Service
from replay import Fired

SETTLE_S = 600
"""An alert that starts within this time after an incident's end still belongs to it (windows have to empty)."""


@dataclass(slots=True)
class Score:
    service_weeks: float = 0.0
    incidents: int = 0
    caught: int = 0
    in_time: int = 0
    delays_s: list[float] = field(default_factory=list)
    pages: int = 0
    false_pages: list[str] = field(default_factory=list)
    warnings: int = 0
    false_warnings: int = 0
    notifications: int = 0
    """Firings that belong to an incident, pages and warnings."""
    missed: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    by_kind: dict[str, list[int]] = field(default_factory=dict)
    """kind -> [incidents, caught, in time]"""

    def add(self, service: Service, fired: Sequence[Fired], weeks: float) -> None:
        self.service_weeks += weeks
        noisy = [one for one in fired if one.severity in ("critical", "warning") and not _inhibited(one, fired)]
        for incident in service.incidents:
            self._judge(service, incident, [one for one in noisy if _belongs(one, incident)])
        for one in noisy:
            true = any(_belongs(one, incident) for incident in service.incidents)
            if one.severity == "critical":
                self.pages += 1
                if not true:
                    self.false_pages.append(f"{one.service} {one.alert} at {one.start_s} s: {_nearest(service, one.start_s)}")
            else:
                self.warnings += 1
                self.false_warnings += not true

    def _judge(self, service: Service, incident: Incident, alerts: Sequence[Fired]) -> None:
        kind = INCIDENTS[incident.kind]
        heard = [max(0, one.start_s - incident.start_s) for one in alerts if one.severity == "critical" or not kind.pages]
        tally = self.by_kind.setdefault(incident.kind, [0, 0, 0])
        tally[0] += 1
        self.incidents += 1
        self.notifications += len(alerts)
        line = f"{service.name} {incident.kind} {incident.detail:.3f} at {incident.start_s} s, {service.base_rps:.2f} req/s"
        if not heard:
            self.missed.append(line)
            return
        self.caught += 1
        tally[1] += 1
        self.delays_s.append(min(heard))
        if min(heard) <= kind.deadline_s:
            self.in_time += 1
            tally[2] += 1
        else:
            self.late.append(f"{line}: after {min(heard)} s")

    def merge(self, other: Score) -> None:
        for name in ("service_weeks", "incidents", "caught", "in_time", "pages", "warnings", "false_warnings", "notifications"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("delays_s", "false_pages", "missed", "late"):
            getattr(self, name).extend(getattr(other, name))
        for kind, counts in other.by_kind.items():
            mine = self.by_kind.setdefault(kind, [0, 0, 0])
            self.by_kind[kind] = [a + b for a, b in zip(mine, counts, strict=True)]

    def summary(self) -> dict[str, float]:
        weeks = self.service_weeks or 1.0
        return {
            "incidents": self.incidents,
            "recall": self.caught / max(1, self.incidents),
            "in_time": self.in_time / max(1, self.incidents),
            "delay_median_s": float(np.median(self.delays_s)) if self.delays_s else float("nan"),
            "delay_p90_s": float(np.quantile(self.delays_s, 0.9)) if self.delays_s else float("nan"),
            "pages_per_service_week": self.pages / weeks,
            "false_pages_per_service_week": len(self.false_pages) / weeks,
            "page_precision": 1 - len(self.false_pages) / max(1, self.pages),
            "false_warnings_per_service_week": self.false_warnings / weeks,
            "alerts_per_incident": self.notifications / max(1, self.caught),
        }


def _inhibited(one: Fired, fired: Sequence[Fired]) -> bool:
    """The shipped alertmanager.yml: a critical alert mutes the warning of the same service and signal."""
    return one.severity == "warning" and any(
        other.severity == "critical" and other.signal == one.signal and other.start_s <= one.start_s < other.end_s
        for other in fired
    )


def _belongs(one: Fired, incident: Incident) -> bool:
    """The alert fired during the incident, or was firing when it began."""
    return incident.start_s <= one.start_s <= incident.end_s + SETTLE_S or one.start_s < incident.start_s < one.end_s


def _nearest(service: Service, at_s: int) -> str:
    """The nuisance that is nearest before the alert."""
    before = [(at_s - start_s, kind) for kind, start_s in service.nuisances if 0 <= at_s - start_s < 3600]
    return "{1} {0} s before".format(*min(before)) if before else "nothing in the hour before"
