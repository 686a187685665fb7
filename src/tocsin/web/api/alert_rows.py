"""Rows of alerts: what fires, waits or has ended, each with its incident, its rule and when it fired within the last day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.model.alert import AlertPhase
from tocsin.model.incident import IncidentState
from tocsin.model.labels import Labels, Matcher, all_match
from tocsin.state.schema import alert_states, alerts, episodes, incident_alerts, incidents
from tocsin.web.api.paging import Page
from tocsin.web.api.shapes import AlertRow, RuleOfAlert

_CELL_MS = 30 * 60_000
_CELLS = 48
_MOST_PAST = 1000
_NO_RULE = RuleOfAlert("", "", "", 0, "")
OPEN = tuple(state.value for state in IncidentState if state.open)


@dataclass(frozen=True, slots=True)
class RuleIndex:
    """Definitions of alerting rules by id and by name, from the core's `rules.state`."""

    by_id: Mapping[str, RuleOfAlert]
    by_name: Mapping[str, Sequence[tuple[Mapping[str, str], RuleOfAlert]]]
    """Rules may share a name, as those of all checks do: each with the labels that it gives to its alerts."""

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> RuleIndex:
        by_id: dict[str, RuleOfAlert] = {}
        by_name: dict[str, list[tuple[Mapping[str, str], RuleOfAlert]]] = defaultdict(list)
        for group in state.get("groups", ()):
            for rule in group.get("rules", ()):
                if rule.get("type", "alerting") != "alerting":
                    continue
                own = rule.get("tocsin", {})
                found = RuleOfAlert(
                    group=group.get("name", ""),
                    name=rule.get("name", ""),
                    expr=rule.get("query", ""),
                    for_ms=round(float(rule.get("duration", 0)) * 1000),
                    source=own.get("place") or group.get("file", ""),
                )
                fixed = {name: value for name, value in rule.get("labels", {}).items() if "{{" not in value}
                by_name[found.name].append((fixed, found))
                if own.get("id"):
                    by_id[own["id"]] = found
        return cls(by_id, by_name)

    def find(self, rule_id: str, labels: Mapping[str, str]) -> RuleOfAlert:
        """By its id; without one (past alerts, those of incidents) the rule of that name whose labels fit best."""
        if found := self.by_id.get(rule_id):
            return found
        named = self.by_name.get(labels.get("alertname", ""), ())
        if len(named) == 1:
            return named[0][1]
        best, most = _NO_RULE, -1
        for fixed, rule in named:
            if len(fixed) > most and all(labels.get(name, "") == value for name, value in fixed.items()):
                best, most = rule, len(fixed)
        return best


def alert_rows(tx: Connection, wanted: set[str], rules: RuleIndex, now_ms: int) -> list[AlertRow]:
    """Rows of the wanted states, newest first within each; of past ones the newest page."""
    return alert_page(tx, wanted, rules, now_ms, Page())[0]


def alert_page(tx: Connection, wanted: set[str], rules: RuleIndex, now_ms: int, page: Page) -> tuple[list[AlertRow], str]:
    """Rows of the wanted states, and the cursor of the next page of past ones (what is open is always whole)."""
    context = AlertContext.read(tx, now_ms)
    rows: list[AlertRow] = []
    following = ""
    if wanted & {"firing", "clearing"}:
        clearing = _phases(tx, AlertPhase.CLEARING)
        found = [
            context.from_alert(row, rules, "clearing" if row.fingerprint in clearing else "firing") for row in _firing(tx, now_ms)
        ]
        rows += [row for row in found if row.state in wanted]
    if "pending" in wanted:
        query = sa.select(alert_states).where(alert_states.c.phase == AlertPhase.PENDING)
        rows += [context.from_state(row, rules) for row in tx.execute(query)]
    if "resolved" in wanted:
        past = list(
            tx.execute(page.narrow(sa.select(episodes).where(episodes.c.ends_at_ms > 0), episodes.c.starts_at_ms, episodes.c.id))
        )
        rows += [context.from_episode(row, rules) for row in past]
        if past:
            following = page.next_after(len(past), past[-1].starts_at_ms, past[-1].id)
    return rows, following


def alerts_at(tx: Connection, rules: RuleIndex, at_ms: int) -> list[AlertRow]:
    """What fired at a past moment, newest first. What held it back then was not kept."""
    then = sa.and_(episodes.c.starts_at_ms <= at_ms, sa.or_(episodes.c.ends_at_ms == 0, episodes.c.ends_at_ms > at_ms))
    query = sa.select(episodes).where(then).order_by(episodes.c.starts_at_ms.desc()).limit(_MOST_PAST)
    context = AlertContext.read(tx, at_ms)
    rows = [context.from_episode(row, rules) for row in tx.execute(query)]
    return [replace(row, state="firing", ends_at_ms=0, explanation="as it was then", acknowledged_by="") for row in rows]


def _firing(tx: Connection, now_ms: int) -> list[Any]:
    still = sa.or_(alerts.c.ends_at_ms == 0, alerts.c.ends_at_ms > now_ms)
    return list(tx.execute(sa.select(alerts).where(still).order_by(alerts.c.starts_at_ms.desc())))


def _phases(tx: Connection, phase: AlertPhase) -> set[str]:
    return set(tx.execute(sa.select(alert_states.c.fingerprint).where(alert_states.c.phase == phase)).scalars())


@dataclass(frozen=True, slots=True)
class AlertContext:
    """What every row needs besides its own: incidents and the fire strips of the last day."""

    now_ms: int
    incident_of: Mapping[str, int]
    holders: Mapping[int, str]
    """Who has which open incident."""
    spells: Mapping[str, Sequence[tuple[int, int]]]
    flapping: Mapping[str, str]

    @classmethod
    def read(cls, tx: Connection, now_ms: int) -> AlertContext:
        joined = (
            sa.select(incident_alerts.c.fingerprint, incident_alerts.c.incident, incidents.c.acknowledged_by)
            .join(incidents, incidents.c.number == incident_alerts.c.incident)
            .where(incidents.c.state.in_(OPEN))
            .order_by(incident_alerts.c.incident)
        )
        found = tx.execute(joined).all()
        incident_of = {row.fingerprint: row.incident for row in found}
        holders = {row.incident: row.acknowledged_by for row in found}
        since_ms = now_ms - _CELLS * _CELL_MS
        recent = sa.select(episodes.c.fingerprint, episodes.c.starts_at_ms, episodes.c.ends_at_ms).where(
            sa.or_(episodes.c.ends_at_ms == 0, episodes.c.ends_at_ms > since_ms)
        )
        spells: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for row in tx.execute(recent):
            spells[row.fingerprint].append((row.starts_at_ms, row.ends_at_ms or now_ms))
        flags = sa.select(alert_states.c.told_as, alert_states.c.note).where(alert_states.c.flapping_since_ms > 0)
        return cls(now_ms, incident_of, holders, spells, {row.told_as: row.note for row in tx.execute(flags)})

    def from_alert(self, row: Any, rules: RuleIndex, state: str) -> AlertRow:
        return self._row(row, rules, state, row.starts_at_ms, row.ends_at_ms, row.suppressed_by, row.explanation, row.source)

    def from_state(self, row: Any, rules: RuleIndex) -> AlertRow:
        rule = rules.find(row.rule_id, row.labels)
        left_ms = max(0, row.active_at_ms + rule.for_ms - self.now_ms)
        return self._row(
            row,
            rules,
            "pending",
            row.active_at_ms,
            0,
            (),
            row.note or "waits until `for` has passed",
            f"rule:{row.rule_id}",
            fires_in_ms=left_ms,
        )

    def from_episode(self, row: Any, rules: RuleIndex) -> AlertRow:
        explanation = f"ended: {row.ended_by}" if row.ended_by else ""
        return self._row(row, rules, "resolved", row.starts_at_ms, row.ends_at_ms, (), explanation, "", incident=row.incident)

    def _row(
        self,
        row: Any,
        rules: RuleIndex,
        state: str,
        starts_at_ms: int,
        ends_at_ms: int,
        suppressed_by: Sequence[Mapping[str, str]],
        explanation: str,
        source: str,
        *,
        fires_in_ms: int = 0,
        incident: int = 0,
    ) -> AlertRow:
        name = row.labels.get("alertname", "")
        number = incident or self.incident_of.get(row.fingerprint, 0)
        return AlertRow(
            fingerprint=row.fingerprint,
            name=name,
            severity=row.labels.get("severity", ""),
            state=state,
            labels=row.labels,
            annotations=row.annotations,
            value=row.value,
            starts_at_ms=starts_at_ms,
            ends_at_ms=ends_at_ms,
            fires_in_ms=fires_in_ms,
            suppressed_by=suppressed_by,
            explanation=explanation,
            incident=number,
            flapping=self.flapping.get(row.fingerprint, ""),
            rule=rules.find(source.removeprefix("rule:"), row.labels),
            source=source,
            strip=self._strip(row.fingerprint),
            acknowledged_by=self.holders.get(number, ""),
        )

    def _strip(self, fingerprint: str) -> str:
        """One digit per half hour of the last day, oldest first: 1 = it fired."""
        start_ms = self.now_ms - _CELLS * _CELL_MS
        cells = ["0"] * _CELLS
        for from_ms, to_ms in self.spells.get(fingerprint, ()):
            first = max(0, (from_ms - start_ms) // _CELL_MS)
            final = min(_CELLS - 1, (to_ms - 1 - start_ms) // _CELL_MS)
            for cell in range(first, final + 1):
                cells[cell] = "1"
        return "".join(cells)


def preview(tx: Connection, matchers: Sequence[Matcher], rules: RuleIndex, now_ms: int) -> tuple[list[AlertRow], int]:
    """Firing alerts that `matchers` cover now, and how many different ones they covered within seven days."""
    now = [row for row in alert_rows(tx, {"firing", "clearing"}, rules, now_ms) if all_match(matchers, row.labels)]
    since_ms = now_ms - 7 * 86_400_000
    query = sa.select(episodes.c.fingerprint, episodes.c.labels).where(
        sa.or_(episodes.c.ends_at_ms == 0, episodes.c.ends_at_ms > since_ms)
    )
    week = {row.fingerprint for row in tx.execute(query) if all_match(matchers, Labels(row.labels))}
    return now, len(week)
