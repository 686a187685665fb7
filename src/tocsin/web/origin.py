"""Where a request comes from: the peer's address, the name it used for us, and the page that sent it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from tocsin.web.parts import WebSettings, is_loopback_name

_FORWARDING = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip", b"via"})


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end."""

    address: str
    """The client's address: the socket's, or what a trusted proxy says."""
    loopback: bool
    """The socket itself comes from this machine."""
    forwarded: bool
    """Some proxy stands between (or somebody claims so)."""


def peer_of(scope: Scope, headers: Headers, settings: WebSettings) -> Peer:
    client = scope.get("client")
    address = client[0] if client else ""
    loopback = address == "" or is_loopback_name(address)
    forwarded = not _FORWARDING.isdisjoint([name for name, _ in headers.raw])
    if forwarded and _is_trusted(address, tuple(settings.trusted_proxies)):
        address = _client_behind(headers.getlist("x-forwarded-for"), tuple(settings.trusted_proxies)) or address
    return Peer(address, loopback, forwarded)


def _client_behind(values: Sequence[str], trusted: tuple[str, ...]) -> str:
    """The rightmost address that is not a trusted proxy: everything left of it is hearsay."""
    for hop in reversed([part.strip() for value in values for part in value.split(",")]):
        try:
            ipaddress.ip_address(hop)
        except ValueError:
            return ""
        if not _is_trusted(hop, trusted):
            return hop
    return ""


@lru_cache(maxsize=1024)
def _is_trusted(address: str, trusted: tuple[str, ...]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in ipaddress.ip_network(network, strict=False) for network in trusted)


def host_is_ours(headers: Headers, settings: WebSettings) -> bool:
    """Whether the Host header names us. While nothing but loopback is meant, other names are DNS rebinding."""
    if not settings.loopback_only:
        return True
    host = _hostname(headers.get("host", ""))
    return is_loopback_name(host) or host in _own_names(settings)


def origin_is_ours(headers: Headers, settings: WebSettings) -> bool:
    """Whether the page that sent this request is ours. Programs send neither Origin nor Sec-Fetch-Site: they pass."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    own = {headers.get("host", "").lower(), urlsplit(settings.base_url).netloc.lower()}
    return urlsplit(origin).netloc.lower() in own - {""}


def _own_names(settings: WebSettings) -> set[str]:
    return {_hostname(name) for name in settings.allowed_hosts} | {urlsplit(settings.base_url).hostname or ""}


@lru_cache(maxsize=256)
def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
