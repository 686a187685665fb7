"""The `alert:` block of an objective."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator

from tocsin.config.fields import DurationMs, Section, TextMap

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED = frozenset({"__name__", "alertname", "alertstate", "check", "service", "severity", "slo", "window"})


class SloAlertSection(Section):
    """Rules that fire when the error budget burns too fast: 14.4x over 1h and 5m and 6x over 6h and 30m page, 1x over 3d and 6h
    is a ticket."""

    enabled: bool = True
    page: str = "critical"
    """Severity of the two quick ones; `false`: nobody is paged."""
    ticket: str = "warning"
    """Severity of the slow one; `false`: there is none."""
    for_: DurationMs = Field(0, alias="for")
    """The condition must hold this long first. The short windows do that already: rarely needed."""
    min_errors: int = Field(10, ge=0)
    """So many errors in the long window, or nothing fires: one error of three requests is no burn. Known for `1 - bad / all` and
    `good / all` of counters; not asked of a `check`, which confirms its failures itself."""
    errors: str = ""
    """PromQL of the number of errors in `$window`, where `expr` does not tell it: `sum(increase(errors_total[$window]))`."""
    labels: TextMap
    """Such as `team: payments`."""
    annotations: TextMap

    @field_validator("page", "ticket", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return "" if value is False else value

    @field_validator("labels")
    @classmethod
    def _label_names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not _LABEL_NAME.fullmatch(name) or name in _RESERVED:
                taken = ", ".join(sorted(_RESERVED))
                raise ValueError(f"{name!r} cannot be a label here (letters, digits, _; not {taken})")
        return value


NO_ALERT = SloAlertSection(enabled=False, labels={}, annotations={})


def short_form(value: Any) -> Any:
    """`alert: true`, as in the `alert:` of a check."""
    return {"enabled": value} if isinstance(value, bool) else value
