"""Under which name passkeys are made, and the challenges that they answer."""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from tocsin.clock import Clock
from tocsin.errors import TocsinError
from tocsin.model.ports import Random
from tocsin.web.parts import WebSettings, is_loopback_name
from tocsin.web.problem import Refused

CHALLENGE_MS = 300_000
_MOST_USED = 10_000
NEEDS = "passkeys need a name that browsers reach Tocsin by over https (set external_url), or http://localhost"
_PORTS = {"http": 80, "https": 443}


class PasskeyRefused(TocsinError):
    """An answer that does not count; the text says why, for the log and for who is signed in."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Whom passkeys are made for: `id` is the host name of Tocsin's address, `origins` are the pages that may use them."""

    id: str
    origins: frozenset[str]


def relying_party(headers: Headers, settings: WebSettings) -> RelyingParty | None:
    """The host name of `external_url`; where that has none (an IP address), the name this request used. None = neither is one.

    Whoever reverse-proxies under a name must say so in `external_url`: a Host header that anybody can send decides nothing else.
    """
    own = urlsplit(settings.base_url)
    host = _domain(own.hostname or "")
    if host and not is_loopback_name(host):
        return RelyingParty(host, frozenset({_origin(own.scheme, host, own.port)})) if own.scheme == "https" else None
    asked = _split_host(headers.get("host", ""))
    if asked is None:
        return None
    name, port = asked
    schemes = ("https", "http") if is_loopback_name(name) else ("https",)
    return RelyingParty(name, frozenset(_origin(scheme, name, port) for scheme in schemes))


def required_party(headers: Headers, settings: WebSettings) -> RelyingParty:
    """The same. Raises Refused 400 where no passkey can be made."""
    party = relying_party(headers, settings)
    if party is None:
        raise Refused(400, "no_passkeys_here", NEEDS)
    return party


def _split_host(host: str) -> tuple[str, int | None] | None:
    try:
        parts = urlsplit(f"//{host}")
        name = _domain(parts.hostname or "")
        return (name, parts.port) if name else None
    except ValueError:
        return None


def _domain(host: str) -> str:
    """As browsers write it; empty for an IP address, which no passkey can be made for."""
    if not host or ":" in host or host.rpartition(".")[2].isdigit():
        return ""
    try:
        return host.encode("idna").decode().lower()
    except UnicodeError:
        return ""


def _origin(scheme: str, host: str, port: int | None) -> str:
    return f"{scheme}://{host}" if port in (None, _PORTS[scheme]) else f"{scheme}://{host}:{port}"


class Challenges:
    """Challenges that carry their own proof: nothing is kept of those that nobody answers, so nobody can crowd others out.

    Each counts once, for five minutes, and only in the browser (`binding`) it was made for. A restart of the web process
    ends them.
    """

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._key = random.randbytes(32)
        self._used: dict[bytes, int] = {}

    def new(self, binding: str) -> bytes:
        """56 bytes: until when, 16 random ones, and the proof that we made it for this browser."""
        body = struct.pack(">Q", self._clock.now_ms() + CHALLENGE_MS) + self._random.randbytes(16)
        return body + self._proof(body, binding)

    def take(self, challenge: bytes, binding: str) -> None:
        """Use it up. Raises PasskeyRefused when it is not ours, not for this browser, too old or used."""
        body, proof = challenge[:24], challenge[24:]
        if len(challenge) != 56 or not hmac.compare_digest(proof, self._proof(body, binding)):
            raise PasskeyRefused("this was not begun here, or in another browser, or Tocsin was restarted meanwhile; try again")
        now_ms, until_ms = self._clock.now_ms(), int.from_bytes(body[:8], "big")
        if until_ms <= now_ms:
            raise PasskeyRefused("this took longer than five minutes; try again")
        if body in self._used:
            raise PasskeyRefused("this answer was used already; try again")
        if len(self._used) >= _MOST_USED:
            self._used = {key: ms for key, ms in self._used.items() if ms > now_ms}
        if len(self._used) >= _MOST_USED:
            raise PasskeyRefused("too many people use passkeys at once; try again in a minute")
        self._used[body] = until_ms

    def _proof(self, body: bytes, binding: str) -> bytes:
        return hmac.digest(self._key, body + binding.encode(), "sha256")
