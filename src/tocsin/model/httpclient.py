"""How an HTTP request travels: Prometheus's `http_config`, as values. Files are named, and read when a request is made."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

_STRICT: Any = {"extra": "forbid", "hide_input_in_errors": True}
_TlsVersion = Literal["", "TLS10", "TLS11", "TLS12", "TLS13"]


@dataclass(frozen=True, slots=True)
class BasicAuth:
    __pydantic_config__ = _STRICT
    username: str = ""
    username_file: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""


@dataclass(frozen=True, slots=True)
class Authorization:
    __pydantic_config__ = _STRICT
    type: str = "Bearer"
    credentials: str = field(default="", repr=False)
    credentials_file: str = ""


@dataclass(frozen=True, slots=True)
class Tls:
    """Texts are PEM; an empty `ca` means the system's authorities."""

    __pydantic_config__ = _STRICT
    ca: str = ""
    ca_file: str = ""
    cert: str = ""
    cert_file: str = ""
    key: str = field(default="", repr=False)
    key_file: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False
    min_version: _TlsVersion = ""
    max_version: _TlsVersion = ""


@dataclass(frozen=True, slots=True)
class Proxy:
    """`url` for everything but `no_proxy`; with `from_environment` the two URLs and exceptions of the process's environment."""

    __pydantic_config__ = _STRICT
    url: str = field(default="", repr=False)
    no_proxy: str = ""
    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    connect_header: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class OAuth2:
    """Client credentials grant."""

    __pydantic_config__ = _STRICT
    client_id: str
    token_url: str
    client_secret: str = field(default="", repr=False)
    client_secret_file: str = ""
    scopes: tuple[str, ...] = ()
    endpoint_params: Mapping[str, str] = field(default_factory=dict)
    tls: Tls = Tls()
    proxy: Proxy = Proxy()


@dataclass(frozen=True, slots=True)
class Header:
    __pydantic_config__ = _STRICT
    values: tuple[str, ...] = field(default=(), repr=False)
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpClient:
    """Everything about the requests of one receiver or one Alertmanager."""

    __pydantic_config__ = _STRICT
    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    oauth2: OAuth2 | None = None
    tls: Tls = Tls()
    proxy: Proxy = Proxy()
    follow_redirects: bool = True
    headers: Mapping[str, Header] = field(default_factory=dict)


def proxy_for(url: str, proxy: Proxy) -> str:
    """The proxy that this URL goes through; empty = none. Loopback goes by itself when the environment says the proxy."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    port = parts.port or (443 if parts.scheme == "https" else 80)
    chosen = proxy.url or (proxy.https if parts.scheme == "https" else proxy.http)
    if not chosen or (not proxy.url and _is_loopback(host)):
        return ""
    return "" if any(_covers(entry.strip().lower(), host, port) for entry in proxy.no_proxy.split(",")) else chosen


def _covers(entry: str, host: str, port: int) -> bool:
    """One entry of no_proxy: `*`, a domain (with those below it), `.domain` (only those), an address, a network; with `:port`."""
    if entry in ("", "*"):
        return entry == "*"
    address = _address(host)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, _, wanted = entry.rpartition(":") if entry.count(":") == 1 or entry.startswith("[") else (entry, "", "")
    if entry.startswith("[") and not name:
        name, wanted = entry, ""
    if wanted and not (wanted.isdigit() and int(wanted) == port):
        return False
    name = name.strip("[]").removeprefix("*")
    if (given := _address(name)) is not None:
        return address == given
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)
