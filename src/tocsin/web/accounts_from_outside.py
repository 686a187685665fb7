"""Accounts of people whom an identity provider vouches for: found by issuer and subject, made at the first sign-in."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import CommandError
from tocsin.model.event import Actor
from tocsin.state.schema import accounts
from tocsin.web.accounts import create_account, update_account
from tocsin.web.oidc import Identity

_KEY = "oidc"
"""Setting of an account that holds the identity's subject."""


def account_for(tx: Connection, who: Identity, *, now_ms: int) -> int:
    """The account's id, with role and names as the provider says them now. Raises CommandError 403 or 409.

    An account that exists already is taken over only when an administrator has written that very (verified) address into it.
    """
    actor = Actor("system", "identity provider")
    rows = tx.execute(sa.select(accounts).order_by(accounts.c.id)).all()
    row = next((one for one in rows if one.settings.get(_KEY) == who.subject), None) or _same_address(rows, who)
    if row is None:
        if any(one.name == who.name for one in rows):
            detail = f"an account named {who.name!r} exists and is not yours; an administrator can write your address into it"
            raise CommandError(409, "name_taken", detail)
        create_account(tx, name=who.name, role=who.role, full_name=who.full_name, email=who.email, actor=actor, now_ms=now_ms)
        row = tx.execute(sa.select(accounts).where(accounts.c.name == who.name)).one()
    if row.disabled:
        raise CommandError(403, "disabled", f"account {row.name} is disabled")
    said = {"role": who.role, "full_name": who.full_name or row.full_name, "email": who.email or row.email}
    changes: dict[str, Any] = {name: value for name, value in said.items() if getattr(row, name) != value}
    if row.settings.get(_KEY) != who.subject:
        changes["settings"] = {_KEY: who.subject}
    if changes:
        update_account(tx, row.name, changes, actor=actor, now_ms=now_ms)
    return int(row.id)


def _same_address(rows: Any, who: Identity) -> Any:
    if not who.email:
        return None
    return next((one for one in rows if one.email.lower() == who.email and not one.settings.get(_KEY)), None)
