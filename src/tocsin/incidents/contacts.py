"""Contact methods that people add themselves, and the codes that prove that somebody reads them.

    add ──▶ unverified ──code (10 minutes, 5 tries, 2 an hour)──▶ verified ──▶ pages use it

What the operator's file declares counts as verified, unless it says `verified: false` there: then a code must be entered too.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import CommandError
from tocsin.incidents.policy import shown_address
from tocsin.model.event import Actor, deed
from tocsin.model.incident import ContactMethod, Person
from tocsin.model.notification import Notification, NotificationKind
from tocsin.model.ports import Random
from tocsin.state import events, outbox
from tocsin.state.schema import contacts, notifications

CODE_MS = 600_000
MOST_TRIES = 5
_HOUR_MS = 3_600_000
_CODES_AN_HOUR = 2
_CODES_AN_HOUR_PERSON = 6
"""Over all contacts of a person: nobody can make us ring strangers by adding one number after the other."""
_MOST_ADDED = 10
_c = contacts.c


@dataclass(frozen=True, slots=True)
class Stored:
    """A row. `source` file: only remembers that the method of this fingerprint (`address`) was verified."""

    person: str
    id: str
    source: str
    channel: str
    address: str
    verified_ms: int


def stored(tx: Connection) -> tuple[Stored, ...]:
    query = sa.select(_c.person, _c.id, _c.source, _c.channel, _c.address, _c.verified_ms)
    return tuple(Stored(*row) for row in tx.execute(query.order_by(_c.created_ms, _c.person, _c.id)))


def overlay(persons: Mapping[str, Person], rows: Iterable[Stored]) -> dict[str, Person]:
    """The file's persons with what was added and verified since. A method of the file wins over an added one of its name."""
    found = dict(persons)
    for row in rows:
        person = found.get(row.person)
        if person is None:
            continue
        known = {method.id: method for method in person.methods}
        if row.source == "added" and row.id not in known:
            added = ContactMethod(row.id, row.channel, row.address, verified=row.verified_ms > 0)
            found[row.person] = replace(person, methods=(*person.methods, added))
        elif row.source == "file" and row.verified_ms and row.id in known and fingerprint(known[row.id]) == row.address:
            methods = tuple(replace(m, verified=True) if m.id == row.id else m for m in person.methods)
            found[row.person] = replace(person, methods=methods)
    return found


def fingerprint(method: ContactMethod) -> str:
    """Tells whether a method of the file is still the one whose code was entered; hides an address that is a secret."""
    return hashlib.sha256(repr((method.channel, method.address, sorted(method.settings.items()))).encode()).hexdigest()


def add(tx: Connection, person: Person, *, channel: str, address: str, name: str, actor: Actor, now_ms: int) -> ContactMethod:
    """Store an unverified contact. Raises CommandError 409 for a name that is taken, 422 for too many."""
    if any(method.id == name for method in person.methods):
        raise CommandError(409, "exists", f"{person.name} has a contact {name!r} already; choose another `name`")
    count = sa.select(sa.func.count()).where(_c.person == person.name, _c.source == "added")
    if int(tx.execute(count).scalar_one()) >= _MOST_ADDED:
        raise CommandError(422, "too_many", f"at most {_MOST_ADDED} contacts can be added; remove one first")
    row = {"person": person.name, "id": name, "source": "added", "channel": channel, "address": address}
    tx.execute(sa.insert(contacts).values(**row, codes_sent=[], created_by=actor.name, created_ms=now_ms))
    method = ContactMethod(name, channel, address, verified=False)
    _record(tx, actor, "contact_added", person.name, f"{actor.name} added {channel} {shown_address(method)}", now_ms)
    return method


def send_code(tx: Connection, person: Person, name: str, *, actor: Actor, now_ms: int, random: Random) -> str:
    """Put a fresh code into the outbox; returns the notification's id. The one before it is void.

    Raises CommandError 404, 409 for a verified one, 429 for too many.
    """
    method = _method(person, name)
    if method.verified:
        raise CommandError(409, "verified", f"{name} is verified already")
    _remember_file_method(tx, person, method, actor, now_ms)
    row = tx.execute(sa.select(contacts).where(_c.person == person.name, _c.id == name)).one()
    recent = [t_ms for t_ms in row.codes_sent if t_ms > now_ms - _HOUR_MS]
    _check_rate(tx, person.name, recent, now_ms)
    code = f"{int.from_bytes(random.randbytes(8)) % 1_000_000:06d}"
    note = _note(next(outbox.new_ids(tx, now_ms=now_ms, random=random)), person, method, code, actor, now_ms)
    values = {"code_hash": _hash(code, random.randbytes(16)), "code_expires_ms": now_ms + CODE_MS, "code_tries": 0}
    _update(tx, person.name, name, **values, codes_sent=[*recent, now_ms])
    outbox.enqueue(tx, [note])
    text = f"a code was sent to {method.channel} {shown_address(method)} of {person.name}"
    _record(tx, actor, "contact_code_sent", person.name, text, now_ms)
    return note.id


def verify(tx: Connection, person: Person, name: str, code: str, *, actor: Actor, now_ms: int) -> str:
    """Count one try; returns what is wrong, empty when the contact is verified now. The caller commits either way."""
    method = _method(person, name)
    if method.verified:
        return ""
    row = tx.execute(sa.select(contacts).where(_c.person == person.name, _c.id == name)).first()
    if row is None or not row.code_hash or row.code_expires_ms <= now_ms:
        return "there is no code that still counts: ask for a new one"
    if row.code_tries >= MOST_TRIES:
        return "too many wrong codes: ask for a new one"
    digits = "".join(char for char in code if char in "0123456789")
    if not hmac.compare_digest(_hash(digits, bytes.fromhex(row.code_hash.split(":")[0])), row.code_hash):
        _update(tx, person.name, name, code_tries=row.code_tries + 1)
        _record(tx, actor, "contact_code_wrong", person.name, f"a wrong code was entered for {name} of {person.name}", now_ms)
        left = MOST_TRIES - row.code_tries - 1
        return f"this is not the code that was sent ({left} {'try' if left == 1 else 'tries'} left)"
    _update(tx, person.name, name, verified_ms=now_ms, code_hash="", code_expires_ms=0)
    forget_codes(tx, now_ms, of=f"user:{person.name}/{name}")
    text = f"{method.channel} {shown_address(method)} of {person.name} is verified"
    _record(tx, actor, "contact_verified", person.name, text, now_ms)
    return ""


def remove(tx: Connection, person: str, name: str, *, actor: Actor, now_ms: int) -> None:
    """Raises CommandError 404; what the file declares is removed there."""
    gone = tx.execute(sa.delete(contacts).where(_c.person == person, _c.id == name, _c.source == "added")).rowcount
    if not gone:
        raise CommandError(404, "not_found", f"{person} has added no contact {name!r}; one of the file is removed there")
    _record(tx, actor, "contact_removed", person, f"{actor.name} removed {name} of {person}", now_ms)


def forget_codes(tx: Connection, now_ms: int, *, of: str = "") -> None:
    """Take codes that are over (or those of one contact) out of the log of messages: only their hash was kept elsewhere."""
    c = notifications.c
    which = c.settings_ref == of if of else c.created_ms.between(now_ms - _FORGET_WITHIN_MS, now_ms - CODE_MS)
    for row in tx.execute(sa.select(c.id, c.payload).where(c.dedup_key.startswith("code/"), which)).all():
        if row.payload.get("text") != _GONE:
            tx.execute(sa.update(notifications).where(c.id == row.id).values(payload={"title": _TITLE, "text": _GONE}))


# -- parts --

_TITLE = "Confirm this contact"
_GONE = "The code is not kept."
_FORGET_WITHIN_MS = 30 * 86_400_000


def _method(person: Person, name: str) -> ContactMethod:
    for method in person.methods:
        if method.id == name:
            return method
    raise CommandError(404, "not_found", f"{person.name} has no contact {name!r}")


def _remember_file_method(tx: Connection, person: Person, method: ContactMethod, actor: Actor, now_ms: int) -> None:
    """A row to keep the code of a method that the file declares; a changed address begins anew."""
    row = tx.execute(sa.select(_c.source, _c.address).where(_c.person == person.name, _c.id == method.id)).first()
    if row is None:
        values: dict[str, Any] = {"person": person.name, "id": method.id, "source": "file", "channel": method.channel}
        values |= {"address": fingerprint(method), "created_by": actor.name, "created_ms": now_ms, "codes_sent": []}
        tx.execute(sa.insert(contacts).values(**values))
    elif row.source == "file" and row.address != fingerprint(method):
        _update(tx, person.name, method.id, address=fingerprint(method), verified_ms=0, code_hash="", code_expires_ms=0)


def _check_rate(tx: Connection, person: str, recent: list[int], now_ms: int) -> None:
    sent = [t_ms for row in tx.execute(sa.select(_c.codes_sent).where(_c.person == person)) for t_ms in row.codes_sent]
    if len(recent) >= _CODES_AN_HOUR:
        wait = -(-(recent[-_CODES_AN_HOUR] + _HOUR_MS - now_ms) // 60_000)
        raise CommandError(429, "too_many_codes", f"two codes an hour for one contact: wait {wait} minutes")
    if sum(t_ms > now_ms - _HOUR_MS for t_ms in sent) >= _CODES_AN_HOUR_PERSON:
        raise CommandError(429, "too_many_codes", f"{_CODES_AN_HOUR_PERSON} codes an hour for one person: wait a little")


def _note(id_: str, person: Person, method: ContactMethod, code: str, actor: Actor, now_ms: int) -> Notification:
    ref = f"user:{person.name}/{method.id}"
    text = f"{code} is your code. Enter it in Tocsin within 10 minutes. If you did not ask for it, do nothing."
    return Notification(
        id=id_,
        incident=0,
        kind=NotificationKind.TEST,
        channel=method.channel,
        address=shown_address(method),
        recipient=person.name,
        due_at_ms=now_ms,
        created_ms=now_ms,
        expires_ms=now_ms + CODE_MS,
        reason=f"Verification asked for by {actor.name}",
        dedup_key=f"code/{id_}",
        settings_ref=ref,
        payload={"title": _TITLE, "text": text},
        order_key=f"code/{ref}",
    )


def _hash(code: str, salt: bytes) -> str:
    """`salt:scrypt`, hex: six digits alone would be found in a blink."""
    return f"{salt.hex()}:{hashlib.scrypt(code.encode(), salt=salt, n=4096, r=8, p=1).hex()}"


def _update(tx: Connection, person: str, name: str, **values: Any) -> None:
    tx.execute(sa.update(contacts).where(_c.person == person, _c.id == name).values(**values))


def _record(tx: Connection, actor: Actor, verb: str, person: str, text: str, now_ms: int) -> None:
    events.record(tx, deed(now_ms, actor, verb, f"user:{person}", text))
