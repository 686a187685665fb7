"""Go's spellings: quoting, unquoting and number texts, as Prometheus's messages and label values use them."""

from __future__ import annotations

import math
import re

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}
_NAMED = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}
_ESCAPE = re.compile(r"\\(?:([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)


def go_quote(text: str, mark: str = '"') -> str:
    """`%q` of Go: quoted with escapes; `mark` is a double quote for strings, a single one for characters."""
    out = [mark]
    for char in text:
        code = ord(char)
        if char == mark or char == "\\":
            out.append("\\" + char)
        elif char in _NAMED:
            out.append(_NAMED[char])
        elif code < 0x20 or code == 0x7F:
            out.append(f"\\x{code:02x}")
        elif 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8 (surrogateescape)
            out.append(f"\\x{code - 0xDC00:02x}")
        elif char.isprintable():
            out.append(char)
        else:
            out.append(f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")
    out.append(mark)
    return "".join(out)


def unquote(literal: str) -> str:
    """Value of a PromQL string literal that the lexer has accepted. Escaped bytes that are not UTF-8 become surrogates."""
    body = literal[1:-1]
    if literal[0] == "`" or "\\" not in body:
        return body
    out = bytearray()
    position = 0
    for match in _ESCAPE.finditer(body):
        out += body[position : match.start()].encode("utf-8", "surrogateescape")
        octal, hexa, short, long, single = match.groups()
        if octal is not None:
            out.append(int(octal, 8) & 0xFF)
        elif hexa is not None:
            out.append(int(hexa, 16))
        elif short is not None or long is not None:
            out += chr(int(short or long, 16)).encode("utf-8", "replace")
        else:
            out += _ESCAPES[single].encode()
        position = match.end()
    out += body[position:].encode("utf-8", "surrogateescape")
    return out.decode("utf-8", "surrogateescape")


def format_float(value: float) -> str:
    """`strconv.FormatFloat(value, 'f', -1, 64)`: shortest exact decimals, never an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" in text:
        text = format(_decimal(text), "f")
    return text.removesuffix(".0")


def _decimal(text: str) -> object:
    from decimal import Decimal  # only huge and tiny numbers need it

    return Decimal(text)


def format_general(value: float) -> str:
    """`%g` of Go: exponent form below 1e-4 and from 1e21 on."""
    if math.isnan(value) or math.isinf(value):
        return format_float(value)
    magnitude = abs(value)
    if magnitude != 0 and (magnitude < 1e-4 or magnitude >= 1e21):
        mantissa, _, exponent = f"{value!r}".partition("e")
        if not exponent:
            mantissa, _, exponent = f"{value:.17e}".partition("e")
            for digits in range(17):
                if float(f"{value:.{digits}e}") == value:
                    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
                    break
        sign = exponent[0] if exponent[0] in "+-" else "+"
        return f"{mantissa.removesuffix('.0')}e{sign}{exponent.lstrip('+-').rjust(2, '0')}"
    return format_float(value)
