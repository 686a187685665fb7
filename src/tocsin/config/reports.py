"""KPIs, objectives and scheduled reports of the file -> what the reporter works with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tocsin.config.schema import KpiSection, OwnSections
from tocsin.errors import ParseError, Problem
from tocsin.formats.yaml_tree import Path, Tree, path_text
from tocsin.incidents.people import Directory
from tocsin.promql.parser import parse
from tocsin.report.plan import Kpi, ReportPlan, Slo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Reports:
    plans: tuple[ReportPlan, ...]
    kpis: tuple[Kpi, ...]
    slos: tuple[Slo, ...]
    problems: tuple[Problem, ...]


def read_reports(own: OwnSections, tree: Tree, directory: Directory, checks: Collection[str]) -> Reports:
    """Expressions are parsed here, names looked up; what is wrong has its place."""
    problems: list[Problem] = []

    def refuse(path: Path, message: str) -> None:
        problems.append(Problem(tree.place(path), path_text(path), message))

    named: dict[str, list[tuple[str, str]]] = {
        "kpis": [(kpi.name, kpi.expr) for kpi in own.kpis],
        "slos": [(slo.name, slo.expr) for slo in own.slos],
        "report": [(plan.name, "") for plan in own.report],
    }
    for key, items in named.items():
        for i, (name, expr) in enumerate(items):
            if name in (before for before, _ in items[:i]):
                refuse((key, i, "name"), f"{name!r} stands twice under {key}")
            if wrong := _wrong_expr(expr):
                refuse((key, i, "expr"), wrong)
    for i, slo in enumerate(own.slos):
        if slo.check and slo.check not in checks:
            text = f"no check of this file has the id {slo.check!r}; nothing is known of it until there is one"
            path = ("slos", i, "check")
            problems.append(Problem(tree.place(path), path_text(path), text, warning=True))
    for i, plan in enumerate(own.report):
        for name in plan.to:
            if name not in directory.persons and name not in directory.receivers:
                refuse(("report", i, "to"), f"{name!r} is neither a user nor a receiver")
    return Reports(
        plans=tuple(
            ReportPlan(r.name, r.every, _DAYS.index(r.on), r.at, r.time_zone, r.to, r.title or f"{r.name}: last {r.every}")
            for r in own.report
        ),
        kpis=tuple(_kpi(kpi) for kpi in own.kpis),
        slos=tuple(Slo(s.name, s.target, s.expr, s.check, s.owner, s.service) for s in own.slos),
        problems=tuple(problems),
    )


def _kpi(kpi: KpiSection) -> Kpi:
    text = "" if kpi.target is None else str(kpi.target).strip()
    target = float(text.lstrip("<>= ")) if text else None
    return Kpi(kpi.name, kpi.expr, target, text.startswith("<="), kpi.owner, kpi.unit)


def _wrong_expr(expr: str) -> str:
    """What is wrong with it; empty = nothing (or there is none)."""
    if not expr:
        return ""
    try:
        parse(expr.replace("$window", "7d"))
    except ParseError as error:
        return f"not PromQL: {error}"
    return ""
