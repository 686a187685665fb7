"""What rule templates and receiver templates share: functions over text, and times."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import re2


class Moment:
    """A time as a template sees it: Format, Unix, Year ... The zero value is Go's year 1."""

    def __init__(self, moment: dt.datetime) -> None:
        self._moment = moment

    def template_field(self, name: str) -> Any:
        parts: dict[str, Any] = {
            "Year": self._moment.year,
            "Day": self._moment.day,
            "Hour": self._moment.hour,
            "Minute": self._moment.minute,
            "Second": self._moment.second,
            "Month": f"{self._moment:%B}",
            "Weekday": f"{self._moment:%A}",
            "Unix": int(self._moment.timestamp()),
            "Format": self._format,
            "YearDay": self._moment.timetuple().tm_yday,
            "Add": self._add,
            "UTC": self,
            "IsZero": self._moment.year == 1,
        }
        return parts[name]

    def timestamp(self) -> float:
        """Seconds since 1970 UTC."""
        return self._moment.timestamp()

    def in_zone(self, name: str) -> Moment:
        """The same instant on the clocks of a time zone. Raises ZoneInfoNotFoundError."""
        return Moment(self._moment.astimezone(ZoneInfo(name)))

    def _format(self, layout: str) -> str:
        return _GO_LAYOUT.sub(lambda match: self._moment.strftime(_GO_PARTS[match.group()]), layout)

    def _add(self, span: Span) -> Moment:
        return Moment(self._moment + dt.timedelta(seconds=span.seconds))

    def __str__(self) -> str:
        fraction = f".{self._moment.microsecond:06d}".rstrip("0") if self._moment.microsecond else ""
        return f"{self._moment:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


class Span:
    """A length of time as a template sees it: prints as Go's `1h1m1.5s`, and knows Hours, Minutes, Seconds, Milliseconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def template_field(self, name: str) -> Any:
        parts: dict[str, Any] = {
            "Hours": self.seconds / 3600,
            "Minutes": self.seconds / 60,
            "Seconds": self.seconds,
            "Milliseconds": int(self.seconds * 1000),
            "String": str(self),
        }
        return parts[name]

    def __str__(self) -> str:
        nanoseconds = round(abs(self.seconds) * 1e9)
        sign = "-" if self.seconds < 0 else ""
        if nanoseconds == 0:
            return "0s"
        for limit, unit, size in ((1_000, "ns", 1), (1_000_000, "µs", 1_000), (1_000_000_000, "ms", 1_000_000)):
            if nanoseconds < limit:
                return f"{sign}{_decimal(nanoseconds, size)}{unit}"
        minutes, rest = divmod(nanoseconds, 60_000_000_000)
        hours, minutes = divmod(minutes, 60)
        seconds = f"{_decimal(rest, 1_000_000_000)}s"
        if hours:
            return f"{sign}{hours}h{minutes}m{seconds}"
        return f"{sign}{minutes}m{seconds}" if minutes else sign + seconds


def _decimal(value: int, size: int) -> str:
    """value / size without roundings and without zeros at the end."""
    whole, fraction = divmod(value, size)
    digits = str(fraction).zfill(len(str(size)) - 1).rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)


_GO_PARTS = {
    "2006": "%Y", "January": "%B", "Jan": "%b", "01": "%m", "Monday": "%A", "Mon": "%a", "02": "%d", "15": "%H",
    "03": "%I", "04": "%M", "05": "%S", "PM": "%p", "MST": "%Z", "-0700": "%z", "06": "%y",
}  # fmt: skip
_GO_LAYOUT = re.compile("|".join(map(re.escape, sorted(_GO_PARTS, key=len, reverse=True))))


def _re_replace(pattern: str, replacement: str, text: str) -> str:
    """Go's ReplaceAllString: `$1`, `${name}` in the replacement."""
    compiled = re2.compile(pattern)

    def fill(match: Any) -> str:
        def group(reference: re.Match[str]) -> str:
            name = reference.group(1) or reference.group(2)
            try:
                return match.group(int(name) if name.isdecimal() else name) or ""
            except (IndexError, KeyError):
                return ""

        return re.sub(r"\$(?:\{(\w+)\}|(\w+))|\$\$", lambda m: "$" if m.group() == "$$" else group(m), replacement)

    return str(compiled.sub(fill, text))


TEXT_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "reReplaceAll": _re_replace,
    "match": lambda pattern, text: re2.search(pattern, text) is not None,
    "safeHtml": lambda text: text,
    "title": lambda text: re.sub(r"(^|[^\w'])(\w)", lambda m: m.group(1) + m.group(2).upper(), text),
    "toUpper": lambda text: text.upper(),
    "toLower": lambda text: text.lower(),
}
