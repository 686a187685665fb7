"""Field types that checks share: durations, hosts, ports, sizes, expected latencies."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

import re2
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from tocsin.collect.tunnel import PORTS as PROXY_PORTS
from tocsin.model.duration import duration_setting_ms, format_duration

_SIZE = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGTPE]?i?B?)\s*$", re.IGNORECASE)
_POWERS = "KMGTPE"


class Part(BaseModel):
    """A group of settings inside a check."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)


def _latency(value: Any) -> Any:
    return value.strip().removeprefix("<").removeprefix("=").strip() if isinstance(value, str) else value


def size_bytes(value: Any) -> int:
    """`10MB`, `1MiB`, `512`; as in Prometheus K, M, G are powers of 1024 with or without the i. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.match(str(value))
    if found is None:
        raise ValueError(f"expected a size such as 512KB or 10MB, got {value!r}")
    letter = found[2][:1].upper()
    power = _POWERS.index(letter) + 1 if letter in _POWERS and letter else 0
    return int(float(found[1]) * 1024**power)


def _pattern(value: str) -> str:
    try:
        re2.compile(value, _quiet())
    except re2.error as error:
        raise ValueError(f"not a regular expression that RE2 accepts: {error}") from None
    return value


def _proxy_url(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in PROXY_PORTS or not parts.hostname):
        raise ValueError("expected a proxy such as http://proxy.internal:3128, https://... or socks5://...")
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"expected a URL such as https://shop.example/health, got {value!r}")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError(f"the port of {value!r} is not a number between 0 and 65535") from None
    if any(ord(c) <= 0x20 or ord(c) == 0x7F for c in value):
        raise ValueError("the URL contains blanks or control characters; percent-encode them")
    return value


def _host(value: str) -> str:
    if not value or any(c.isspace() or c in "/@?#" for c in value) or len(value) > 253:
        raise ValueError(f"expected a host name or an IP address, got {value!r}")
    return value


# Written back as text: stored settings are read again, and shown to people.
_AsText = PlainSerializer(format_duration, return_type=str, when_used="json")

DurationMs = Annotated[
    int, BeforeValidator(duration_setting_ms), _AsText, WithJsonSchema({"type": "string", "format": "duration"})
]
LatencyMs = Annotated[
    int,
    BeforeValidator(duration_setting_ms),
    BeforeValidator(_latency),
    _AsText,
    WithJsonSchema({"type": "string", "format": "duration"}),
]
SizeBytes = Annotated[int, BeforeValidator(size_bytes), WithJsonSchema({"type": "string", "format": "size"})]
Pattern = Annotated[str, AfterValidator(_pattern)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
ProxyUrl = Annotated[str, AfterValidator(_proxy_url)]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=1, le=65535)]


def host_and_port(value: Any, default_port: int | None = None) -> dict[str, Any]:
    """`host:port`, `[v6]:port` or, with a default, `host` alone. Raises ValueError."""
    text = str(value).strip()
    found = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\s]+))(?::([0-9]{1,5}))?", text)
    if found is None and text.count(":") > 1 and default_port is not None:
        return {"host": text}
    if found is None or (found[3] is None and default_port is None):
        raise ValueError(f"expected host:port, got {text!r}")
    out: dict[str, Any] = {"host": found[1] or found[2]}
    return {**out, "port": int(found[3])} if found[3] else out


def address_text(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def search(pattern: str, text: str) -> bool:
    """Does the RE2 pattern occur in `text`?"""
    return re2.compile(pattern, _quiet()).search(text) is not None


def _quiet() -> re2.Options:
    """RE2 writes to stderr by itself otherwise."""
    options = re2.Options()
    options.log_errors = False
    return options
