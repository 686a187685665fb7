"""Parameters of Prometheus's API: instants, durations, limits and selectors, with its own error texts.

Source: `parseTime`, `parseDuration` and `parseLimitParam` of Prometheus 3.5, pinned by tests/web/test_prometheus_api.py.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from tocsin.errors import ParseError
from tocsin.model.duration import parse_duration_ms
from tocsin.model.labels import Matcher, quote
from tocsin.promql.parser import parse_selector
from tocsin.web.forms import Parameters
from tocsin.web.problem import Refused

MIN_MS = -(1 << 53)
MAX_MS = 1 << 53
"""Beyond every instant there is; clamped here so that nothing after us overflows."""

LONGEST_SELECTORS = 1024 * 1024
"""Characters of all `match[]` together."""
_MOST_POINTS = 11_000
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_GO_MIN_TIME = "-292273086-05-16T16:47:06Z"
_GO_MAX_TIME = "292277025-08-18T07:12:54.999999999Z"


class BadParameter(Refused):
    """`invalid parameter "x": ...`"""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(400, "bad_data", f"invalid parameter {quote(name)}: {problem}")


def parse_time_ms(text: str) -> int:
    """Float seconds or RFC 3339 -> ms. Raises ValueError in Prometheus's words."""
    seconds = _number(text)
    if seconds is not None:
        if not math.isfinite(seconds):
            return MAX_MS if seconds > 0 else MIN_MS
        return max(MIN_MS, min(MAX_MS, round(seconds * 1000)))
    if text == _GO_MIN_TIME:
        return MIN_MS
    if text == _GO_MAX_TIME:
        return MAX_MS
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"cannot parse {quote(text)} to a valid timestamp")
    try:
        whole = datetime.fromisoformat(f"{text[:19]}{match[8].replace('Z', '+00:00')}").astimezone(UTC)
    except ValueError:
        raise ValueError(f"cannot parse {quote(text)} to a valid timestamp") from None
    return int(whole.timestamp()) * 1000 + int((match[7] or "0").ljust(9, "0")[:3])


def parse_step_ms(text: str) -> int:
    """Float seconds or a duration -> ms. Raises ValueError."""
    seconds = _number(text)
    if seconds is not None:
        if not math.isfinite(seconds) or abs(seconds) > 9.2e9:
            raise ValueError(f"cannot parse {quote(text)} to a valid duration. It overflows int64")
        return int(seconds * 1000)
    try:
        return parse_duration_ms(text)
    except ValueError:
        raise ValueError(f"cannot parse {quote(text)} to a valid duration") from None


def _number(text: str) -> float | None:
    """As Go's ParseFloat reads it: no underscores, no surrounding space."""
    if not text or "_" in text or text != text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def time_parameter(parameters: Parameters, name: str, default_ms: int | None) -> int:
    """An instant in ms; the default when absent (None = required)."""
    text = parameters.get(name)
    if not text and default_ms is not None:
        return default_ms
    try:
        return parse_time_ms(text)
    except ValueError as error:
        problem = f"invalid time value for '{name}': {error}" if default_ms is not None else str(error)
        raise BadParameter(name, problem) from None


def duration_parameter(parameters: Parameters, name: str, default_ms: int) -> int:
    text = parameters.get(name)
    if not text:
        return default_ms
    try:
        return parse_step_ms(text)
    except ValueError as error:
        raise BadParameter(name, str(error)) from None


def lookback_parameter(parameters: Parameters) -> int:
    """ms; 0 = the default."""
    try:
        return duration_parameter(parameters, "lookback_delta", 0)
    except BadParameter as error:
        text = str(error).removeprefix('invalid parameter "lookback_delta": ')
        raise Refused(400, "bad_data", f"error parsing lookback delta duration: {text}") from None


def range_parameters(parameters: Parameters) -> tuple[int, int, int]:
    """start_ms, end_ms, step_ms of a range query, checked in Prometheus's order."""
    start_ms = time_parameter(parameters, "start", None)
    end_ms = time_parameter(parameters, "end", None)
    if end_ms < start_ms:
        raise BadParameter("end", "end timestamp must not be before start time")
    try:
        step_ms = parse_step_ms(parameters.get("step"))
    except ValueError as error:
        raise BadParameter("step", str(error)) from None
    if step_ms <= 0:
        text = "zero or negative query resolution step widths are not accepted. Try a positive integer"
        raise BadParameter("step", text)
    if (end_ms - start_ms) // step_ms > _MOST_POINTS:
        text = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
        raise Refused(400, "bad_data", text)
    return start_ms, end_ms, step_ms


def limit_parameter(parameters: Parameters, name: str = "limit") -> int:
    """0 = no limit."""
    text = parameters.get(name)
    if not text:
        return 0
    if not re.fullmatch(r"[+-]?\d{1,18}", text):
        raise BadParameter(name, f"strconv.Atoi: parsing {quote(text)}: invalid syntax")
    limit = int(text)
    if limit < 0:
        raise BadParameter(name, "limit must be non-negative")
    return limit


def selectors_parameter(parameters: Parameters, *, required: bool = False) -> list[tuple[Matcher, ...]]:
    """`match[]` as matcher sets."""
    texts = selector_texts(parameters)
    if required and not texts:
        raise Refused(400, "bad_data", "no match[] parameter provided")
    sets: list[tuple[Matcher, ...]] = []
    for text in texts:
        try:
            matchers = tuple(parse_selector(text))
        except ParseError as error:
            raise Refused(400, "bad_data", str(error)) from None
        if all(matcher.matches_empty for matcher in matchers):
            raise BadParameter("match[]", "match[] must contain at least one non-empty matcher")
        sets.append(matchers)
    return sets


def selector_texts(parameters: Parameters) -> list[str]:
    """`match[]` as it came, if it is not too long to be read: a matcher costs a thousand times its text."""
    texts = parameters.all("match[]")
    if sum(map(len, texts)) > LONGEST_SELECTORS:
        raise BadParameter("match[]", f"longer than {LONGEST_SELECTORS} characters")
    return texts


def unescape_name(name: str) -> str:
    """A UTF-8 label name from its `U__` escaping (`U__http_2e_x` -> `http.x`); other names as they are.

    Source: Prometheus common `model.UnescapeName`, scheme "values".
    """
    if not name.startswith("U__"):
        return name
    out: list[str] = []
    rest = name[3:]
    position = 0
    while position < len(rest):
        if rest[position] != "_":
            out.append(rest[position])
            position += 1
        elif rest.startswith("__", position):
            out.append("_")
            position += 2
        else:
            end = rest.find("_", position + 1)
            digits = rest[position + 1 : end]
            if end < 0 or not re.fullmatch(r"[0-9a-fA-F]{1,6}", digits) or int(digits, 16) > 0x10FFFF:
                return name
            out.append(chr(int(digits, 16)))
            position = end + 1
    return "".join(out)
