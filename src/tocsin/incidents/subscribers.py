"""Visitors who asked to hear of a status page, by mail or by a webhook of theirs.

    subscribe ──message with a signed link──▶ confirm ──▶ every update is sent ──leave (link in every message)──▶ forgotten
                                                                └──a webhook's server says three times that nobody is there──▶

Nothing tells one visitor about another: `subscribe` says the same whether or not an address is known, the log of messages shows
no address, and who leaves is deleted. What is mailed goes through the outbox like every other message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import CommandError
from tocsin.incidents import webhooks
from tocsin.incidents.publish import Update
from tocsin.model.event import Actor, Event
from tocsin.model.notification import Notification, NotificationKind
from tocsin.model.ports import Random
from tocsin.state import events, outbox
from tocsin.state.schema import notifications, status_subscribers

CONFIRM_MS = 24 * 3_600_000
"""How long the link of a confirmation mail counts; who has not used it by then is forgotten."""
MOST, MOST_HOOKS = 5_000, 500
EMAIL, WEBHOOK = "email", "webhook"
_HOUR_MS = 3_600_000
_ASKS_AN_HOUR, _ASKS_A_DAY = 2, 5
_ASKS_AN_HOUR_OF_ALL = 200
"""Over all addresses: a crowd of machines cannot make us write to a crowd of strangers."""
_MAIL_TTL_MS = 24 * 3_600_000
_GAP_MS = 200
"""Between two mails of one update, so that a long list does not fall on the mail server at once."""
_MAILBOX = re.compile(r"[^@\s<>\"(),:;\\]{1,64}@[^@\s<>\"(),:;\\]{1,250}\.[^@\s<>\"(),:;\\.]{2,63}")
_VISITOR = Actor("visitor", "somebody", "status page")
_c = status_subscribers.c


@dataclass(frozen=True, slots=True)
class Page:
    """What a mail says of the page it is about."""

    slug: str
    title: str


def subscribe(tx: Connection, page: Page, address: str, *, random: Random, now_ms: int) -> None:
    """Mail a link that confirms, unless this address (or everybody together) has asked too often: then nothing happens.

    Raises CommandError 422 for what is no mail address, and nothing else: the answer must not tell who is known.
    """
    text = "Somebody, you we hope, asked us to write to this address whenever there is news on this page."
    lines = [text, "Press the button to confirm it. If it was not you, do nothing: you will hear no more."]
    _ask(tx, page, EMAIL, _address(address), (f"Confirm mails of {page.title}", lines), random=random, now_ms=now_ms)


def subscribe_hook(tx: Connection, page: Page, url: str, *, private: bool, random: Random, now_ms: int) -> None:
    """Post a link that confirms to a webhook; else as `subscribe`. `private`: it may lead into our own network."""
    url = webhooks.address(url, private=private)
    text = "Somebody asked us to post here whenever there is news on this page. Nothing else is sent until it is confirmed."
    lines = [text, "Open confirm_url and press the button, or POST to it, within a day. The secret signs every later request."]
    if not _host_too_often(tx, url, now_ms):
        _ask(tx, page, WEBHOOK, url, (f"Confirm a webhook of {page.title}", lines), random=random, now_ms=now_ms)


def _ask(
    tx: Connection, page: Page, kind: str, address: str, said: tuple[str, Sequence[str]], *, random: Random, now_ms: int
) -> None:
    tx.execute(sa.delete(status_subscribers).where(_c.confirmed_ms == 0, _c.asked_ms < now_ms - CONFIRM_MS))
    row = tx.execute(sa.select(status_subscribers).where(_c.page == page.slug, _c.address == address)).first()
    asked = [t_ms for t_ms in (row.asked_times if row else []) if t_ms > now_ms - 24 * _HOUR_MS]
    if _too_often(tx, asked, now_ms) or (row is None and _full(tx, page.slug, kind)):
        return
    if row is None:
        values = {"page": page.slug, "kind": kind, "address": address, "created_ms": now_ms, "asked_times": []}
        key = tx.execute(sa.insert(status_subscribers).values(**values)).inserted_primary_key
        assert key is not None
        number = int(key[0])
    else:
        number = row.id
    tx.execute(sa.update(status_subscribers).where(_c.id == number).values(asked_ms=now_ms, asked_times=[*asked, now_ms]))
    title, lines = said
    payload = {"title": title, "lines": list(lines), "visitor": _visitor(page, number, confirm=True)}
    id_ = next(outbox.new_ids(tx, now_ms=now_ms, random=random))
    outbox.enqueue(tx, [_note(id_, page, number, (kind, address), payload, now_ms)])
    what = "mails" if kind == EMAIL else "webhooks"
    _record(tx, page.slug, "subscription_asked", f"a visitor asked for {what} of this page", now_ms)


def confirm(tx: Connection, page: str, number: int, now_ms: int) -> bool:
    """The link was used. False when there is nothing to confirm any more; again is as good as once."""
    row = tx.execute(sa.select(_c.confirmed_ms, _c.kind).where(_c.id == number, _c.page == page)).first()
    if row is None:
        return False
    if not row.confirmed_ms:
        tx.execute(sa.update(status_subscribers).where(_c.id == number).values(confirmed_ms=now_ms))
        way = "mail" if row.kind == EMAIL else "webhook"
        _record(tx, page, "subscribed", f"a visitor follows this page by {way}", now_ms)
    return True


def kind_of(tx: Connection, page: str, number: int) -> str:
    """How a visitor asked to hear: EMAIL (also of one who is gone) or WEBHOOK."""
    return str(tx.execute(sa.select(_c.kind).where(_c.id == number, _c.page == page)).scalar() or EMAIL)


def gone(tx: Connection, note: Notification, now_ms: int) -> None:
    """A webhook's server said that there is nobody: forget it when it was so several times in a row, and say why."""
    visitor = note.payload.get("visitor") or {}
    page, number = str(visitor.get("page", "")), int(visitor.get("subscriber", 0))
    if status := webhooks.given_up(tx, _recipient(page, number)):
        times = webhooks.GIVEN_UP_AFTER
        leave(tx, page, number, now_ms, why=f"a webhook is removed: its server answered HTTP {status}, {times} notices in a row")


def leave(tx: Connection, page: str, number: int, now_ms: int, *, why: str = "a visitor follows this page no more") -> None:
    """Forget a visitor, here and in the log of messages. Who is gone already stays gone."""
    row = tx.execute(sa.select(_c.address).where(_c.id == number, _c.page == page)).first()
    if row is None:
        return
    tx.execute(sa.delete(status_subscribers).where(_c.id == number))
    mine = sa.and_(
        notifications.c.recipient == _recipient(page, number), notifications.c.kind == NotificationKind.PUBLISHED.value
    )
    waiting = sa.and_(mine, notifications.c.state.in_(outbox.WAITING))
    gone = {"state": "cancelled", "state_reason": "the visitor has left", "done_ms": now_ms}
    tx.execute(sa.update(notifications).where(waiting).values(**gone))
    tx.execute(sa.update(notifications).where(mine).values(settings_ref="visitor:"))
    _record(tx, page, "unsubscribed", why, now_ms)


def announce(tx: Connection, update: Update, page: Page, *, random: Random, now_ms: int) -> int:
    """Put one message per confirmed visitor into the outbox; returns how many. The same update is told once."""
    followers = tx.execute(
        sa.select(_c.id, _c.kind, _c.address).where(_c.page == page.slug, _c.confirmed_ms > 0).order_by(_c.id).limit(MOST)
    ).all()
    by_hook = any(row.kind == WEBHOOK for row in followers)
    more = {WEBHOOK: {"hook": webhooks.body(tx, update, page.slug, now_ms)} if by_hook else {}}
    ids = outbox.new_ids(tx, now_ms=now_ms, random=random)
    lines = [line for line in update.text.splitlines() if line.strip()]
    lines += [f"{name}: {state}" for name, state in update.components.items()]
    title = f"{update.state.capitalize()}: {update.title}"
    notes = [
        _note(
            next(ids),
            page,
            row.id,
            (row.kind, row.address),
            {"title": title, "lines": lines, "visitor": _visitor(page, row.id, update=update.id), **more.get(row.kind, {})},
            now_ms,
            due_at_ms=now_ms + place * _GAP_MS,
            about=f"update/{update.id}",
        )
        for place, row in enumerate(followers)
    ]
    return outbox.enqueue(tx, notes)


def count(tx: Connection, page: str, *, confirmed: bool = True) -> int:
    query = sa.select(sa.func.count()).where(_c.page == page)
    return int(tx.execute(query.where(_c.confirmed_ms > 0) if confirmed else query).scalar_one())


# -- parts --


def _address(text: str) -> str:
    """A mailbox with its domain in small letters. Raises CommandError 422."""
    text = text.strip()
    if len(text) > 254 or not text.isprintable() or not _MAILBOX.fullmatch(text):
        raise CommandError(422, "bad_address", "This is not a mail address such as ana@example.com.")
    local, _, domain = text.rpartition("@")
    return f"{local}@{domain.lower()}"


def _too_often(tx: Connection, asked: list[int], now_ms: int) -> bool:
    hour_ago = now_ms - _HOUR_MS
    if len(asked) >= _ASKS_A_DAY or sum(t_ms > hour_ago for t_ms in asked) >= _ASKS_AN_HOUR:
        return True
    lately = sa.select(sa.func.count()).where(_c.asked_ms > hour_ago)
    return int(tx.execute(lately).scalar_one()) >= _ASKS_AN_HOUR_OF_ALL


def _full(tx: Connection, page: str, kind: str) -> bool:
    if kind == WEBHOOK:
        hooks = sa.select(sa.func.count()).where(_c.page == page, _c.kind == WEBHOOK)
        if int(tx.execute(hooks).scalar_one()) >= MOST_HOOKS:
            return True
    return count(tx, page, confirmed=False) >= MOST


def _host_too_often(tx: Connection, url: str, now_ms: int) -> bool:
    """Many addresses of one host within an hour, this one left out."""
    lately = sa.select(_c.address).where(_c.kind == WEBHOOK, _c.asked_ms > now_ms - _HOUR_MS, _c.address != url)
    hosts = [webhooks.host_of(found) for found in tx.execute(lately).scalars()]
    return hosts.count(webhooks.host_of(url)) >= webhooks.MOST_OF_HOST


def _visitor(page: Page, number: int, *, confirm: bool = False, update: int = 0) -> Mapping[str, object]:
    """What `notify` needs for links; no address, no secret."""
    return {"page": page.slug, "page_title": page.title, "subscriber": number, "confirm": confirm, "update": update}


def _recipient(page: str, number: int) -> str:
    return f"visitor {number} of {page}"


def _note(
    id_: str,
    page: Page,
    number: int,
    where: tuple[str, str],
    payload: Mapping[str, object],
    now_ms: int,
    *,
    due_at_ms: int = 0,
    about: str = "",
) -> Notification:
    """`where`: by what, and the address."""
    key, (kind, address) = f"visitor/{page.slug}/{number}", where
    return Notification(
        id=id_,
        incident=0,
        kind=NotificationKind.PUBLISHED,
        channel=kind,
        address="",
        recipient=_recipient(page.slug, number),
        due_at_ms=due_at_ms or now_ms,
        created_ms=now_ms,
        expires_ms=now_ms + _MAIL_TTL_MS,
        reason=f"You get this because you asked for {'mails' if kind == EMAIL else 'webhooks'} of {page.title}.",
        dedup_key=f"{key}/{about or id_}",
        settings_ref=f"visitor:{address}",
        payload=payload,
        order_key=key,
    )


def _record(tx: Connection, page: str, verb: str, text: str, now_ms: int) -> None:
    events.record(tx, Event(now_ms, str(_VISITOR), verb, f"status:{page}", text, {"via": _VISITOR.via}))
