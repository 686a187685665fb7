"""Alerts come in: reports are merged into alerts, episodes open and close, alerts join their groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from tocsin.alerts import rows
from tocsin.alerts.explain import fired_text, resolved_text, waiting_text
from tocsin.alerts.group import Group, first_flush_ms, new_group
from tocsin.alerts.merge import merge, same_episode
from tocsin.alerts.rows import KnownAlert
from tocsin.alerts.work import Work
from tocsin.model.alert import Alert
from tocsin.state import bulk, intake
from tocsin.state.prepared import Prepared
from tocsin.state.schema import alert_group_members, alert_groups, episodes
from tocsin.state.schema import alerts as alerts_table

_a, _e = alerts_table.c, episodes.c
_OVER = Prepared(
    sa.select(_a.fingerprint)
    .join(episodes, _e.fingerprint == _a.fingerprint)
    .where(_a.ends_at_ms > 0, _a.ends_at_ms <= sa.bindparam("now"), _e.ends_at_ms == 0)
)
_END = (
    sa.update(episodes)
    .where(_e.fingerprint == sa.bindparam("fp"), _e.ends_at_ms == 0)
    .values(ends_at_ms=sa.bindparam("end"), ended_by=sa.bindparam("by"))
)
_BATCH = 5000
_MOST_BATCHES = 10


@dataclass(slots=True)
class Turned:
    """Alerts that began or ended to fire in this step, by fingerprint."""

    started: dict[str, KnownAlert] = field(default_factory=dict)
    ended: dict[str, KnownAlert] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.started or self.ended)


def take_intake(work: Work) -> Turned:
    """Empty the intake into `alerts` and `episodes`, and put what fires into its groups."""
    turned = Turned()
    for _ in range(_MOST_BATCHES):
        batch = intake.take_reports(work.tx, limit=_BATCH)
        work.taken += len(batch)
        if not batch:
            break
        _take_batch(work, batch, turned)
        if len(batch) < _BATCH:
            break
    _join_groups(work, turned.started.values())
    _hurry_ends(work, turned.ended)
    return turned


def _take_batch(work: Work, batch: list[tuple[str, Alert, str]], turned: Turned) -> None:
    known = work.read_alerts(fingerprint for fingerprint, _, _ in batch)
    log = _EpisodeLog()
    for fingerprint, report, trace in batch:
        known[fingerprint] = _take_one(work, known.get(fingerprint), fingerprint, report, trace, turned, log)
    work.write_alerts(known)
    log.write(work)


def _take_one(
    work: Work, old: KnownAlert | None, fingerprint: str, report: Alert, trace: str, turned: Turned, log: _EpisodeLog
) -> KnownAlert:
    now_ms = work.now_ms
    merged = merge(old.alert if old else None, report, now_ms)
    fires = merged.firing(now_ms)
    fired = old is not None and old.alert.firing(now_ms)
    if old is not None and same_episode(old.alert, merged, now_ms):
        after = replace(old, alert=merged)
    else:
        after = KnownAlert(fingerprint, merged, trace_id=trace)
        if not fires:
            log.past(fingerprint, merged)
    if fires and not fired:
        after = replace(after, trace_id=trace or after.trace_id, suppressed_by=(), explanation="")
        log.begin(fingerprint, merged)
        work.note("fired", fingerprint, fired_text(merged), trace=after.trace_id, value=merged.value)
        turned.started[fingerprint] = after
        turned.ended.pop(fingerprint, None)
    elif fired and not fires:
        log.end(fingerprint, merged.ends_at_ms, "source")
        work.note("resolved", fingerprint, resolved_text(merged, stale=False), trace=after.trace_id)
        turned.ended[fingerprint] = after
    return after


def expire(work: Work, turned: Turned) -> None:
    """End the episodes of alerts whose time is up: their sender stopped reporting them, or named an end that has come."""
    over = work.read_alerts(row.fingerprint for row in _OVER.all(work.tx, now=work.now_ms))
    if not over:
        return
    log = _EpisodeLog()
    for fingerprint, known in over.items():
        log.end(fingerprint, known.alert.ends_at_ms, "timeout" if known.alert.timeout else "expired")
        work.note("resolved", fingerprint, resolved_text(known.alert, stale=True), trace=known.trace_id, cause="timeout")
        turned.ended[fingerprint] = known
        turned.started.pop(fingerprint, None)
    log.write(work)
    _hurry_ends(work, over)


def extend_after_sleep(work: Work, grace_ms: int) -> None:
    """Give alerts from outside more time after we were down or asleep: their senders could not renew them meanwhile."""
    still_open = sa.select(episodes.c.fingerprint).where(episodes.c.ends_at_ms == 0)
    table = alerts_table
    work.tx.execute(
        sa.update(table)
        .where(
            table.c.ends_at_ms > work.seen_ms,
            table.c.ends_at_ms < work.now_ms + grace_ms,
            table.c.fingerprint.in_(still_open),
        )
        .values(ends_at_ms=work.now_ms + grace_ms)
    )


def follow_clock(work: Work, jump_ms: int) -> None:
    """The wall clock was moved: move the timers of groups and the assumed ends of outside alerts with it."""
    groups, alerts = alert_groups, alerts_table
    work.tx.execute(
        sa.update(groups).values(
            next_flush_ms=groups.c.next_flush_ms + jump_ms,
            last_notified_ms=sa.case((groups.c.last_notified_ms > 0, groups.c.last_notified_ms + jump_ms), else_=0),
        )
    )
    still_open = sa.select(episodes.c.fingerprint).where(episodes.c.ends_at_ms == 0)
    work.tx.execute(
        sa.update(alerts)
        .where(alerts.c.ends_at_ms > 0, alerts.c.fingerprint.in_(still_open))
        .values(ends_at_ms=alerts.c.ends_at_ms + jump_ms)
    )
    # A command may have looked since the clock was moved: what was seen then is not in the future.
    work.seen_ms = min(work.seen_ms + jump_ms, work.now_ms)


# -- groups ---------------------------------------------------------------------------------------------------------------


def _join_groups(work: Work, started: Iterable[KnownAlert]) -> None:
    wanted: dict[str, tuple[Group, int, int]] = {}
    members: list[tuple[str, str]] = []
    for known in started:
        labels = known.alert.labels
        severest = work.severest(labels.get("severity"))
        told = []
        for node in work.tree.hearers(known.alert):
            group = new_group(node, labels, work.now_ms)
            due_ms = first_flush_ms(node.route, starts_at_ms=known.alert.starts_at_ms, severest=severest, now_ms=work.now_ms)
            hurry_ms = due_ms if severest and node.route.critical_group_wait_ms is not None else 0
            members.append((group.key, known.fingerprint))
            if group.key in wanted:
                _, other_due_ms, other_hurry_ms = wanted[group.key]
                due_ms = min(due_ms, other_due_ms)
                hurry_ms = min(h for h in (hurry_ms, other_hurry_ms) if h) if hurry_ms or other_hurry_ms else 0
            wanted[group.key] = (group, due_ms, hurry_ms)
            told.append(waiting_text(node.route.receiver, due_ms))
        work.sentences[known.fingerprint] = " ".join(told) or "Severity none, and no route of its own: nobody is told."
    existing = rows.read_groups(work.tx, wanted)
    changed = []
    for key, (group, due_ms, hurry_ms) in wanted.items():
        before = existing.get(key)
        if before is None:
            changed.append(replace(group, next_flush_ms=due_ms))
        elif before.retired:
            # The routing leads here again.
            changed.append(
                replace(before, retired=False, route_id=group.route_id, next_flush_ms=min(before.next_flush_ms, due_ms))
            )
        elif before.last_flush_ms == 0 and due_ms < before.next_flush_ms:
            changed.append(replace(before, next_flush_ms=due_ms))
        elif hurry_ms and hurry_ms < before.next_flush_ms:
            changed.append(replace(before, next_flush_ms=hurry_ms))
    rows.write_groups(work.tx, changed)
    rows.add_members(work.tx, members, work.now_ms)


def _hurry_ends(work: Work, ended: dict[str, KnownAlert]) -> None:
    """On the built-in route a recovery is told at once when nothing of the group fires any more."""
    hurried = {i for i, node in work.tree.nodes.items() if node.route.critical_group_wait_ms is not None}
    if not ended or not hurried:
        return
    keys = {key for keys in rows.read_groups_of(work.tx, ended).values() for key in keys}
    keys = {key for key, group in rows.read_groups(work.tx, keys).items() if group.route_id in hurried}
    table, alerts = alert_group_members.c, alerts_table.c
    still = set(
        work.tx.execute(
            sa.select(table.group_key)
            .join(alerts_table, alerts.fingerprint == table.fingerprint)
            .where(table.group_key.in_(keys), sa.or_(alerts.ends_at_ms == 0, alerts.ends_at_ms > work.now_ms))
            .distinct()
        ).scalars()
    )
    rows.flush_now(work.tx, keys - still, work.now_ms)


# -- episodes -------------------------------------------------------------------------------------------------------------


class _EpisodeLog:
    """Openings and closings of one batch, written with two statements."""

    def __init__(self) -> None:
        self._new: list[dict[str, Any]] = []
        self._open: dict[str, dict[str, Any]] = {}
        self._ended: list[dict[str, Any]] = []

    def begin(self, fingerprint: str, alert: Alert) -> None:
        row = _episode_row(fingerprint, alert)
        self._new.append(row)
        self._open[fingerprint] = row

    def past(self, fingerprint: str, alert: Alert) -> None:
        """An episode that was over when we first heard of it."""
        self._new.append(_episode_row(fingerprint, alert) | {"ends_at_ms": alert.ends_at_ms, "ended_by": "source"})

    def end(self, fingerprint: str, ends_at_ms: int, ended_by: str) -> None:
        if row := self._open.pop(fingerprint, None):
            row["ends_at_ms"], row["ended_by"] = ends_at_ms, ended_by
        else:
            self._ended.append({"fp": fingerprint, "end": ends_at_ms, "by": ended_by})

    def write(self, work: Work) -> None:
        if self._ended:
            bulk.execute(
                work.tx,
                _END,
                self._ended,
            )
        if self._new:
            bulk.insert_rows(work.tx, episodes, self._new)


def _episode_row(fingerprint: str, alert: Alert) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "alertname": alert.labels.get("alertname"),
        "severity": alert.labels.get("severity"),
        "labels": dict(alert.labels.pairs),
        "annotations": dict(alert.annotations),
        "starts_at_ms": alert.starts_at_ms,
        "ends_at_ms": 0,
        "ended_by": "",
        "value": alert.value,
    }
