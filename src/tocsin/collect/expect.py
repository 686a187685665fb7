"""What an answer should be: status ranges, text and JSON assertions. Pure."""

from __future__ import annotations

import re
from typing import Any

import orjson
from pydantic import Field

from tocsin.collect.fields import Part, Pattern, search

StatusSet = tuple[tuple[int, int], ...]
"""Closed ranges of status codes."""

_COMPARISON = re.compile(r"^(<=|>=|!=|==|<|>)\s*(-?[0-9.]+(?:[eE][-+]?[0-9]+)?)$")


class BodyExpectation(Part):
    """All that is given must hold."""

    contains: str = ""
    not_contains: str = ""
    matches: Pattern = Field("", description="RE2 expression that must occur in the body")
    not_matches: Pattern = ""
    json_: dict[str, Any] = Field({}, alias="json", description="path such as `checks.db[0].ok` -> expected value, or `> 5`")


def parse_status(value: Any) -> Any:
    """`200`, `2xx`, `200-299` or a list of these. Raises ValueError."""
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(item, (list, tuple)) and len(item) == 2 for item in value):
            return tuple((int(low), int(high)) for low, high in value)
        return tuple(parse_status(item)[0] for item in value)
    text = str(value).strip().lower()
    if re.fullmatch(r"[1-5]xx", text):
        return ((int(text[0]) * 100, int(text[0]) * 100 + 99),)
    if found := re.fullmatch(r"([1-5][0-9]{2})(?:\s*-\s*([1-5][0-9]{2}))?", text):
        return ((int(found[1]), int(found[2] or found[1])),)
    raise ValueError(f"expected a status such as 200, 2xx or 200-299, got {value!r}")


def status_text(ranges: StatusSet) -> str:
    return " or ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges) or "2xx"


def body_problem(expected: BodyExpectation, body: bytes) -> str:
    """What is wrong with `body`; empty = nothing."""
    text = body.decode("utf-8", "replace")
    if expected.contains and expected.contains not in text:
        return f"the body does not contain {expected.contains!r}"
    if expected.not_contains and expected.not_contains in text:
        return f"the body contains {expected.not_contains!r}"
    if expected.matches and not search(expected.matches, text):
        return f"the body does not match {expected.matches!r}"
    if expected.not_matches and search(expected.not_matches, text):
        return f"the body matches {expected.not_matches!r}"
    return _json_problem(expected.json_, body) if expected.json_ else ""


def _json_problem(expected: dict[str, Any], body: bytes) -> str:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return f"the body is not JSON: {error}"
    for path, wanted in expected.items():
        found, value = json_at(document, path)
        if not found:
            return f"JSON has nothing at {path}"
        if not meets(value, wanted):
            return f"JSON at {path} is {_short(value)}, expected {_short(wanted)}"
    return ""


def json_at(document: Any, path: str) -> tuple[bool, Any]:
    """Value at `a.b[0].c` (a leading `$.` is allowed) and whether it is there."""
    for part in re.findall(r"[^.\[\]]+|\[-?[0-9]+\]", path.removeprefix("$")):
        if part.startswith("["):
            index = int(part[1:-1])
            if not isinstance(document, list) or not -len(document) <= index < len(document):
                return False, None
            document = document[index]
        elif isinstance(document, dict) and part in document:
            document = document[part]
        else:
            return False, None
    return True, document


def meets(value: Any, wanted: Any) -> bool:
    """Equality (`1` equals `1.0`, not `true`), or a comparison of numbers such as `> 5`."""
    if isinstance(wanted, str) and (found := _COMPARISON.match(wanted)):
        try:
            number, limit = float(value), float(found[2])
        except (TypeError, ValueError):
            return False
        return {
            "<": number < limit,
            "<=": number <= limit,
            ">": number > limit,
            ">=": number >= limit,
            "==": number == limit,
            "!=": number != limit,
        }[found[1]]
    if isinstance(value, bool) != isinstance(wanted, bool):
        return False
    return bool(value == wanted)


def _short(value: Any) -> str:
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= 80 else text[:77] + "..."
