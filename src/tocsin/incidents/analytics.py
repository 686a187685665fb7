"""How paging went over a time: how soon people answered and mended, who was interrupted how often, which rules make noise."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tocsin.state.schema import incident_alerts, incidents, notifications

QUICK_MS = 300_000
"""An incident that ended by itself within this time, before anybody acknowledged it, counts as quick."""

_WEEK_MS = 7 * 86_400_000
_MONDAY_MS = 4 * 86_400_000
"""1970-01-05 was a Monday."""
_LANDED = ("accepted", "delivered", "read")
_AT_ONCE = 500


def analytics(tx: Connection, from_ms: int, to_ms: int) -> dict[str, Any]:
    """Of incidents that began, and pages that were decided, in [from_ms, to_ms); durations in ms, None where there is nothing.

    Incidents merged into another count with that one. `precision` = real / (real + noise), of what people judged.
    """
    c = incidents.c
    columns = (c.number, c.severity, c.created_ms, c.acknowledged_ms, c.resolved_ms, c.verdict, c.reopen_count)
    within = (c.created_ms >= from_ms, c.created_ms < to_ms, c.state != "merged")
    found: list[Row[Any]] = list(tx.execute(sa.select(*columns).where(*within).order_by(c.number)))
    pages: list[Row[Any]] = list(tx.execute(_pages(from_ms, to_ms)))
    return {
        "from_ms": from_ms,
        "to_ms": to_ms,
        **_times(found),
        "severities": [{"severity": name, **_times(rows)} for name, rows in _by_severity(found)],
        "people": _people(pages),
        "rules": _rules(found, _names(tx, [row.number for row in found]), pages),
    }


def _pages(from_ms: int, to_ms: int) -> sa.Select[Any]:
    """Pages to people that arrived as far as anybody can tell; what was cancelled or bundled interrupted nobody."""
    c = notifications.c
    return sa.select(c.incident, c.recipient, c.created_ms).where(
        c.kind == "page",
        c.created_ms >= from_ms,
        c.created_ms < to_ms,
        c.settings_ref.startswith("user:", autoescape=True),
        c.state.in_(_LANDED),
    )


# -- answering and mending --


def _times(rows: Sequence[Row[Any]]) -> dict[str, Any]:
    """Counts, and mean and median time to acknowledge and to resolve."""
    answered = [row.acknowledged_ms - row.created_ms for row in rows if row.acknowledged_ms]
    mended = [row.resolved_ms - row.created_ms for row in rows if row.resolved_ms]
    return {
        "incidents": len(rows),
        "acknowledged": len(answered),
        "resolved": len(mended),
        "reopened": sum(row.reopen_count > 0 for row in rows),
        "mtta_ms": _mean(answered),
        "median_tta_ms": _median(answered),
        "mttr_ms": _mean(mended),
        "median_ttr_ms": _median(mended),
    }


def _mean(values: Sequence[int]) -> int | None:
    return round(statistics.fmean(values)) if values else None


def _median(values: Sequence[int]) -> int | None:
    return round(statistics.median(values)) if values else None


def _by_severity(rows: Iterable[Row[Any]]) -> list[tuple[str, list[Row[Any]]]]:
    found: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[row.severity].append(row)
    return sorted(found.items())


# -- interruptions --


def _people(pages: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    """Pages per person and week (Monday 00:00 UTC), by person, oldest week first."""
    counts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for page in pages:
        counts[page.recipient][week_ms(page.created_ms)] += 1
    return [
        {
            "who": who,
            "pages": sum(weeks.values()),
            "weeks": [{"start_ms": start, "pages": count} for start, count in sorted(weeks.items())],
        }
        for who, weeks in sorted(counts.items())
    ]


def week_ms(t_ms: int) -> int:
    """The Monday, 00:00 UTC, of the week of `t_ms`."""
    return t_ms - (t_ms - _MONDAY_MS) % _WEEK_MS


# -- rules --


def _names(tx: Connection, numbers: Sequence[int]) -> dict[int, set[str]]:
    """incident -> the names of its alerts."""
    names: dict[int, set[str]] = defaultdict(set)
    c = incident_alerts.c
    for start in range(0, len(numbers), _AT_ONCE):
        query = sa.select(c.incident, c.labels).where(c.incident.in_(numbers[start : start + _AT_ONCE]))
        for row in tx.execute(query):
            names[row.incident].add(row.labels.get("alertname", ""))
    return names


def _rules(rows: Iterable[Row[Any]], names: dict[int, set[str]], pages: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    """What each rule cost and was worth, the most pages first. An incident of several rules counts for each."""
    interruptions: dict[int, int] = defaultdict(int)
    for page in pages:
        interruptions[page.incident] += 1
    grouped: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        for name in names.get(row.number, ()):
            grouped[name].append(row)
    found = [_rule(name, members, sum(interruptions[row.number] for row in members)) for name, members in grouped.items()]
    return sorted(found, key=lambda rule: (-rule["pages"], -rule["incidents"], rule["rule"]))


def _rule(name: str, rows: Sequence[Row[Any]], pages: int) -> dict[str, Any]:
    judged = {word: sum(row.verdict == word for row in rows) for word in ("real", "noise", "duplicate")}
    decided = judged["real"] + judged["noise"]
    quick = sum(0 < row.resolved_ms <= row.created_ms + QUICK_MS and not row.acknowledged_ms for row in rows)
    return {
        "rule": name,
        "incidents": len(rows),
        "pages": pages,
        **judged,
        "precision": judged["real"] / decided if decided else None,
        "quick": quick,
        "never_acknowledged": sum(not row.acknowledged_ms for row in rows),
    }
