"""The check tables: what is kept of results and states, and how it is read back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.collect.uptime import Change
from tocsin.model.check import CheckReason, CheckResult, CheckState, CheckStatus
from tocsin.state import bulk
from tocsin.state.schema import check_changes, check_runs, check_states

Key = tuple[str, str]
"""(check id, location)."""


def load_statuses(connection: Connection) -> dict[Key, CheckStatus]:
    """Every stored status by check and location."""
    return {
        (row.check_id, row.location): CheckStatus(
            row.check_id,
            CheckState(row.state),
            row.since_ms,
            CheckReason(row.reason) if row.reason else CheckReason.OK,
            row.message,
            row.consecutive_failures,
            row.consecutive_successes,
            row.last_ms,
            row.last_ok_ms,
        )
        for row in connection.execute(sa.select(check_states))
    }


def save_statuses(tx: Connection, entries: Iterable[tuple[Key, CheckStatus, CheckResult | None]]) -> None:
    """Insert or update; a missing result leaves the stored one."""
    for with_result in (True, False):
        rows = [_status_row(key, status, result) for key, status, result in entries if (result is not None) is with_result]
        if not rows:
            continue
        insert = bulk.insert(tx)(check_states)
        changed = [name for name in rows[0] if name not in ("check_id", "location")]
        tx.execute(
            insert.on_conflict_do_update(
                index_elements=["check_id", "location"], set_={name: insert.excluded[name] for name in changed}
            ),
            rows,
        )


def _status_row(key: Key, status: CheckStatus, result: CheckResult | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "check_id": key[0],
        "location": key[1],
        "state": status.state.value,
        "since_ms": status.since_ms,
        "reason": status.reason.value,
        "message": status.message[:2000],
        "consecutive_failures": status.consecutive_failures,
        "consecutive_successes": status.consecutive_successes,
        "last_ms": status.last_ms,
        "last_ok_ms": status.last_ok_ms,
    }
    return row if result is None else {**row, "last_result": result_json(result)}


def result_json(result: CheckResult) -> dict[str, Any]:
    """A result as the dashboard reads it; samples live in the store and are left out."""
    out = asdict(result)
    del out["samples"]
    out["reason"] = result.reason.value
    out["phases"] = [{"name": phase.name, "ms": phase.ms} for phase in result.phases]
    return out


def add_runs(tx: Connection, results: Sequence[CheckResult]) -> None:
    if results:
        tx.execute(
            sa.insert(check_runs),
            [
                {
                    "check_id": result.check_id,
                    "started_ms": result.started_ms,
                    "ok": result.ok,
                    "reason": result.reason.value,
                    "message": result.message[:2000],
                    "result": result_json(result),
                    "manual_by": result.manual_by,
                }
                for result in results
            ],
        )


def add_change(tx: Connection, before: CheckState, status: CheckStatus) -> None:
    tx.execute(
        sa.insert(check_changes).values(
            check_id=status.check_id,
            t_ms=status.since_ms,
            before=before.value,
            after=status.state.value,
            reason=status.reason.value,
            message=status.message[:2000],
        )
    )


def forget(tx: Connection, check_ids: Sequence[str]) -> None:
    """Remove the state of checks that are no longer configured; what happened stays in runs and changes."""
    if check_ids:
        tx.execute(sa.delete(check_states).where(check_states.c.check_id.in_(check_ids)))


def prune_runs(tx: Connection, before_ms: int) -> None:
    tx.execute(sa.delete(check_runs).where(check_runs.c.started_ms < before_ms))


def changes_of(connection: Connection, check_ids: Sequence[str], start_ms: int) -> dict[str, list[Change]]:
    """State changes since `start_ms` by check, each list led by the last change before it (uptime needs where it began)."""
    c = check_changes.c
    earlier = sa.select(sa.func.max(c.id)).where(c.check_id.in_(check_ids), c.t_ms < start_ms).group_by(c.check_id)
    query = (
        sa.select(c.check_id, c.t_ms, c.after)
        .where(c.check_id.in_(check_ids), sa.or_(c.t_ms >= start_ms, c.id.in_(earlier)))
        .order_by(c.t_ms, c.id)
    )
    out: dict[str, list[Change]] = {check_id: [] for check_id in check_ids}
    for row in connection.execute(query):
        out[row.check_id].append(Change(row.t_ms, CheckState(row.after)))
    return out
