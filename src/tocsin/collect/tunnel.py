"""What is said to a proxy before it passes a connection on: HTTP CONNECT, SOCKS 5 (RFC 1928, 1929). Pure: bytes in, bytes out."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import unquote, urlsplit

PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""The proxies we go through, by the scheme of their URL, and where they listen if it does not say."""

_MOST_ANSWER = 65_536


class Tunnel(Protocol):
    """A conversation with a proxy. `opened`: from now on the target listens."""

    opened: bool

    def begin(self) -> bytes:
        """What to say first."""

    def take(self, data: bytes) -> bytes:
        """What to say to this answer, or part of one. Raises ConnectionError where the proxy refuses."""


def tunnel(proxy: str, host: str, port: int, headers: Mapping[str, tuple[str, ...]] | None = None) -> Tunnel:
    """How `proxy` is asked for a connection to host:port; the proxy resolves the name."""
    if is_socks(proxy):
        parts = urlsplit(proxy)
        return _Socks5(host, port, unquote(parts.username or ""), unquote(parts.password or ""))
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", *proxy_credentials(proxy)]
    lines += [f"{name}: {value}" for name, values in (headers or {}).items() for value in values]
    return _Connect(lines)


def is_socks(proxy: str) -> bool:
    """Passes on bytes only: also what is not HTTP over TLS goes through a tunnel."""
    return urlsplit(proxy).scheme.startswith("socks5")


def address_of(proxy: str) -> tuple[str, int]:
    """Where the proxy listens. Raises ConnectionError for one that we cannot go through."""
    parts = urlsplit(proxy)
    if parts.scheme not in PORTS:
        raise ConnectionError(f"a proxy by {parts.scheme}:// is not supported; use http://, https:// or socks5://")
    return parts.hostname or "", parts.port or PORTS[parts.scheme]


def proxy_credentials(proxy: str) -> list[str]:
    """The header line that signs in to the proxy, where its URL names a user."""
    parts = urlsplit(proxy)
    if not parts.username:
        return []
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return ["Proxy-Authorization: Basic " + base64.b64encode(pair.encode()).decode()]


class _Connect:
    """HTTP's CONNECT."""

    def __init__(self, lines: list[str]) -> None:
        self.opened = False
        self._lines = lines
        self._seen = b""

    def begin(self) -> bytes:
        return "\r\n".join(self._lines).encode() + b"\r\n\r\n"

    def take(self, data: bytes) -> bytes:
        self._seen += data
        if b"\r\n\r\n" not in self._seen and len(self._seen) < _MOST_ANSWER:
            return b""
        words = self._seen.split(b"\r\n", 1)[0].split(b" ", 2)
        if len(words) < 2 or words[1] != b"200":
            said = b" ".join(words[1:])[:100].decode("latin-1")
            raise ConnectionError(f"the proxy refused the tunnel: {said}")
        self.opened = True
        return b""


_REFUSALS = {
    1: "general failure", 2: "not allowed by its rules", 3: "the network cannot be reached", 4: "the host cannot be reached",
    5: "connection refused", 6: "the time to live ran out", 7: "it does not know CONNECT", 8: "it does not know such addresses",
}  # fmt: skip


class _Socks5:
    """Greeting, user and password where the proxy wants them, request."""

    def __init__(self, host: str, port: int, user: str, password: str) -> None:
        self.opened = False
        self._target = _socks_address(host) + port.to_bytes(2, "big")
        self._user, self._password = user.encode()[:255], password.encode()[:255]
        self._seen = b""
        self._next: Callable[[], bytes | None] = self._greeted

    def begin(self) -> bytes:
        return b"\x05\x02\x00\x02" if self._user else b"\x05\x01\x00"

    def take(self, data: bytes) -> bytes:
        self._seen += data
        say = b""
        while not self.opened and (step := self._next()) is not None:
            say += step
        return say

    def _cut(self, length: int) -> bytes | None:
        """The next `length` bytes, once they are there."""
        if len(self._seen) < length:
            return None
        found, self._seen = self._seen[:length], self._seen[length:]
        return found

    def _greeted(self) -> bytes | None:
        if (answer := self._cut(2)) is None:
            return None
        if answer[0] != 5:
            raise ConnectionError("the proxy does not speak SOCKS 5")
        if answer[1] == 2 and self._user:
            self._next = self._signed_in
            return b"\x01" + bytes([len(self._user)]) + self._user + bytes([len(self._password)]) + self._password
        if answer[1] != 0:
            raise ConnectionError("the SOCKS proxy wants user and password: socks5://user:password@host:port")
        return self._ask()

    def _signed_in(self) -> bytes | None:
        if (answer := self._cut(2)) is None:
            return None
        if answer[1] != 0:
            raise ConnectionError("the SOCKS proxy refused user or password")
        return self._ask()

    def _ask(self) -> bytes:
        self._next = self._answered
        return b"\x05\x01\x00" + self._target

    def _answered(self) -> bytes | None:
        if len(self._seen) < 5:
            return None
        if self._seen[1] != 0:
            why = _REFUSALS.get(self._seen[1], f"code {self._seen[1]}")
            raise ConnectionError(f"the SOCKS proxy refused the connection: {why}")
        bound = {1: 4, 4: 16, 3: 1 + self._seen[4]}.get(self._seen[3], 0)
        if self._cut(4 + bound + 2) is None:
            return None
        self.opened = True
        return b""


def _socks_address(host: str) -> bytes:
    try:
        address = ip_address(host)
    except ValueError:
        name = host.encode("idna") if not host.isascii() else host.encode()
        if len(name) > 255:
            raise ConnectionError(f"the name {host[:40]}... is too long for SOCKS 5") from None
        return b"\x03" + bytes([len(name)]) + name
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed
