"""Writing accounts, sessions and tokens: plain functions inside the caller's transaction. The core runs them as commands.

Secrets never come here: callers pass SHA-256 hashes of session ids and tokens, and argon2 hashes of passwords.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import CommandError
from tocsin.model.event import Actor, Event
from tocsin.state import events
from tocsin.state.marks import hold, mark_of
from tocsin.state.schema import accounts, sessions, tokens
from tocsin.web.endpoint import Role

ACCOUNT_ROLES = (Role.VIEWER, Role.RESPONDER, Role.ADMIN)
FIRST_ACCOUNT = "admin"
"""Who the first one-time sign-in link signs in when there is no account yet."""

LOCAL_PLACE = "local"
"""The probe beside the core, which needs no token."""

_PLACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


def secret_hash(secret: str) -> str:
    """What is stored of a session id or token: they carry 256 random bits, so a plain SHA-256 is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


# -- accounts ---------------------------------------------------------------------------------------------------------


def create_account(
    tx: Connection,
    *,
    name: str,
    role: str,
    full_name: str = "",
    email: str = "",
    password_hash: str = "",
    actor: Actor,
    now_ms: int,
) -> int:
    """Add an account; returns its id. Raises CommandError 400 (name, role) or 409 (name taken)."""
    if not _NAME.fullmatch(name):
        raise CommandError(400, "bad_name", f"account name {name!r}: expected letters, digits and ._@+-, at most 64")
    _check_role(role)
    if tx.execute(sa.select(accounts.c.id).where(accounts.c.name == name)).first():
        raise CommandError(409, "name_taken", f"an account named {name!r} exists already")
    result = tx.execute(
        sa.insert(accounts).values(
            name=name,
            full_name=full_name,
            email=email,
            role=role,
            password_hash=password_hash,
            settings={},
            created_ms=now_ms,
        )
    )
    _note(tx, actor, now_ms, "account_created", f"account:{name}", f"{actor.name} created account {name} ({role})")
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def update_account(tx: Connection, name: str, changes: Mapping[str, Any], *, actor: Actor, now_ms: int) -> None:
    """Change role, full_name, email, disabled or settings. A lost role or a disabled account ends its sessions.

    Raises CommandError 404, 400, or 409 when no admin would be left.
    """
    row = _account(tx, name)
    known = {"role", "full_name", "email", "disabled", "settings"}
    if unknown := set(changes) - known:
        raise CommandError(400, "unknown_field", f"unknown account fields: {', '.join(sorted(unknown))}")
    values = dict(changes)
    if "role" in values:
        _check_role(values["role"])
    if "settings" in values:
        values["settings"] = {**row.settings, **values["settings"]}
    loses = values.get("disabled") or values.get("role", row.role) != row.role
    if loses and row.role == Role.ADMIN and not _another_admin(tx, row.id):
        raise CommandError(409, "last_admin", f"{name} is the last administrator; name another one first")
    tx.execute(sa.update(accounts).where(accounts.c.id == row.id).values(**values))
    if loses:
        end_sessions(tx, row.id)
    said = ", ".join(sorted(set(values) - {"settings"}) or ["settings"])
    _note(tx, actor, now_ms, "account_changed", f"account:{name}", f"{actor.name} changed {said} of account {name}")


def account_mark(row: Any) -> str:
    """The mark of what an administrator may change of it."""
    return mark_of(row.full_name, row.email, row.role, row.disabled, row.password_hash, row.settings)


def hold_account(tx: Connection, name: str, seen: Sequence[str]) -> None:
    """Raises CommandError 404, 412."""
    hold(seen, account_mark(_account(tx, name)))


def set_password(tx: Connection, name: str, password_hash: str, *, actor: Actor, now_ms: int, keep_session: str = "") -> None:
    """Set the argon2 hash of a new password; every session of the account ends, but for `keep_session` (an id hash)."""
    row = _account(tx, name)
    tx.execute(sa.update(accounts).where(accounts.c.id == row.id).values(password_hash=password_hash))
    end_sessions(tx, row.id, but=keep_session)
    _note(tx, actor, now_ms, "password_changed", f"account:{name}", f"{actor.name} changed the password of {name}")


def _another_admin(tx: Connection, account: int) -> bool:
    query = sa.select(accounts.c.id).where(
        accounts.c.role == Role.ADMIN, accounts.c.id != account, accounts.c.disabled == sa.false()
    )
    return tx.execute(query.limit(1)).first() is not None


def _account(tx: Connection, name: str) -> Any:
    row = tx.execute(sa.select(accounts).where(accounts.c.name == name)).first()
    if row is None:
        raise CommandError(404, "no_such_account", f"no account named {name!r}")
    return row


def _check_role(role: str) -> None:
    if role not in ACCOUNT_ROLES:
        raise CommandError(400, "bad_role", f"role {role!r}: expected viewer, responder or admin")


# -- sessions ---------------------------------------------------------------------------------------------------------


def create_session(
    tx: Connection,
    *,
    account: int,
    id_hash: str,
    csrf: str,
    address: str,
    agent: str,
    expires_ms: int,
    now_ms: int,
    passkey: int = 0,
    by: str = "",
) -> None:
    """A signed-in browser; `passkey` opened it (0 = none), `by` says so in the audit. Expired sessions are swept on the way."""
    tx.execute(sa.delete(sessions).where(sessions.c.expires_ms <= now_ms))
    tx.execute(
        sa.insert(sessions).values(
            id_hash=id_hash,
            account=account,
            csrf=csrf,
            created_ms=now_ms,
            expires_ms=expires_ms,
            seen_ms=now_ms,
            address=address,
            agent=agent[:200],
            passkey=passkey,
        )
    )
    row = tx.execute(sa.select(accounts.c.name).where(accounts.c.id == account)).one()
    who = Actor("user", row.name, "ui", address)
    _note(tx, who, now_ms, "signed_in", f"account:{row.name}", f"{row.name} signed in {by}from {address or 'this machine'}")


def touch_session(tx: Connection, id_hash: str, *, now_ms: int) -> None:
    tx.execute(sa.update(sessions).where(sessions.c.id_hash == id_hash).values(seen_ms=now_ms))


def end_session(tx: Connection, id_hash: str, *, actor: Actor, now_ms: int) -> None:
    if tx.execute(sa.delete(sessions).where(sessions.c.id_hash == id_hash)).rowcount:
        _note(tx, actor, now_ms, "signed_out", f"account:{actor.name}", f"{actor.name} signed out")


def end_sessions(tx: Connection, account: int, *, but: str = "") -> None:
    tx.execute(sa.delete(sessions).where(sessions.c.account == account, sessions.c.id_hash != but))


# -- tokens and one-time links ----------------------------------------------------------------------------------------


def create_token(
    tx: Connection,
    *,
    id_hash: str,
    name: str,
    role: str,
    kind: str = "api",
    account: int = 0,
    expires_ms: int = 0,
    place: str = "",
    actor: Actor,
    now_ms: int,
) -> None:
    """Remember a token. kind `api` = bearer token; `signin` = one-time link for `account` (0 = the first administrator).

    `place` binds the token of a probe. Raises CommandError 400.
    """
    if role not in (*ACCOUNT_ROLES, Role.SENDER, Role.PROBE):
        raise CommandError(400, "bad_role", f"role {role!r}: expected probe, sender, viewer, responder or admin")
    if (role == Role.PROBE) != bool(place) or place == LOCAL_PLACE or (place and not _PLACE.fullmatch(place)):
        text = "the role probe needs a place of its own such as paris (not `local`), and no other role has one"
        raise CommandError(400, "bad_place", text)
    tx.execute(sa.delete(tokens).where(tokens.c.kind == "signin", tokens.c.expires_ms <= now_ms))
    tx.execute(
        sa.insert(tokens).values(
            id_hash=id_hash,
            name=name,
            kind=kind,
            role=role,
            account=account,
            created_ms=now_ms,
            expires_ms=expires_ms,
            used_ms=0,
            created_by=str(actor),
            place=place,
        )
    )
    if kind == "api":
        what = f"{role} at {place}" if place else role
        _note(tx, actor, now_ms, "token_created", f"token:{id_hash[:12]}", f"{actor.name} created API token {name!r} ({what})")


def revoke_token(tx: Connection, token_id: str, *, actor: Actor, now_ms: int) -> None:
    """`token_id` is the first 12 or more digits of the hash, as lists show it."""
    if len(token_id) < 12:
        raise CommandError(404, "no_such_token", "no such token")
    rows = tx.execute(sa.select(tokens).where(tokens.c.id_hash.startswith(token_id, autoescape=True))).all()
    if len(rows) != 1:
        raise CommandError(404, "no_such_token", "no such token")
    tx.execute(sa.delete(tokens).where(tokens.c.id_hash == rows[0].id_hash))
    _note(tx, actor, now_ms, "token_revoked", f"token:{token_id[:12]}", f"{actor.name} revoked API token {rows[0].name!r}")


def mark_token_used(tx: Connection, id_hash: str, *, now_ms: int) -> None:
    tx.execute(sa.update(tokens).where(tokens.c.id_hash == id_hash).values(used_ms=now_ms))


def redeem_signin(tx: Connection, id_hash: str, *, now_ms: int) -> int:
    """Use a one-time sign-in link up; returns the account it signs in. Raises CommandError 403."""
    row = tx.execute(sa.select(tokens).where(tokens.c.id_hash == id_hash, tokens.c.kind == "signin")).first()
    if row is None or row.used_ms or (row.expires_ms and row.expires_ms <= now_ms):
        raise CommandError(403, "link_used", "this sign-in link was used already or has expired")
    mark_token_used(tx, id_hash, now_ms=now_ms)
    if row.account:
        return int(row.account)
    first = tx.execute(
        sa.select(accounts.c.id)
        .where(accounts.c.role == Role.ADMIN, accounts.c.disabled == sa.false())
        .order_by(accounts.c.id)
        .limit(1)
    ).scalar()
    if first is not None:
        return int(first)
    return create_account(tx, name=FIRST_ACCOUNT, role=Role.ADMIN, actor=Actor("system", "first sign-in"), now_ms=now_ms)


def _note(tx: Connection, actor: Actor, now_ms: int, verb: str, subject: str, text: str) -> None:
    events.record(tx, Event(t_ms=now_ms, actor=str(actor), verb=verb, subject=subject, text=text, data={"via": actor.via}))
