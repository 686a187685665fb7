"""`maintenance`: planned work, once or by an RRULE, in the local time of a zone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tocsin.config.fields import DurationMs, Section, TimeZone
from tocsin.formats.matchers import parse_matchers
from tocsin.model.labels import Matcher
from tocsin.model.recurrence import Occurrences, Recurrence, parse_rrule
from tocsin.model.route import MaintenanceWindow


def _matchers(value: Any) -> tuple[Matcher, ...]:
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ValueError("expected matchers such as ['service=\"shop\"']")
    return tuple(matcher for line in lines for matcher in parse_matchers(line))


def _wall(value: Any) -> datetime:
    try:
        wall = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"expected a local time such as 2026-11-22 22:00, got {value!r}") from None
    if wall.tzinfo is not None:
        raise ValueError("expected a local time without an offset; name the zone in time_zone")
    return wall


def _rule(value: Any) -> Recurrence:
    return parse_rrule(str(value))


Wall = Annotated[datetime, BeforeValidator(_wall)]


class MaintenanceSection(Section):
    """A window. Alerts that match are recorded and nobody is told; what still fires at its end is told at once."""

    name: str = Field(min_length=1)
    matchers: Annotated[tuple[Matcher, ...], BeforeValidator(_matchers)]
    start: Wall
    """Local time of the first (or only) occurrence."""
    end: Wall | None = None
    """Local end of the first occurrence; or give `duration`."""
    duration: DurationMs = 0
    rrule: Annotated[Recurrence, BeforeValidator(_rule)] | None = None
    """Such as `FREQ=WEEKLY;BYDAY=SU`; left out = once."""
    time_zone: TimeZone = "UTC"
    comment: str = ""
    public: str = ""
    """What status pages with affected components say of it; its name and comment are never shown there."""

    @field_validator("matchers")
    @classmethod
    def _some(cls, value: tuple[Matcher, ...]) -> tuple[Matcher, ...]:
        if not value or all(matcher.matches_empty for matcher in value):
            raise ValueError("at least one matcher must not match an empty value; a window over everything is not meant")
        return value

    @model_validator(mode="after")
    def _length(self) -> MaintenanceSection:
        if (self.end is None) == (self.duration == 0):
            raise ValueError("give either end or duration")
        if self._duration_ms() <= 0:
            raise ValueError("the end must be after the start")
        return self

    def _duration_ms(self) -> int:
        if self.end is None:
            return self.duration
        return int((self.end - self.start).total_seconds() * 1000)

    def build(self) -> MaintenanceWindow:
        occurrences = Occurrences(self.rrule, self.start, self._duration_ms(), self.time_zone)
        return MaintenanceWindow(self.name, self.matchers, occurrences, self.comment, self.public)
