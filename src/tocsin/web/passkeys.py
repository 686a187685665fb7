"""Writing passkeys: plain functions inside the caller's transaction. The core runs them as commands (passkey_commands.py).

What is kept of one is its public key. Signatures are verified before anything comes here (webauthn.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import CommandError
from tocsin.model.event import Actor, Event
from tocsin.state import events
from tocsin.state.marks import hold, mark_of
from tocsin.state.schema import accounts, passkeys, sessions

_MOST = 20
_LONGEST_NAME = 64


def credential_hash(credential_id: bytes) -> str:
    """By what a credential is found."""
    return hashlib.sha256(credential_id).hexdigest()


def passkey_mark(row: Any) -> str:
    """The mark of what a person may change of it."""
    return mark_of(row.name)


def passkey_rows(tx: Connection, account: str, *, only: int | None = None) -> list[Any]:
    """Of the account with this name, oldest first."""
    query = sa.select(passkeys).join(accounts, accounts.c.id == passkeys.c.account).where(accounts.c.name == account)
    if only is not None:
        query = query.where(passkeys.c.id == only)
    return list(tx.execute(query.order_by(passkeys.c.id)))


def add_passkey(tx: Connection, account: str, made: Mapping[str, Any], *, actor: Actor, now_ms: int) -> int:
    """`made`: name, credential_hash, credential, user_handle, rp_id, transports, sign_count, synced. Returns its id.

    Raises CommandError 400 (name), 404 (account), 409 (known already, too many).
    """
    owner = tx.execute(sa.select(accounts.c.id).where(accounts.c.name == account)).scalar()
    if owner is None:
        raise CommandError(404, "no_such_account", f"no account named {account!r}")
    name = _checked_name(str(made["name"]))
    if tx.execute(sa.select(passkeys.c.id).where(passkeys.c.credential_hash == made["credential_hash"])).first():
        raise CommandError(409, "passkey_known", "this passkey is registered already")
    count = tx.execute(sa.select(sa.func.count()).select_from(passkeys).where(passkeys.c.account == owner)).scalar_one()
    if count >= _MOST:
        raise CommandError(409, "too_many_passkeys", f"an account has at most {_MOST} passkeys; remove one first")
    result = tx.execute(sa.insert(passkeys).values(**{**made, "name": name}, account=owner, created_ms=now_ms, used_ms=0))
    _note(
        tx, actor, now_ms, "passkey_added", account, f"{actor.name} added the passkey {name} to account {account}", made["rp_id"]
    )
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def rename_passkey(
    tx: Connection, account: str, passkey: int, name: str, *, seen: Sequence[str] = (), actor: Actor, now_ms: int
) -> None:
    """Raises CommandError 400, 404, 412."""
    row = _passkey(tx, account, passkey)
    hold(seen, passkey_mark(row))
    name = _checked_name(name)
    tx.execute(sa.update(passkeys).where(passkeys.c.id == row.id).values(name=name))
    text = f"{actor.name} renamed the passkey {row.name} of account {account} to {name}"
    _note(tx, actor, now_ms, "passkey_renamed", account, text, row.rp_id)


def remove_passkey(tx: Connection, account: str, passkey: int, *, actor: Actor, now_ms: int, keep_session: str = "") -> None:
    """The sessions that it opened end, but for `keep_session` (an id hash). Raises CommandError 404."""
    row = _passkey(tx, account, passkey)
    # The database may give a number again: what it opened and goes on must not hang on the next one.
    tx.execute(sa.update(sessions).where(sessions.c.passkey == row.id, sessions.c.id_hash == keep_session).values(passkey=0))
    tx.execute(sa.delete(sessions).where(sessions.c.passkey == row.id))
    tx.execute(sa.delete(passkeys).where(passkeys.c.id == row.id))
    text = f"{actor.name} removed the passkey {row.name} of account {account}"
    _note(tx, actor, now_ms, "passkey_removed", account, text, row.rp_id)


def remove_passkeys(tx: Connection, account: str, *, actor: Actor, now_ms: int) -> None:
    """All of an account."""
    for row in passkey_rows(tx, account):
        remove_passkey(tx, account, row.id, actor=actor, now_ms=now_ms)


def use_passkey(tx: Connection, hashed: str, *, sign_count: int, synced: bool, address: str, now_ms: int) -> Any | None:
    """Note one sign-in; returns the passkey's row with `account_name`.

    None = refused: its counter did not move on, as it is when somebody copied it. That stands in the audit, so the caller
    commits and raises afterwards. Raises CommandError 403 when it is gone or its account may not sign in.
    """
    query = sa.select(passkeys, accounts.c.name.label("account_name"), accounts.c.disabled)
    query = query.join(accounts, accounts.c.id == passkeys.c.account).where(passkeys.c.credential_hash == hashed)
    row = tx.execute(query).first()
    if row is None or row.disabled:
        raise CommandError(403, "passkey_unknown", "this passkey is not known here, or its account may not sign in")
    if (sign_count or row.sign_count) and sign_count <= row.sign_count:
        who = Actor("user", row.account_name, "ui", address)
        counts = f"its counter went from {row.sign_count} to {sign_count}"
        text = f"the passkey {row.name} of account {row.account_name} was refused: {counts}, as a copy's would"
        _note(tx, who, now_ms, "passkey_refused", row.account_name, text, row.rp_id)
        return None
    values = {"sign_count": sign_count, "synced": synced, "used_ms": now_ms}
    tx.execute(sa.update(passkeys).where(passkeys.c.id == row.id).values(**values))
    return row


def _passkey(tx: Connection, account: str, passkey: int) -> Any:
    rows = passkey_rows(tx, account, only=passkey)
    if not rows:
        raise CommandError(404, "no_such_passkey", "no such passkey")
    return rows[0]


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        text = f"a passkey needs a name of at most {_LONGEST_NAME} characters, such as the device it is on"
        raise CommandError(400, "bad_name", text)
    return name


def _note(tx: Connection, actor: Actor, now_ms: int, verb: str, account: str, text: str, rp_id: str) -> None:
    data = {"via": actor.via, "rp_id": rp_id}
    events.record(tx, Event(t_ms=now_ms, actor=str(actor), verb=verb, subject=f"account:{account}", text=text, data=data))
