"""Accounts that exist without anybody making them: the administrator of a new installation."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.clock import Clock
from tocsin.model.event import SYSTEM
from tocsin.state.schema import accounts as account_table
from tocsin.state.sql import Database
from tocsin.web import accounts


async def ensure_admin(db: Database, clock: Clock) -> None:
    """Create the account `admin` (no password: sign-in links only) where there is no administrator."""

    def work(tx: Connection) -> None:
        admins = tx.execute(sa.select(account_table.c.id).where(account_table.c.role == "admin").limit(1)).first()
        if admins is None:
            accounts.create_account(
                tx, name="admin", role="admin", full_name="", email="", password_hash="", actor=SYSTEM, now_ms=clock.now_ms()
            )

    await db.write(work)
