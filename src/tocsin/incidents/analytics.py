"""How paging went over a time: how soon people answered and mended, who was interrupted how often, which rules make noise."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tocsin.incidents.hours import KINDS, kind_at
from tocsin.state.schema import events, incident_alerts, incidents, notifications

QUICK_MS = 300_000
"""An incident that ended by itself within this time, before anybody acknowledged it, counts as quick."""

_WEEK_MS = 7 * 86_400_000
_MONDAY_MS = 4 * 86_400_000
"""1970-01-05 was a Monday."""
_LANDED = ("accepted", "delivered", "read")
_AT_ONCE = 500
_MOST_RECURRING = 20
SELFTEST = "tocsin-selftest"
"""Receiver of `tocsin selftest`."""


def analytics(tx: Connection, from_ms: int, to_ms: int, *, zones: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Of incidents that began, and pages that were decided, in [from_ms, to_ms); durations in ms, None where there is nothing.

    Incidents merged into another count with that one; self-tests and what is nobody's work do not count. `precision` =
    real / (real + noise), of what people judged. `zones`: each person's time zone, by which pages fall into work, sleep and
    off hours (UTC when unknown).
    """
    c = incidents.c
    columns = (c.number, c.key, c.title, c.severity, c.created_ms, c.acknowledged_ms, c.resolved_ms, c.verdict, c.reopen_count)
    within = (c.created_ms >= from_ms, c.created_ms < to_ms, c.state != "merged", c.receiver != SELFTEST, c.listed)
    found: list[Row[Any]] = list(tx.execute(sa.select(*columns).where(*within).order_by(c.number)))
    pages: list[Row[Any]] = list(tx.execute(_pages(from_ms, to_ms)))
    answered = _answered(tx, from_ms, to_ms)
    return {
        "from_ms": from_ms,
        "to_ms": to_ms,
        **_times(found),
        "median_first_page_ms": _median([row.sent_ms - row.created_ms for row in pages if row.sent_ms]),
        "pages": len(pages),
        "answered_by": [{"via": via, "count": count} for via, count in sorted(answered.items())],
        "severities": [{"severity": name, **_times(rows)} for name, rows in _by_severity(found)],
        "weeks": _weeks(found, pages, from_ms, to_ms, zones or {}),
        "people": _people(pages, zones or {}),
        "recurring": _recurring(tx, found),
        "rules": _rules(found, _names(tx, [row.number for row in found]), pages),
    }


def _pages(from_ms: int, to_ms: int) -> sa.Select[Any]:
    """Pages to people that arrived as far as anybody can tell; what was cancelled or bundled interrupted nobody."""
    c = notifications.c
    tests = sa.select(incidents.c.number).where(incidents.c.receiver == SELFTEST)
    return sa.select(c.incident, c.recipient, c.created_ms, c.sent_ms).where(
        c.incident.not_in(tests),
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


def _people(pages: Iterable[Row[Any]], zones: Mapping[str, str]) -> list[dict[str, Any]]:
    """Pages per person and week (Monday 00:00 UTC), by person, oldest week first; split by the kind of hour."""
    counts: dict[str, dict[int, dict[str, int]]] = defaultdict(lambda: defaultdict(_no_pages))
    for page in pages:
        week = counts[page.recipient][week_ms(page.created_ms)]
        week["pages"] += 1
        week[kind_at(page.created_ms, zones.get(page.recipient, "UTC"))] += 1
    return [
        {
            "who": who,
            **{name: sum(week[name] for week in weeks.values()) for name in _no_pages()},
            "weeks": [{"start_ms": start, **week} for start, week in sorted(weeks.items())],
        }
        for who, weeks in sorted(counts.items())
    ]


def _no_pages() -> dict[str, int]:
    return {"pages": 0, **dict.fromkeys(KINDS, 0)}


def _answered(tx: Connection, from_ms: int, to_ms: int) -> dict[str, int]:
    """Through what people acknowledged: ui, slack, sms, link, ..."""
    c = events.c
    query = sa.select(c.data, c.actor).where(c.verb == "acknowledged", c.t_ms >= from_ms, c.t_ms < to_ms)
    found: dict[str, int] = defaultdict(int)
    for row in tx.execute(query):
        found[str(row.data.get("via") or row.actor.partition(":")[0])] += 1
    return dict(found)


# -- over time --


def _weeks(
    rows: Iterable[Row[Any]], pages: Iterable[Row[Any]], from_ms: int, to_ms: int, zones: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Every week that the window touches, empty ones included, oldest first."""
    starts = range(week_ms(from_ms), to_ms, _WEEK_MS)
    begun: dict[int, list[Row[Any]]] = {start: [] for start in starts}
    paged: dict[int, dict[str, int]] = {start: _no_pages() for start in starts}
    for row in rows:
        begun[week_ms(row.created_ms)].append(row)
    for page in pages:
        week = paged[week_ms(page.created_ms)]
        week["pages"] += 1
        week[kind_at(page.created_ms, zones.get(page.recipient, "UTC"))] += 1
    return [{"start_ms": start, **_times(begun[start]), **_judged(begun[start]), **paged[start]} for start in starts]


def _judged(rows: Iterable[Row[Any]]) -> dict[str, int]:
    verdicts = [row.verdict for row in rows]
    return {word: verdicts.count(word) for word in ("real", "noise", "duplicate")}


def _recurring(tx: Connection, rows: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    """Groups that came back within the window, the most often first, with what was done the last time somebody wrote it down."""
    groups: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        groups[row.key].append(row)
    often = sorted((g for g in groups.values() if _spells(g) > 1), key=lambda g: (-_spells(g), g[-1].number))[:_MOST_RECURRING]
    c = incidents.c
    found = []
    for members in often:
        last = members[-1]
        query = sa.select(c.remediation).where(c.key == last.key).order_by(c.number.desc()).limit(_MOST_RECURRING)
        fixes = [str(row.remediation.get("summary") or row.remediation.get("action") or "") for row in tx.execute(query)]
        found.append(
            {
                "title": last.title,
                "severity": last.severity,
                "times": _spells(members),
                "last": last.number,
                "last_ms": last.created_ms,
                "last_fix": next((fix for fix in fixes if fix), ""),
            }
        )
    return found


def _spells(members: Sequence[Row[Any]]) -> int:
    return sum(1 + row.reopen_count for row in members)


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
    judged = _judged(rows)
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
