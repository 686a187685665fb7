"""Values as Go prints them: `%v` and the printf verbs that templates use."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tocsin.model.labels import quote

_DIRECTIVE = re.compile(r"%([-+# 0]*)(\*|[0-9]+)?(?:\.([0-9]*))?([a-zA-Z%])")
WIDEST = 10_000
"""Widths and precisions above this are refused: `%999999999d` is a way to eat memory."""


def go_text(value: Any) -> str:
    """`fmt.Sprint` of one value."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            return "<no value>"
        case float():
            return format_float(value, "g", -1)
        case int():
            return str(value)
        case Mapping():
            return "map[" + " ".join(f"{go_text(k)}:{go_text(value[k])}" for k in sorted(value)) + "]"
        case Sequence():
            return "[" + " ".join(go_text(item) for item in value) + "]"
        case _:
            return str(value)


def format_float(value: float, verb: str, precision: int) -> str:
    """strconv.FormatFloat for verbs e, f, g (and E, G); precision -1 = shortest that reads back equal."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    upper, kind = verb.isupper(), verb.lower()
    if precision < 0:
        text = _shortest(value, kind)
    elif kind == "g":
        text = _general(value, precision or 1)
    else:
        text = f"{value:.{precision}{kind}}"
    return text.upper() if upper else text


def _shortest(value: float, kind: str) -> str:
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).lstrip("0")
    stripped = text.rstrip("0")
    point = len(text) + exponent if text else 1
    minus = "-" if sign else ""
    if kind == "f" or (kind == "g" and (not stripped or -4 <= point - 1 < 6)):
        if not stripped:
            return f"{minus}0"
        if point <= 0:
            return f"{minus}0.{'0' * -point}{stripped}"
        if point >= len(stripped):
            return f"{minus}{stripped}{'0' * (point - len(stripped))}"
        return f"{minus}{stripped[:point]}.{stripped[point:]}"
    stripped = stripped or "0"
    mantissa = stripped[0] + (f".{stripped[1:]}" if len(stripped) > 1 else "")
    return f"{minus}{mantissa}e{point - 1:+03d}"


def _general(value: float, precision: int) -> str:
    """`%.4g`: as C's, which drops trailing zeros as Go does."""
    return f"{value:.{precision}g}"


def sprintf(template: str, arguments: Sequence[Any]) -> str:
    """fmt.Sprintf for the verbs v d s q f e g x t c U and %%. A wrong verb prints `%!d(string=...)` as Go does."""
    used = 0

    def directive(match: re.Match[str]) -> str:
        nonlocal used
        flags, width_text, precision_text, verb = match.groups()
        if verb == "%":
            return "%"
        width = 0
        if width_text == "*":
            width = int(arguments[used]) if used < len(arguments) and isinstance(arguments[used], int) else 0
            used += 1
        elif width_text:
            width = int(width_text)
        precision = -1 if precision_text is None else int(precision_text or 0)
        if abs(width) > WIDEST or precision > WIDEST:
            raise ValueError(f"width or precision of {match.group()} is too large")
        if used >= len(arguments):
            return f"%!{verb}(MISSING)"
        value = arguments[used]
        used += 1
        return _pad(_verb(verb, value, flags, precision), flags, width, isinstance(value, int | float))

    text = _DIRECTIVE.sub(directive, template)
    if used < len(arguments):
        extra = ", ".join(f"{_type_name(item)}={go_text(item)}" for item in arguments[used:])
        text += f"%!(EXTRA {extra})"
    return text


def _pad(text: str, flags: str, width: int, numeric: bool) -> str:
    if "-" in flags or width < 0:
        return text.ljust(abs(width))
    if "0" in flags and numeric:
        return text.zfill(width)
    return text.rjust(width)


def _verb(verb: str, value: Any, flags: str, precision: int) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    plus = "+" if "+" in flags and number and value >= 0 else " " if " " in flags and number and value >= 0 else ""
    match verb:
        case "v":
            return plus + (format_float(value, "g", precision) if isinstance(value, float) else go_text(value))
        case "s" if isinstance(value, str):
            return value if precision < 0 else value[:precision]
        case "s" if not number and not isinstance(value, bool):
            return go_text(value)
        case "q" if isinstance(value, str):
            return quote(value)
        case "d" if isinstance(value, int) and not isinstance(value, bool):
            return plus + str(value)
        case "f" | "F" | "e" | "E" if isinstance(value, float):
            return plus + format_float(value, verb.replace("F", "f"), 6 if precision < 0 else precision)
        case "g" | "G" if isinstance(value, float):
            return plus + format_float(value, verb, precision)
        case "t" if isinstance(value, bool):
            return go_text(value)
        case "x" | "X" if isinstance(value, int | str) and not isinstance(value, bool):
            text = f"{value:x}" if isinstance(value, int) else value.encode().hex()
            return text.upper() if verb == "X" else text
        case "c" if isinstance(value, int) and not isinstance(value, bool):
            return chr(value)
        case _:
            return f"%!{verb}({_type_name(value)}={go_text(value)})"


def _type_name(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float64"
        case str():
            return "string"
        case None:
            return "<nil>"
        case Mapping():
            return "map[string]interface {}"
        case _:
            return "[]interface {}"
