"""Two periods of facts -> the report: what `tocsin report --format json` prints. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tocsin.model.duration import human_duration
from tocsin.report.facts import CheckFacts, Facts, Measured
from tocsin.report.plan import Kpi, ReportSettings, Slo
from tocsin.report.significance import Change, of_counts, of_samples

_MOST_RULES = 10
_NO_CHECK = CheckFacts("", None, 0, 0, Measured(), None)


def compute(settings: ReportSettings, now: Facts, before: Facts, *, title: str, created_ms: int) -> dict[str, Any]:
    """JSON values; durations in ms, latencies in seconds, ratios 0..1; None where nothing is known."""
    checks = [_check(settings, facts, before.checks.get(facts.id, _NO_CHECK)) for facts in now.checks.values()]
    checks.sort(key=lambda row: (row["uptime"] is None, row["uptime"] or 0, row["name"]))
    report = {
        "title": title,
        "start_ms": now.start_ms,
        "end_ms": now.end_ms,
        "before_start_ms": before.start_ms,
        "created_ms": created_ms,
        "slos": [_slo(slo, now.slos[slo.name], before.slos[slo.name]) for slo in settings.slos],
        "kpis": [_kpi(kpi, now.kpis[kpi.name], before.kpis[kpi.name]) for kpi in settings.kpis],
        "services": _services(checks),
        "checks": checks,
        "incidents": _incidents(now.analytics, before.analytics, comparable=before.whole),
        "longest": list(now.longest),
        "rules": list(now.analytics["rules"][:_MOST_RULES]),
        "recurring": list(now.analytics["recurring"]),
        "people": list(now.analytics["people"]),
    }
    return {**report, "summary": summary(report)}


def change_json(change: Change) -> dict[str, Any]:
    return {
        "before": change.before,
        "after": change.after,
        "ratio": change.ratio,
        "p": round(change.p, 4),
        "significant": change.significant,
    }


# -- parts --


def _check(settings: ReportSettings, now: CheckFacts, before: CheckFacts) -> dict[str, Any]:
    return {
        "id": now.id,
        "name": settings.names.get(now.id, now.id),
        "service": settings.services.get(now.id, ""),
        "uptime": now.uptime,
        "uptime_before": before.uptime,
        "down_ms": now.down_ms,
        "outages": now.outages,
        "latency_high_s": now.latency_high,
        "latency": change_json(of_samples(before.latency.days, now.latency.days)),
        "latency_days": _known(now.latency.days),
    }


def _services(checks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each service is as available as its worst check."""
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for row in checks:
        if row["service"]:
            grouped.setdefault(row["service"], []).append(row)
    return [
        {
            "service": name,
            "checks": len(rows),
            "uptime": min((row["uptime"] for row in rows if row["uptime"] is not None), default=None),
            "down_ms": max(row["down_ms"] for row in rows),
            "outages": sum(row["outages"] for row in rows),
        }
        for name, rows in sorted(grouped.items())
    ]


def _slo(slo: Slo, now: Measured, before: Measured) -> dict[str, Any]:
    """`budget_used` 1 = all of it is gone; above, the objective was missed."""
    return {
        "name": slo.name,
        "owner": slo.owner,
        "service": slo.service,
        "target": slo.target,
        "value": now.whole,
        "value_before": before.whole,
        "budget_used": None if now.whole is None else max(0.0, (1 - now.whole) / (1 - slo.target)),
        "met": None if now.whole is None else now.whole >= slo.target,
        "days": _known(now.days),
        "error": now.error,
    }


def _kpi(kpi: Kpi, now: Measured, before: Measured) -> dict[str, Any]:
    met = None
    if now.whole is not None and kpi.target is not None:
        met = now.whole <= kpi.target if kpi.at_most else now.whole >= kpi.target
    return {
        "name": kpi.name,
        "owner": kpi.owner,
        "unit": kpi.unit,
        "target": kpi.target,
        "at_most": kpi.at_most,
        "value": now.whole,
        "value_before": before.whole,
        "met": met,
        "change": change_json(of_samples(before.days, now.days)),
        "days": _known(now.days),
        "error": now.error,
    }


def _incidents(now: Mapping[str, Any], before: Mapping[str, Any], *, comparable: bool) -> dict[str, Any]:
    """A time before in which Tocsin was not there yet had no incidents, and says nothing."""

    def change(name: str) -> dict[str, Any]:
        return change_json(of_counts(before[name], now[name]) if comparable else Change(None, float(now[name]), None, 1.0))

    names = ("acknowledged", "resolved", "reopened", "mtta_ms", "median_tta_ms", "mttr_ms", "median_ttr_ms")
    return {
        "incidents": change("incidents"),
        "pages": change("pages"),
        **{name: now[name] for name in (*names, "median_first_page_ms")},
        **{f"{name}_before": before[name] for name in ("mtta_ms", "mttr_ms")},
        "severities": now["severities"],
        "weeks": now["weeks"],
        "answered_by": now["answered_by"],
    }


def _known(days: Sequence[float]) -> list[float | None]:
    return [None if value != value else value for value in days]


# -- in words --


def summary(report: Mapping[str, Any]) -> list[str]:
    """What a reader with half a minute should know; every sentence follows from the figures below it."""
    said = (_said_of_slos(report), _said_of_checks(report), *_said_of_pages(report), _said_of_latency(report))
    return [text for text in said if text]


def _said_of_slos(report: Mapping[str, Any]) -> str:
    rows = [row for row in (*report["slos"], *report["kpis"]) if row["met"] is not None]
    missed = [row["name"] for row in rows if not row["met"]]
    if not rows:
        return ""
    if missed:
        return f"Missed: {', '.join(missed)} ({len(rows) - len(missed)} of {len(rows)} targets met)."
    return f"All {len(rows)} targets met." if len(rows) > 1 else f"The target of {rows[0]['name']} is met."


def _said_of_checks(report: Mapping[str, Any]) -> str:
    known = [row for row in report["checks"] if row["uptime"] is not None]
    if not known:
        return "Nothing is known of any check in this time."
    failed = [row for row in known if row["outages"]]
    if not failed:
        return f"{'All' if len(known) > 1 else 'The'} {_of(len(known), 'check')} {_was(len(known))} up the whole time."
    worst = failed[0]
    return (
        f"{len(failed)} of {len(known)} checks had outages; {worst['name']} was down the longest part: "
        f"{human_duration(worst['down_ms'])}, {worst['uptime']:.3%} up."
    )


def _said_of_pages(report: Mapping[str, Any]) -> list[str]:
    incidents, pages = report["incidents"]["incidents"], report["incidents"]["pages"]
    said = [f"{_counted(incidents, 'incident')} and {_counted(pages, 'page')}{_than_before(pages)}."]
    asleep = sum(person["sleep"] for person in report["people"])
    if asleep:
        said.append(f"{asleep} of the pages woke somebody (23:00 to 07:00).")
    noisy = [row for row in report["rules"] if row["noise"] or row["quick"]]
    if noisy:
        first = noisy[0]
        said.append(f"Noisiest rule: {first['rule']} with {first['pages']} pages, {first['quick']} over before anybody looked.")
    return said


def _said_of_latency(report: Mapping[str, Any]) -> str:
    slower = [row for row in report["checks"] if row["latency"]["significant"] and (row["latency"]["ratio"] or 0) > 0]
    faster = [row for row in report["checks"] if row["latency"]["significant"] and (row["latency"]["ratio"] or 0) < 0]
    parts = [
        f"{', '.join(map(_moved, rows[:3]))} {word} than before"
        for rows, word in ((slower, "slower"), (faster, "faster"))
        if rows
    ]
    return f"Latency beyond chance: {'; '.join(parts)}." if parts else ""


def _of(count: int, word: str) -> str:
    return word if count == 1 else f"{count} {word}s"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _moved(row: Mapping[str, Any]) -> str:
    return f"{row['name']} {abs(row['latency']['ratio']):.0%}"


def _counted(change: Mapping[str, Any], word: str) -> str:
    count = int(change["after"] or 0)
    return f"{count} {word}{'' if count == 1 else 's'}"


def _than_before(change: Mapping[str, Any]) -> str:
    before = int(change["before"] or 0)
    if not change["significant"]:
        return f" (before: {before}, no more than chance)" if before else ""
    return f", {'more' if change['after'] > before else 'fewer'} than the {before} before (p {change['p']:.3f})"
