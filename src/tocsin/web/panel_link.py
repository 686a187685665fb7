"""A panel that may be seen without signing in: what exactly, until when, and the signature that says so.

    /render/panel.png?q=<promql>&...&until=<s>&sig=<first 20 bytes of HMAC-SHA256, base64url>      a picture
    /embed/panel?q=<promql>&...&until=<s>&sig=<the same>                                           a page for frames

Everything in the address that decides what is asked is signed; parameters that are not among SIGNED are ignored, so a mail
program that adds one of its own breaks nothing. The key lies in the state database, apart from that of other links: a new
one ends every shared panel and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.model.ports import Random
from tocsin.state.schema import meta

Kind = Literal["lines", "stat", "table"]
SIGNED = ("q", "name", "title", "kind", "unit", "from", "to", "tz", "limit", "until")
LONGEST = 6000
"""Characters of an address's query: what every browser, mail program and proxy takes."""
LONGEST_RANGE_MS = 366 * 86_400_000
_KEY_NAME = "panel_link_key"
_MARK_BYTES = 20
_RELATIVE = re.compile(r"now(?:-(\d{1,6})([smhdw]))?")
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class SharedPanel:
    """What a valid address shows."""

    queries: tuple[tuple[str, str], ...]
    """(name of its lines, PromQL); a name may hold `{{label}}`."""
    title: str = ""
    kind: Kind = "lines"
    unit: str = ""
    start: str = "now-1h"
    end: str = "now"
    """As in addresses: `now-6h`, RFC 3339 or ms."""
    zone: str = "UTC"
    limits: tuple[float, ...] = ()
    """Drawn as lines across."""
    until_s: int = 0

    @property
    def follows(self) -> bool:
        """It shows another picture in a minute."""
        return self.end == "now"

    def pairs(self) -> list[tuple[str, str]]:
        """As parameters of its address, without the signature."""
        named = [(name, text) for legend, query in self.queries for name, text in (("q", query), ("name", legend))]
        rest = [("title", self.title), ("kind", self.kind), ("unit", self.unit), ("from", self.start), ("to", self.end)]
        more = [("tz", self.zone), *(("limit", repr(limit)) for limit in self.limits), ("until", str(self.until_s))]
        return [*named, *rest, *more]

    def span_ms(self, now_ms: int) -> tuple[int, int]:
        """Raises ValueError when the range is none."""
        start_ms, end_ms = instant_ms(self.start, now_ms), instant_ms(self.end, now_ms)
        if not start_ms < end_ms <= start_ms + LONGEST_RANGE_MS:
            raise ValueError("expected a range of at most a year, from before to")
        return start_ms, end_ms


class Forged(Exception):
    """The signature is not ours, or something was changed since."""


class Expired(Exception):
    """It was right once."""


def address(panel: SharedPanel, key: bytes) -> str:
    """The signed query of both addresses."""
    return urlencode([*panel.pairs(), ("sig", _mark(key, panel.pairs()))])


def opened(pairs: Pairs, key: bytes, now_ms: int) -> SharedPanel:
    """The panel that an address's parameters show. Raises Forged, or Expired when only the time has passed."""
    signed = [(name, text) for name, text in pairs if name in SIGNED]
    sig = next((text for name, text in pairs if name == "sig"), "")
    if not key or not hmac.compare_digest(sig.encode(), _mark(key, signed).encode()):
        raise Forged
    panel = _panel(signed)
    if now_ms >= panel.until_s * 1000:
        raise Expired
    return panel


def instant_ms(text: str, now_ms: int) -> int:
    """`now`, `now-6h`, RFC 3339 or ms since 1970. Raises ValueError."""
    if found := _RELATIVE.fullmatch(text):
        return now_ms - int(found[1] or 0) * _UNITS_MS[found[2] or "s"]
    if text.isascii() and text.isdecimal() and 9 <= len(text) <= 15:
        return int(text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no zone")
    return round(moment.timestamp() * 1000)


def zone_of(name: str) -> ZoneInfo:
    """Raises ValueError for a zone that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(f"there is no time zone {name!r}") from None


def ensure_key(tx: Connection, random: Random) -> bytes:
    """The signing key, made on first use."""
    return load_key(tx) or renew_key(tx, random)


def load_key(tx: Connection) -> bytes:
    """Empty when nothing was ever shared."""
    value = tx.execute(sa.select(meta.c.value).where(meta.c.key == _KEY_NAME)).scalar()
    return bytes.fromhex(value) if value else b""


def renew_key(tx: Connection, random: Random) -> bytes:
    """A new key: what was shared before is shared no more."""
    key = random.randbytes(32)
    tx.execute(sa.delete(meta).where(meta.c.key == _KEY_NAME))
    tx.execute(sa.insert(meta).values(key=_KEY_NAME, value=key.hex()))
    return key


def _panel(signed: Pairs) -> SharedPanel:
    """From parameters that we signed ourselves: nothing is checked twice."""
    first = dict(reversed(signed))
    kind: Kind = "stat" if first["kind"] == "stat" else "table" if first["kind"] == "table" else "lines"
    return SharedPanel(
        queries=tuple(zip(_all(signed, "name"), _all(signed, "q"), strict=True)),
        title=first["title"],
        kind=kind,
        unit=first["unit"],
        start=first["from"],
        end=first["to"],
        zone=first["tz"],
        limits=tuple(float(text) for text in _all(signed, "limit")),
        until_s=int(first["until"]),
    )


def _all(pairs: Pairs, name: str) -> Iterable[str]:
    return [text for one, text in pairs if one == name]


def _mark(key: bytes, pairs: Pairs) -> str:
    """In the order of the names, so that a program which sorts or turns parameters round breaks nothing."""
    ordered = [pair for name in SIGNED for pair in pairs if pair[0] == name]
    digest = hmac.new(key, b"panel." + urlencode(ordered).encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:_MARK_BYTES]).rstrip(b"=").decode()
