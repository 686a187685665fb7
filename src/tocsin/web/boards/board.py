"""A dashboard as a file: variables, and panels of named PromQL queries in sections.

    name: hosts
    title: Hosts
    variables: [{name: instance, of: node_boot_time_seconds}]
    sections:
      - title: CPU
        panels:
          - {title: Load, queries: {"{{instance}}": 'node_load1{instance=~"$instance"}'}}

`$instance` stands for the chosen values of a variable, as a regular expression; `$__rate_interval` for a range that holds
enough scrapes.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tocsin.errors import ParseError
from tocsin.promql import ast
from tocsin.promql.parser import parse

Kind = Literal["timeseries", "stat", "table", "bars", "heatmap", "honeycomb", "timeline", "strip", "calendar", "text"]
Unit = Literal["", "s", "bytes", "bytes/s", "ratio", "/s", "days", "bool"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
COLUMNS = 24
MOST_PANELS = 200

# What the dashboard and Grafana fill in by themselves; any length will do to see whether the query can be read.
_BUILT_IN = {"$__rate_interval": "1m", "$__interval": "1m", "$__range": "1h"}
_USED = re.compile(r"\$(\w+)")


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)


class Thresholds(_Part):
    """From where on a value is drawn as a warning or as critical; `below`: down to where."""

    warning: float | None = None
    critical: float | None = None
    below: bool = False


class Panel(_Part):
    """One picture. `queries` maps a legend (`{{label}}` is filled in) to PromQL."""

    title: str
    kind: Kind = "timeseries"
    unit: Unit = ""
    description: str = ""
    queries: dict[str, str] = Field(default_factory=dict)
    text: str = ""
    """What a panel of kind `text` says."""
    width: Annotated[int, Field(ge=3, le=COLUMNS)] = 8
    thresholds: Thresholds = Thresholds()
    fill: Literal["lines", "area", "stacked"] = "lines"
    """How a `timeseries` is drawn."""
    full: Annotated[float, Field(gt=0)] | None = None
    """Of `bars`: the value at which a bar is full; left out = that of the longest."""

    @field_validator("queries")
    @classmethod
    def _readable(cls, queries: dict[str, str]) -> dict[str, str]:
        for query in queries.values():
            readable(query)
        return queries

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.kind == "text" and not self.text:
            raise ValueError("a panel of kind text needs `text`")
        if self.kind != "text" and not self.queries:
            raise ValueError("expected at least one query, such as queries: {up: up}")
        return self


class Section(_Part):
    title: str
    panels: tuple[Panel, ...]


class Variable(_Part):
    """A label whose values the reader chooses from; `of` is a selector of the series that have it."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z_]\w*$")]
    of: str
    title: str = ""

    @field_validator("of")
    @classmethod
    def _selector(cls, text: str) -> str:
        if not isinstance(readable(text), ast.VectorSelector):
            raise ValueError(f"expected a selector such as up{{job='shop'}}, got {text!r}")
        return text


class Dashboard(_Part):
    """One dashboard; `name` is its address: /d/{name}."""

    name: Name
    title: str
    description: str = ""
    variables: tuple[Variable, ...] = ()
    sections: tuple[Section, ...]
    range: Annotated[str, Field(pattern=r"^now-\d+[smhdw]$")] = "now-6h"
    """The time range it opens with."""

    @model_validator(mode="after")
    def _variables_exist(self) -> Self:
        known = {variable.name for variable in self.variables}
        for section in self.sections:
            for panel in section.panels:
                for query in panel.queries.values():
                    unknown = {name for name in _USED.findall(query) if f"${name}" not in _BUILT_IN} - known
                    if unknown:
                        raise ValueError(f"panel {panel.title!r} uses ${sorted(unknown)[0]}, which is not among `variables`")
        return self

    @model_validator(mode="after")
    def _not_endless(self) -> Self:
        if len(self.panels) > MOST_PANELS:
            raise ValueError(f"{len(self.panels)} panels: expected at most {MOST_PANELS}")
        return self

    @property
    def panels(self) -> list[Panel]:
        return [panel for section in self.sections for panel in section.panels]


def readable(query: str) -> ast.Expr:
    """The expression with stand-ins for what is filled in later. Raises ValueError naming the place."""
    text = query
    for name, stand_in in _BUILT_IN.items():
        text = text.replace(name, stand_in)
    try:
        return parse(text)
    except ParseError as error:
        raise ValueError(f"{error} in {query!r}") from None
