"""A database's address as people write it: `postgresql://user:password@host:port/name`."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit


def parse_database_url(value: Any, *schemes: str) -> dict[str, Any]:
    """Fields of a short form; a text without scheme is `host:port`. Raises ValueError without repeating the password."""
    text = str(value).strip()
    if "://" not in text:
        text = f"{schemes[0]}://{text}"
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in schemes or not parts.hostname or port == -1:
        raise ValueError(f"expected an address such as {schemes[0]}://user:password@host/name")
    out: dict[str, Any] = {"host": parts.hostname}
    if port:
        out["port"] = port
    if parts.username:
        out["user"] = unquote(parts.username)
    if parts.password:
        out["password"] = unquote(parts.password)
    if name := parts.path.strip("/"):
        out["database"] = unquote(name)
    return out
