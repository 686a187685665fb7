"""What rule templates and receiver templates share: functions over text, and times."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any

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
            "UTC": self,
            "IsZero": self._moment.year == 1,
        }
        return parts[name]

    def _format(self, layout: str) -> str:
        return _GO_LAYOUT.sub(lambda match: self._moment.strftime(_GO_PARTS[match.group()]), layout)

    def __str__(self) -> str:
        return f"{self._moment:%Y-%m-%d %H:%M:%S} +0000 UTC"


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
