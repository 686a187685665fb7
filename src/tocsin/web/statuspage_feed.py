"""A status page's updates as an Atom feed (RFC 4287). Ids never change; the text is escaped, and only what XML can hold."""

from __future__ import annotations

import re
import uuid
from html import escape

from tocsin.incidents.publish import Update
from tocsin.web.statuspage_html import iso
from tocsin.web.statuspage_view import View

MEDIA_TYPE = "application/atom+xml; charset=utf-8"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def atom(view: View, *, page_url: str, feed_url: str = "") -> str:
    """`page_url` may be relative to the feed; `feed_url` is the feed's own address when it is known."""
    updates = sorted(
        (update for story in view.stories for update in story.updates), key=lambda update: (-update.t_ms, -update.id)
    )
    updated_ms = max((update.edited_ms or update.t_ms for update in updates), default=0)
    own = f'<link rel="self" type="application/atom+xml" href="{_text(feed_url)}"/>' if feed_url else ""
    entries = "".join(_entry(view.slug, update, page_url) for update in updates)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">'
        f"<id>{_id('page', view.slug)}</id><title>{_text(view.title)}</title><updated>{iso(updated_ms)}</updated>"
        f'<author><name>{_text(view.title)}</name></author><link rel="alternate" type="text/html" href="{_text(page_url)}"/>'
        f"{own}{entries}</feed>\n"
    )


def _entry(slug: str, update: Update, page_url: str) -> str:
    when, changed = iso(update.t_ms), iso(update.edited_ms or update.t_ms)
    return (
        f"<entry><id>{_id('update', slug, update.id, update.t_ms)}</id>"
        f"<title>{_text(update.state.capitalize())}: {_text(update.title)}</title>"
        f'<link rel="alternate" type="text/html" href="{_text(page_url)}#update-{update.id}"/>'
        f'<updated>{changed}</updated><published>{when}</published><content type="text">{_text(update.text)}</content></entry>\n'
    )


def _id(*parts: object) -> str:
    """The same wherever the feed lies: at Tocsin, behind a proxy, as a static copy."""
    return uuid.uuid5(uuid.NAMESPACE_URL, "tocsin:status:" + ":".join(map(str, parts))).urn


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))
