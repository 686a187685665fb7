"""A dashboard of Grafana's classic model -> one of ours: every query is tried, panels with pictures of ours are kept.

Grafana stays the builder: what is taken is a dashboard to read, as a file would declare it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from tocsin.collect.catalog import slug
from tocsin.config.additions import dump
from tocsin.config.imports.plan import Known, Plan, Taken
from tocsin.errors import Place
from tocsin.web.boards.board import COLUMNS, Dashboard, readable

_KINDS = {
    "timeseries": "timeseries", "graph": "timeseries", "stat": "stat", "singlestat": "stat", "gauge": "stat", "table": "table",
    "table-old": "table", "bargauge": "bars", "barchart": "bars", "piechart": "bars", "heatmap": "heatmap", "text": "text",
}  # fmt: skip
_UNITS = {
    "s": "s", "bytes": "bytes", "decbytes": "bytes", "Bps": "bytes/s", "binBps": "bytes/s", "percentunit": "ratio",
    "reqps": "/s", "ops": "/s", "cps": "/s", "d": "days", "bool": "bool", "bool_on_off": "bool",
}  # fmt: skip
_BUILT_IN = {"__rate_interval", "__interval", "__range"}
_VALUES_OF = re.compile(r"label_values\(\s*(?:(.+?)\s*,\s*)?([a-zA-Z_]\w*)\s*\)", re.DOTALL)
_USED = re.compile(r"\$\{(\w+)(?::[^}]*)?\}|\[\[(\w+)(?::[^\]]*)?\]\]|\$(\w+)")
_VAGUE_MATCHER = re.compile(r"""(!?)=\s*(["'])(\$\w+)\2""")
_BAD = ("red", "dark-red", "semi-dark-red", "#d44a3a", "#f2495c", "#e24d42", "#bf1b00")
_DOUBTFUL = ("orange", "yellow", "dark-orange", "semi-dark-orange", "dark-yellow", "#ff9830", "#fade2a", "#eab839", "#ed8128")


def is_dashboard(value: Any) -> bool:
    inner = value.get("dashboard", value) if isinstance(value, Mapping) else None
    return _is_v2(value) or (isinstance(inner, Mapping) and any(key in inner for key in ("panels", "rows", "elements")))


def _is_v2(value: Any) -> bool:
    spec = value.get("spec") if isinstance(value, Mapping) else None
    return isinstance(spec, Mapping) and "elements" in spec


def read_grafana(plan: Plan, value: Mapping[str, Any], file: str, known: Known) -> None:
    plan.titles.append(file)
    if _is_v2(value) or "elements" in value:
        plan.leave(Place(file), "spec.elements", "this is Grafana's new model (v2); export it as classic JSON")
        return
    spec = value.get("spec")
    inner: Mapping[str, Any] = value.get("dashboard") or (spec if isinstance(spec, Mapping) else value)
    title = str(inner.get("title") or file)
    name = re.sub(r"^[^a-z]+", "", slug(title))[:60] or "imported"
    if name in known.boards:
        plan.leave(Place(file), "title", f"there is a dashboard {name!r} already; it stays as it is")
        return
    reader = _Reader(plan, file)
    board = reader.board(inner, name, title)
    if board is None:
        plan.leave(Place(file), "panels", "nothing of it can be shown")
        return
    plan.files[f"{name}.yaml"] = dump(board)
    plan.add_list("dashboard_files", [f"{name}.yaml"])
    panels = sum(len(section["panels"]) for section in board["sections"])
    plan.taken.append(Taken("dashboard", title, f"{panels} panel{'' if panels == 1 else 's'} at /d/{name}"))
    plan.taken += reader.taken


class _Reader:
    """Of one dashboard."""

    def __init__(self, plan: Plan, file: str) -> None:
        self._plan = plan
        self._file = file
        self.taken: list[Taken] = []
        self._labels: dict[str, str] = {}
        """Variable -> the label whose values it has."""
        self._constants: dict[str, str] = {}

    def board(self, raw: Mapping[str, Any], name: str, title: str) -> dict[str, Any] | None:
        variables = list(self._variables((raw.get("templating") or {}).get("list") or []))
        sections = [
            {"title": heading or title, "panels": panels}
            for heading, found in self._rows(raw)
            if (panels := [panel for one in found if (panel := self._panel(one)) is not None])
        ]
        if not sections:
            return None
        since = str((raw.get("time") or {}).get("from", ""))
        board = {
            "name": name,
            "title": title,
            "description": str(raw.get("description") or ""),
            "variables": variables,
            "sections": sections,
            **({"range": since} if re.fullmatch(r"now-\d+[smhdw]", since) else {}),
        }
        try:
            Dashboard.model_validate(board)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            self._leave(".".join(map(str, first["loc"])), str(first["msg"]))
            return None
        return board

    def _leave(self, path: str, text: str) -> None:
        self._plan.leave(Place(self._file), path, text)

    # -- variables -----------------------------------------------------------------------------------------------------

    def _variables(self, listed: list[Any]) -> Iterator[dict[str, str]]:
        seen: set[str] = set()
        for number, one in enumerate(listed):
            name, kind = str(one.get("name", "")), one.get("type")
            if kind == "datasource":
                continue
            if kind in ("constant", "custom", "interval", "textbox"):
                self._constants[name] = _chosen(one)
                self.taken.append(Taken("variable", name, f"as it stands: {self._constants[name]}"))
                continue
            query = one.get("query")
            found = _VALUES_OF.fullmatch(str(query.get("query", "") if isinstance(query, Mapping) else query or "").strip())
            if kind != "query" or found is None:
                self._leave(
                    f"templating.list[{number}] {name!r}", "only label_values(series, label) is known; its panels are left"
                )
                continue
            label = found[2]
            self._labels[name] = label
            if label not in seen:
                seen.add(label)
                yield {"name": label, "of": _selector(found[1], label), "title": str(one.get("label") or name)}

    def _filled(self, query: str) -> str:
        """Our own spelling: `$label` in a regular expression. Raises ValueError for a variable that is not there."""

        def one(found: re.Match[str]) -> str:
            name = found[1] or found[2] or found[3]
            if name in _BUILT_IN:
                return f"${name}"
            if name in self._constants:
                return self._constants[name]
            if name in self._labels:
                return f"${self._labels[name]}"
            raise ValueError(f"${name} is not a variable that Tocsin knows")

        return _VAGUE_MATCHER.sub(lambda found: f'{found[1] or "="}~"{found[3]}"', _USED.sub(one, query))

    # -- panels --------------------------------------------------------------------------------------------------------

    def _rows(self, raw: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
        """(heading, panels): rows fold panels into themselves, or stand before them."""
        sections: list[tuple[str, list[Any]]] = [("", [])]
        for row in raw.get("rows") or []:  # the model before 2018
            sections.append((str(row.get("title") or ""), list(row.get("panels") or [])))
        for panel in raw.get("panels") or []:
            if panel.get("type") == "row":
                sections.append((str(panel.get("title") or ""), list(panel.get("panels") or [])))
            else:
                sections[-1][1].append(panel)
        return sections

    def _panel(self, raw: Mapping[str, Any]) -> dict[str, Any] | None:
        title = str(raw.get("title") or raw.get("type") or "panel")
        place = f"panel {raw.get('id', '?')} {title!r}"
        kind = _KINDS.get(str(raw.get("type", "")))
        if raw.get("alert"):
            self._leave(place, "the alert of the panel is left: write it as a rule")
        if kind is None:
            self._leave(place, f"there is no picture of the kind {raw.get('type')!r}")
            return None
        width = min(max(int((raw.get("gridPos") or {}).get("w", raw.get("span", 4) * 2)), 3), COLUMNS)
        shown = {"title": title, "kind": kind, "width": width, "description": str(raw.get("description") or "")}
        if kind == "text":
            text = str((raw.get("options") or {}).get("content") or raw.get("content") or "")
            return {**shown, "text": text} if text else None
        queries = self._queries(raw, place)
        if not queries:
            return None
        self.taken.append(Taken("panel", title, f"{kind}: {'; '.join(queries.values())}"))
        defaults = (raw.get("fieldConfig") or {}).get("defaults") or {}
        unit = _UNITS.get(str(defaults.get("unit") or raw.get("format") or ""), "")
        return {**shown, "unit": unit, "queries": queries, "thresholds": _thresholds(defaults.get("thresholds") or {})}

    def _queries(self, raw: Mapping[str, Any], place: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for number, target in enumerate(raw.get("targets") or []):
            ref = str(target.get("refId") or number + 1)
            if target.get("hide"):
                continue
            if not target.get("expr"):
                self._leave(f"{place} {ref}", "this is no PromQL query")
                continue
            try:
                query = self._filled(str(target["expr"]).strip())
                readable(query)
            except ValueError as error:
                self._leave(f"{place} {ref}", str(error))
                continue
            legend = str(target.get("legendFormat") or "")
            legend = "" if legend == "__auto" else re.sub(r"\{\{\s*(\w+)\s*\}\}", r"{{\1}}", legend)
            found[legend if legend and legend not in found else f"{legend} {ref}".strip()] = query
        return found


def _chosen(variable: Mapping[str, Any]) -> str:
    """What a variable without a query stands at: its value, or its first choice."""
    value = (variable.get("current") or {}).get("value") or str(variable.get("query") or "").split(",")[0]
    values = [str(one) for one in (value if isinstance(value, list) else [value])]
    return ".*" if values in (["$__all"], []) else "|".join(values)


def _selector(text: str | None, label: str) -> str:
    """The series that have the label; matchers that hang on other variables are left out."""
    if not text:
        return f'{{{label}!=""}}'
    name, brace, inside = text.strip().partition("{")
    kept = (
        [one.strip() for one in inside.rstrip("} ").split(",") if one.strip() and "$" not in one and "[[" not in one]
        if brace
        else []
    )
    selector = f"{name.strip()}{{{','.join(kept)}}}" if kept else name.strip() or f'{{{label}!=""}}'
    try:
        readable(selector)
    except ValueError:
        return f'{{{label}!=""}}'
    return selector


def _thresholds(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Of absolute steps in the usual colours; where the lowest is red, small values are bad."""
    steps = raw.get("steps") or []
    if raw.get("mode", "absolute") != "absolute" or len(steps) < 2:
        return {}
    colours = [str(step.get("color", "")).lower() for step in steps]
    below = colours[0] in _BAD
    found: dict[str, Any] = {"below": below}
    for number, colour in enumerate(colours):
        # Where small values are bad, a step ends where the next one begins.
        edge = steps[number + 1].get("value") if below and number + 1 < len(steps) else steps[number].get("value")
        key = "critical" if colour in _BAD else "warning" if colour in _DOUBTFUL else ""
        if key and isinstance(edge, int | float) and (not below or number + 1 < len(steps)):
            found.setdefault(key, float(edge))
    return found if len(found) > 1 else {}
