"""What of a conversation with a target may be kept as evidence: never a credential, ours or one that the target names. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tocsin.model.secrets import HIDDEN, without

_SHORTEST = 4
_OPEN_HEADERS = frozenset(
    (
        "host", "user-agent", "accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-length",
        "content-type", "origin", "pragma", "referer",
    )
)  # fmt: skip
_NAMES = (
    r"(?:access_?|refresh_?|id_?|auth_?|api_?|client_?|private_?)?(?:token|secret|key|password|passwd|pwd)"
    "|authorization|signature|sig"
)
_QUERY = re.compile(rf"(?i)((?:^|&)(?:[\w.-]*[_.-])?(?:{_NAMES})=)[^&]*")
_JSON = re.compile(rf'(?i)("(?:[\w.-]*[_.-])?(?:{_NAMES})"\s*:\s*")(?:[^"\\]|\\.)*')
_HEADER = re.compile(r"(?i)\b(authorization:\s*(?:bearer|basic)\s+)\S+")


def public_url(url: str) -> str:
    """A URL without user, password, and the values of parameters that are called like secrets."""
    parts = urlsplit(url)
    query = _QUERY.sub(rf"\1{HIDDEN}", parts.query)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


def shown_request(method: str, url: str, headers: Mapping[str, str], body_bytes: int) -> dict[str, Any]:
    """A request as evidence. Of headers only those that never carry a secret have values: any other may be somebody's key."""
    shown = {name: value[:200] if name.lower() in _OPEN_HEADERS else HIDDEN for name, value in headers.items()}
    return {"method": method, "url": public_url(url)[:2000], "headers": shown, "body_bytes": body_bytes}


def hidden_values(headers: Mapping[str, str]) -> list[str]:
    """Values of headers that `shown_request` hides: a target that echoes them must not give them away."""
    return [value for name, value in headers.items() if name.lower() not in _OPEN_HEADERS]


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """A piece of an answer without the given secrets, and without what it calls a token, key or password itself."""
    text = without(text, secrets, shortest=_SHORTEST)
    return _HEADER.sub(rf"\1{HIDDEN}", _JSON.sub(rf"\1{HIDDEN}", text))
