"""Signed, expiring links to acknowledge an incident from a message. GET shows a page, POST acknowledges.

    /ack/<incident>.<expires_s in base 36>.<person, base64url>.<first 20 bytes of HMAC-SHA256, base64url>

The key lies in the state database (`meta`), so core signs and web verifies without sharing anything else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.model.ports import Random
from tocsin.state.schema import meta

CHART_TTL_MS = 7 * 86_400_000
LINK_TTL_MS = 24 * 3_600_000
_KEY_NAME = "ack_link_key"
_MARK_BYTES = 20
_LONGEST = 600
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class AckLink:
    """What a valid link says: this person may acknowledge this incident."""

    incident: int
    person: str
    expires_ms: int


def ensure_key(tx: Connection, random: Random) -> bytes:
    """The signing key, made on first use."""
    if key := load_key(tx):
        return key
    key = random.randbytes(32)
    tx.execute(sa.insert(meta).values(key=_KEY_NAME, value=key.hex()))
    return key


def load_key(tx: Connection) -> bytes:
    """The signing key; empty when none was made yet (then no link is valid)."""
    value = tx.execute(sa.select(meta.c.value).where(meta.c.key == _KEY_NAME)).scalar()
    return bytes.fromhex(value) if value else b""


def sign(key: bytes, link: AckLink) -> str:
    """The token of a link."""
    body = f"{link.incident}.{_base36(link.expires_ms // 1000)}.{_encode(link.person.encode())}"
    return f"{body}.{_mark(key, body)}"


def verify(key: bytes, token: str, now_ms: int) -> AckLink | None:
    """The link behind a token; None when it is forged, damaged or too old."""
    if not key or len(token) > _LONGEST or not token.isascii():
        return None
    body, _, mark = token.rpartition(".")
    if not hmac.compare_digest(mark.encode(), _mark(key, body).encode()):
        return None
    try:
        incident, expires, person = body.split(".")
        link = AckLink(int(incident), _decode(person).decode(), int(expires, 36) * 1000)
    except (ValueError, binascii.Error):
        return None
    return link if now_ms < link.expires_ms else None


def ack_url(external_url: str, key: bytes, *, incident: int, person: str, now_ms: int) -> str:
    token = sign(key, AckLink(incident, person, now_ms + LINK_TTL_MS))
    return f"{external_url.rstrip('/')}/ack/{token}"


@dataclass(frozen=True, slots=True)
class ChartLink:
    """The chart of an incident as it was at `at_ms`."""

    incident: int
    at_ms: int
    expires_ms: int


def chart_url(external_url: str, key: bytes, *, incident: int, at_ms: int) -> str:
    """A signed address of a picture: it shows one incident, and only for as long as its messages are read."""
    body = f"{incident}.{_base36(at_ms // 1000)}.{_base36((at_ms + CHART_TTL_MS) // 1000)}"
    return f"{external_url.rstrip('/')}/charts/{body}.{_mark(key, body, 'chart')}.png"


def verify_chart(key: bytes, token: str, now_ms: int) -> ChartLink | None:
    """The chart behind a token; None when it is forged, damaged or too old."""
    if not key or len(token) > _LONGEST or not token.isascii():
        return None
    body, _, mark = token.rpartition(".")
    if not hmac.compare_digest(mark.encode(), _mark(key, body, "chart").encode()):
        return None
    try:
        incident, at, expires = body.split(".")
        link = ChartLink(int(incident), int(at, 36) * 1000, int(expires, 36) * 1000)
    except ValueError:
        return None
    return link if now_ms < link.expires_ms else None


def visitor_urls(external_url: str, key: bytes, visitor: Mapping[str, Any], now_ms: int) -> dict[str, str]:
    """Addresses in a mail to a visitor of a status page (`visitor` of its payload): the page, how to leave, and to confirm."""
    page = f"{external_url.rstrip('/')}/status/{visitor['page']}"
    number, update = int(visitor["subscriber"]), int(visitor.get("update", 0))
    urls = {
        "page": str(visitor["page"]),
        "page_title": str(visitor["page_title"]),
        "page_url": f"{page}#update-{update}" if update else page,
        "leave_url": f"{page}/leave/{sign_visitor(key, 'leave', str(visitor['page']), number, 0)}",
    }
    if visitor.get("confirm"):
        token = sign_visitor(key, "confirm", str(visitor["page"]), number, now_ms + LINK_TTL_MS)
        urls["confirm_url"] = f"{page}/confirm/{token}"
    return urls


def visitor_secret(key: bytes, page: str, number: int, url: str) -> str:
    """What signs the requests to one visitor's webhook. Made from our key, so that it is kept nowhere."""
    return _encode(hmac.new(key, f"hook.{page}.{number}.{url}".encode(), hashlib.sha256).digest())


def sign_visitor(key: bytes, purpose: str, page: str, number: int, expires_ms: int) -> str:
    """`expires_ms` 0 = never: who was written to may leave at any time."""
    body = f"{number}.{_base36(expires_ms // 1000)}"
    return f"{body}.{_mark(key, f'{page}.{body}', purpose)}"


def verify_visitor(key: bytes, purpose: str, page: str, token: str, now_ms: int) -> int | None:
    """The subscriber behind a token; None when it is forged, of another page or purpose, or too old."""
    if not key or len(token) > _LONGEST or not token.isascii():
        return None
    body, _, mark = token.rpartition(".")
    if not hmac.compare_digest(mark.encode(), _mark(key, f"{page}.{body}", purpose).encode()):
        return None
    number, _, expires = body.partition(".")
    return int(number) if expires == "0" or now_ms < int(expires, 36) * 1000 else None


def _mark(key: bytes, body: str, purpose: str = "ack") -> str:
    return _encode(hmac.new(key, f"{purpose}.{body}".encode(), hashlib.sha256).digest()[:_MARK_BYTES])


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
