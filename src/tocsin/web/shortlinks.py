"""Stored short links, `/s/{id}`: addresses of the dashboard that are too long for a message or a chat.

Only to pages of this Tocsin: nothing that acts, answers data or leads elsewhere can be behind one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import CommandError
from tocsin.model.event import Actor, Event
from tocsin.state import events
from tocsin.state.schema import short_links
from tocsin.web.html import is_own_path

LONGEST = 16_000
"""Characters of an address; a browser's request line of more than this meets proxies that refuse it."""
KEPT_MS = 2 * 365 * 86_400_000
MOST = 20_000
PER_MINUTE = 30
"""New ones of one person, token or script."""
_ID_BYTES = 8


def page_address(url: str, base_url: str, pages: frozenset[str]) -> str:
    """`url`, a path of ours or a whole address below `base_url`, as the path without the route prefix.

    `pages`: first path segments that are pages. Raises CommandError 400 when it is none, or longer than LONGEST.
    """
    if len(url) > LONGEST:
        raise CommandError(400, "too_long", f"url: {len(url)} characters; a short link holds at most {LONGEST}")
    path = url[len(base_url) :] if url.startswith((base_url + "/", base_url + "?")) else url
    path = path if path.startswith("/") or path == url else f"/{path}"
    if not is_page(path, pages):
        raise CommandError(400, "bad_url", "url: expected a page of this Tocsin, such as /explore?q=up")
    return path


def is_page(path: str, pages: frozenset[str]) -> bool:
    """Whether a browser that is sent to `path` ends at a page of the dashboard, whatever it makes of dots and escapes."""
    if not is_own_path(path) or "\\" in path or any(c.isspace() for c in path):
        return False
    segments = unquote(path.partition("?")[0].partition("#")[0]).split("/")
    return segments[1] in pages and not {".", ".."} & set(segments)


def create(tx: Connection, key: bytes, url: str, actor: Actor, now_ms: int) -> str:
    """The id for `url`: the same address has the same id, which nobody without `key` can guess. Raises CommandError 429."""
    short = _id_of(key, url)
    c = short_links.c
    if tx.execute(sa.update(short_links).where(c.id == short).values(created_ms=now_ms)).rowcount:
        return short
    recent = sa.select(sa.func.count()).where(c.created_ms > now_ms - 60_000, c.created_by == str(actor))
    if tx.execute(recent).scalar_one() >= PER_MINUTE:
        raise CommandError(429, "too_many_links", f"{PER_MINUTE} short links in one minute are enough; wait a moment")
    tx.execute(sa.insert(short_links).values(id=short, url=url, created_by=str(actor), created_ms=now_ms))
    _prune(tx, now_ms)
    text = f"{actor.name} made a short link to {url.partition('?')[0][:200]}"
    events.record(tx, Event(now_ms, str(actor), "linked", f"link:{short}", text, data={"via": actor.via}))
    return short


def address_of(tx: Connection, short: str) -> str | None:
    """Where a short link leads; None = there is none, or no more."""
    return tx.execute(sa.select(short_links.c.url).where(short_links.c.id == short)).scalar()


def _id_of(key: bytes, url: str) -> str:
    """13 characters without upper case or punctuation: they survive being read aloud, and a chat's idea of where a link ends."""
    mark = hmac.new(key, f"short.{url}".encode(), hashlib.sha256).digest()[:_ID_BYTES]
    return base64.b32encode(mark).decode().rstrip("=").lower()


def _prune(tx: Connection, now_ms: int) -> None:
    """Those that nobody copied for KEPT_MS, and beyond MOST those that were copied longest ago."""
    c = short_links.c
    tx.execute(sa.delete(short_links).where(c.created_ms < now_ms - KEPT_MS))
    surplus = tx.execute(sa.select(sa.func.count()).select_from(short_links)).scalar_one() - MOST
    if surplus > 0:
        oldest = tx.execute(sa.select(c.id).order_by(c.created_ms).limit(surplus)).scalars().all()
        tx.execute(sa.delete(short_links).where(c.id.in_(oldest)))
