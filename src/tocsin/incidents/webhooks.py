"""Webhooks of a status page's visitors: which addresses may be given, what is told, and when one is given up.

The words are those of Atlassian Statuspage, whose webhooks many programs read. Only what was published is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import CommandError
from tocsin.formats.times import format_rfc3339
from tocsin.incidents import publish
from tocsin.incidents.publish import Update
from tocsin.model.egress import EgressRules, literal_address
from tocsin.state.schema import attempts, notifications

LONGEST = 240
"""Characters of an address: it stands in a reference of 255."""
MOST_OF_HOST = 10
"""Addresses of one host that may be asked for within an hour: nobody sends us to shout at a stranger."""
GONE = (404, 410)
GIVEN_UP_AFTER = 3
_MOST_UPDATES = 10
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_WORDS = {
    "operational": "operational",
    "degraded": "degraded_performance",
    "down": "major_outage",
    "maintenance": "under_maintenance",
}
_INDICATORS = ("none", "maintenance", "minor", "major")
_INDICATOR_OF = {"operational": "none", "maintenance": "maintenance", "degraded": "minor", "down": "major"}
_DESCRIPTIONS = {
    "none": "All Systems Operational",
    "maintenance": "Service Under Maintenance",
    "minor": "Minor Service Outage",
    "major": "Major Service Outage",
}


def address(text: str, *, private: bool) -> str:
    """A URL with scheme and host in small letters. Raises CommandError 422.

    `private`: the page lets webhooks lead into its own network. A name is judged when it is connected to, not here: what this
    form answers must not tell what our network knows.
    """
    text = text.strip()
    if not text or len(text) > LONGEST or not text.isascii() or not text.isprintable() or re.search(r"[\s<>\"\\]", text):
        raise _bad(f"This is not an address such as https://hooks.example.com/status (at most {LONGEST} plain characters).")
    try:
        parts = urlsplit(text)
        host, _port = parts.netloc.rpartition("@")[2].lower(), parts.port
    except ValueError:
        raise _bad("This is not an address such as https://hooks.example.com/status.") from None
    name = (parts.hostname or "").lower()
    if parts.scheme.lower() not in ("http", "https") or not _HOST.fullmatch(f"[{name}]" if ":" in name else name):
        raise _bad("Give an address that begins with https:// or http:// and names a server.")
    if parts.username is not None:
        raise _bad("Give an address without a user name and password.")
    literal = literal_address(name)
    if literal and not private and EgressRules().refusal_outside(literal):
        raise _bad("Give an address on the public internet.")
    return urlunsplit((parts.scheme.lower(), host, parts.path or "/", parts.query, ""))


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def body(tx: Connection, update: Update, page: str, now_ms: int) -> dict[str, Any]:
    """{incident, page} as they are told of `update`; links are added by whoever sends it."""
    updates = _thread(tx, update, page)
    said = [dict(story.updates[0].components) for story in publish.stories(tx, page, now_ms) if story.open]
    indicator = _worst(said)
    components = _components(updates)
    return {
        "page": {"status_indicator": indicator, "status_description": _DESCRIPTIONS[indicator]},
        "incident": {
            "id": str(_first_id(tx, update, page)),
            "name": update.title,
            "status": update.state,
            "impact": _worst([components]) if components else "minor",
            "created_at": format_rfc3339(updates[-1].t_ms),
            "updated_at": format_rfc3339(update.t_ms),
            "resolved_at": format_rfc3339(update.t_ms) if update.state == "resolved" else None,
            "components": [{"name": name, "status": _WORDS[state]} for name, state in components.items()],
            "incident_updates": [_told(one) for one in updates[:_MOST_UPDATES]],
        },
    }


def given_up(tx: Connection, recipient: str) -> int:
    """How the last notices ended when nobody is there any more: 404 or 410, as often as GIVEN_UP_AFTER; else 0."""
    n = notifications.c
    last = sa.select(n.id).where(n.recipient == recipient, n.attempts > 0).order_by(n.id.desc()).limit(GIVEN_UP_AFTER)
    ids = list(tx.execute(last).scalars())
    ended = [_last_status(tx, id_) for id_ in ids]
    return ended[0] if len(ended) == GIVEN_UP_AFTER and all(status in GONE for status in ended) else 0


# -- parts --


def _bad(text: str) -> CommandError:
    return CommandError(422, "bad_address", text)


def _last_status(tx: Connection, id_: str) -> int:
    query = sa.select(attempts.c.status).where(attempts.c.notification == id_).order_by(attempts.c.id.desc()).limit(1)
    return int(tx.execute(query).scalar() or 0)


def _thread(tx: Connection, update: Update, page: str) -> Sequence[Update]:
    """The story's updates, newest first; the one that is told is the first, whatever else was published meanwhile."""
    before = publish.thread(tx, page, incident=update.incident, story=update.story)
    return [update, *(one for one in before if one.id < update.id)]


def _first_id(tx: Connection, update: Update, page: str) -> int:
    """Of the story, also where its first update was taken back: readers tell stories apart by it."""
    return publish.first_id(tx, page, incident=update.incident, story=update.story) or update.id


def _components(updates: Sequence[Update]) -> dict[str, str]:
    """What was said last of each component."""
    found: dict[str, str] = {}
    for one in updates:
        for name, state in one.components.items():
            found.setdefault(name, state)
    return found


def _worst(said: Iterable[Mapping[str, str]]) -> str:
    found = [_INDICATOR_OF[state] for states in said for state in (states.values() or ["degraded"])]
    return max(found, key=_INDICATORS.index, default="none")


def _told(one: Update) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "status": one.state,
        "body": one.text,
        "created_at": format_rfc3339(one.t_ms),
        "display_at": format_rfc3339(one.t_ms),
        "updated_at": format_rfc3339(one.edited_ms or one.t_ms),
        "affected_components": [{"name": name, "new_status": _WORDS[state]} for name, state in one.components.items()],
    }
