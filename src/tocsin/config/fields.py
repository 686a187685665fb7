"""Field types for what operators write: durations, names, times of day; and pydantic's errors in our words."""

from __future__ import annotations

from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from tocsin.errors import Problem
from tocsin.formats.yaml_tree import Path, Tree, path_text
from tocsin.model.duration import duration_setting_ms
from tocsin.model.incident import DAYS

_DAY_NAMES = dict(zip(DAYS, ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"), strict=True))


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values do not change."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, populate_by_name=True)


def _minute_of_day(value: Any) -> int:
    hours, colon, minutes = str(value).partition(":")
    if not (colon and hours.isdigit() and minutes.isdigit() and int(hours) <= 24 and int(minutes) < 60):
        raise ValueError("expected a time of day such as 22:00")
    total = int(hours) * 60 + int(minutes)
    if total > 1440:
        raise ValueError("expected a time of day up to 24:00")
    return total


def _weekday(value: Any) -> str:
    name = str(value).strip().lower()
    short = next((day for day in DAYS if name in (day, _DAY_NAMES[day])), "")
    if not short:
        raise ValueError(f"expected a day such as mon or monday, not {value!r}")
    return short


def _time_zone(value: Any) -> str:
    try:
        ZoneInfo(str(value))
    except (KeyError, ValueError, OSError):
        raise ValueError(f"unknown time zone {value!r}; expected an IANA name such as Europe/Paris or UTC") from None
    return str(value)


def _one_or_many(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) else [value]


def _text(value: Any) -> Any:
    """A number where a text is meant (a phone number, a version) is taken as it was written."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


DurationMs = Annotated[int, BeforeValidator(duration_setting_ms)]
MinuteOfDay = Annotated[int, BeforeValidator(_minute_of_day)]
TimeZone = Annotated[str, BeforeValidator(_time_zone)]
Text = Annotated[str, BeforeValidator(_text)]
Weekday = Annotated[str, BeforeValidator(_weekday)]
Weekdays = Annotated[tuple[Weekday, ...], BeforeValidator(_one_or_many)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_one_or_many)]
TextMap = Annotated[dict[str, Text], Field(default_factory=dict)]


def problems_of(error: ValidationError, tree: Tree, prefix: Path = ()) -> list[Problem]:
    """Each of pydantic's complaints with file, line, field path and a sentence."""
    out = []
    for detail in error.errors(include_url=False):
        path = (*prefix, *(part for part in detail["loc"] if _in_document(part)))
        out.append(Problem(tree.place(path), path_text(path), _sentence(detail)))
    return out


def _in_document(part: str | int) -> bool:
    # pydantic adds names of union members and validators to the path; they are not in the file.
    return isinstance(part, int) or not any(c in part for c in "[(-") or part.isidentifier()


def _sentence(detail: ErrorDetails) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return f"unknown key {str(detail['loc'][-1])!r}; check the spelling or remove it"
        case "missing":
            return f"the key {str(detail['loc'][-1])!r} is missing"
        case "value_error":
            return str(detail["ctx"]["error"])
        case _:
            given = repr(detail["input"])
            return f"{detail['msg'][0].lower()}{detail['msg'][1:]}, got {given if len(given) < 80 else given[:77] + '...'}"
