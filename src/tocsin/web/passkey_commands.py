"""What the core offers for passkeys: commands by name, each answers after its commit."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.engine import Connection

from tocsin.bus.wire import Args, CommandHandler
from tocsin.clock import Clock
from tocsin.errors import CommandError
from tocsin.model.event import Actor
from tocsin.state.sql import Database
from tocsin.web import accounts, passkeys

_MADE = ("name", "credential_hash", "credential", "user_handle", "rp_id", "transports")


class PasskeyCommands:
    """Handlers of `passkey.*`."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def table(self) -> Mapping[str, CommandHandler]:
        return {
            "passkey.add": self.add,
            "passkey.rename": self.rename,
            "passkey.remove": self.remove,
            "passkey.sign_in": self.sign_in,
        }

    async def add(self, args: Args, actor: Actor) -> dict[str, int]:
        """{account, name, credential_hash, credential, user_handle, rp_id, transports, sign_count, synced} -> {id}."""
        made = {**{key: str(args[key]) for key in _MADE}, "sign_count": int(args["sign_count"]), "synced": bool(args["synced"])}
        account, now_ms = str(args["account"]), self._clock.now_ms()
        return {"id": await self._db.write(lambda tx: passkeys.add_passkey(tx, account, made, actor=actor, now_ms=now_ms))}

    async def rename(self, args: Args, actor: Actor) -> dict[str, int]:
        """{account, id, name, seen?}."""
        account, passkey, name, seen = str(args["account"]), int(args["id"]), str(args["name"]), args.get("seen", ())
        now_ms = self._clock.now_ms()
        await self._db.write(
            lambda tx: passkeys.rename_passkey(tx, account, passkey, name, seen=seen, actor=actor, now_ms=now_ms)
        )
        return {"id": passkey}

    async def remove(self, args: Args, actor: Actor) -> dict[str, int]:
        """{account, id, keep_session?}."""
        account, passkey, keep = str(args["account"]), int(args["id"]), str(args.get("keep_session", ""))
        now_ms = self._clock.now_ms()
        await self._db.write(
            lambda tx: passkeys.remove_passkey(tx, account, passkey, actor=actor, now_ms=now_ms, keep_session=keep)
        )
        return {"id": passkey}

    async def sign_in(self, args: Args, actor: Actor) -> dict[str, str]:
        """{credential_hash, sign_count, synced} of a verified answer and {id_hash, csrf, expires_ms, address, agent} of the
        session that it opens. Raises CommandError 403."""
        now_ms, address = self._clock.now_ms(), str(args.get("address", ""))

        def work(tx: Connection) -> str | None:
            row = passkeys.use_passkey(
                tx,
                str(args["credential_hash"]),
                sign_count=int(args["sign_count"]),
                synced=bool(args["synced"]),
                address=address,
                now_ms=now_ms,
            )
            if row is None:
                return None
            accounts.create_session(
                tx,
                account=row.account,
                id_hash=str(args["id_hash"]),
                csrf=str(args["csrf"]),
                address=address,
                agent=str(args.get("agent", "")),
                expires_ms=int(args["expires_ms"]),
                now_ms=now_ms,
                passkey=row.id,
                by=f"with the passkey {row.name} ",
            )
            return str(row.account_name)

        name = await self._db.write(work)
        if name is None:
            text = "this passkey's counter went backwards, as when somebody has a copy of it; sign in another way and remove it"
            raise CommandError(403, "passkey_copied", text)
        return {"name": name}
