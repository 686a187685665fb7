"""What the core offers for accounts, sessions, tokens, markers, links and dashboards: `commands(...)` names the handlers."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.bus.wire import Args, CommandHandler
from tocsin.clock import Clock
from tocsin.errors import CommandError
from tocsin.model.event import Actor, Event
from tocsin.model.ports import Changed, Random
from tocsin.notify.links import ensure_key
from tocsin.state import events
from tocsin.state.schema import accounts as account_table
from tocsin.state.schema import markers
from tocsin.state.sql import Database
from tocsin.web import accounts, accounts_from_outside, panel_link, passkeys, shortlinks
from tocsin.web.boards.saved import BoardCommands
from tocsin.web.endpoint import Role
from tocsin.web.html import is_own_path
from tocsin.web.oidc import Identity
from tocsin.web.passkey_commands import PasskeyCommands

TOKEN_PREFIX = "tcs_"  # lets secret scanners recognise a leaked token
SIGNIN_LINK_MS = 15 * 60_000


def new_secret(random: Random) -> str:
    """256 random bits, safe in URLs."""
    return base64.urlsafe_b64encode(random.randbytes(32)).rstrip(b"=").decode()


def commands(db: Database, clock: Clock, random: Random, changed: Changed | None = None) -> Mapping[str, CommandHandler]:
    """Handlers by command name. All of them write; each answers after its commit."""
    told: Changed = changed or (lambda topic, subject="": None)
    handlers = _Handlers(db, clock, random, told)
    return {
        **BoardCommands(db, clock, told).table(),
        **PasskeyCommands(db, clock).table(),
        "account.create": handlers.account_create,
        "account.update": handlers.account_update,
        "account.password": handlers.account_password,
        "session.create": handlers.session_create,
        "session.end": handlers.session_end,
        "session.touch": handlers.session_touch,
        "token.create": handlers.token_create,
        "token.revoke": handlers.token_revoke,
        "token.use": handlers.token_use,
        "marker.add": handlers.marker_add,
        "link.create": handlers.link_create,
        "panel.share": handlers.panel_share,
        "panel.end": handlers.panel_end,
    }


class _Handlers:
    def __init__(self, db: Database, clock: Clock, random: Random, changed: Changed) -> None:
        self._db = db
        self._clock = clock
        self._random = random
        self._changed = changed

    async def account_create(self, args: Args, actor: Actor) -> Any:
        fields = {key: str(args.get(key, "")) for key in ("name", "role", "full_name", "email", "password_hash")}
        await self._write(lambda tx, now_ms: accounts.create_account(tx, **fields, actor=actor, now_ms=now_ms))
        return {"name": fields["name"]}

    async def account_update(self, args: Args, actor: Actor) -> Any:
        """{name, changes, password_hash?, passkeys?, seen?}: all of it, or nothing. `passkeys` False removes them."""
        name, changes, password_hash = str(args["name"]), dict(args["changes"]), args.get("password_hash")

        def work(tx: Connection, now_ms: int) -> None:
            accounts.hold_account(tx, name, args.get("seen", ()))
            if changes:
                accounts.update_account(tx, name, changes, actor=actor, now_ms=now_ms)
            if password_hash is not None:
                accounts.set_password(tx, name, str(password_hash), actor=actor, now_ms=now_ms)
            if args.get("passkeys") is False:
                passkeys.remove_passkeys(tx, name, actor=actor, now_ms=now_ms)

        await self._write(work)
        return {"name": name}

    async def account_password(self, args: Args, actor: Actor) -> Any:
        name, password_hash, keep = str(args["name"]), str(args["password_hash"]), str(args.get("keep_session", ""))
        await self._write(
            lambda tx, now_ms: accounts.set_password(tx, name, password_hash, actor=actor, now_ms=now_ms, keep_session=keep)
        )
        return {"name": name}

    async def session_create(self, args: Args, actor: Actor) -> Any:
        """{id_hash, csrf, expires_ms, address, agent} and `account` (id), `signin` (hash of a one-time link) or `outside` (an
        identity provider's word: oidc.Identity)."""

        def work(tx: Connection, now_ms: int) -> Any:
            signin = str(args.get("signin", ""))
            if outside := args.get("outside"):
                account = accounts_from_outside.account_for(tx, Identity(**outside), now_ms=now_ms)
            elif signin:
                account = accounts.redeem_signin(tx, signin, now_ms=now_ms)
            else:
                account = int(args["account"])
            accounts.create_session(
                tx,
                account=account,
                id_hash=str(args["id_hash"]),
                csrf=str(args["csrf"]),
                address=str(args.get("address", "")),
                agent=str(args.get("agent", "")),
                expires_ms=int(args["expires_ms"]),
                now_ms=now_ms,
            )
            row = tx.execute(sa.select(account_table).where(account_table.c.id == account)).one()
            if row.disabled:
                raise CommandError(403, "disabled", f"account {row.name} is disabled")
            return {"name": row.name, "role": row.role, "has_password": bool(row.password_hash)}

        return await self._write(work)

    async def session_end(self, args: Args, actor: Actor) -> Any:
        id_hash = str(args["id_hash"])
        await self._write(lambda tx, now_ms: accounts.end_session(tx, id_hash, actor=actor, now_ms=now_ms))
        return {}

    async def session_touch(self, args: Args, actor: Actor) -> Any:
        id_hash = str(args["id_hash"])
        await self._write(lambda tx, now_ms: accounts.touch_session(tx, id_hash, now_ms=now_ms))
        return {}

    async def token_create(self, args: Args, actor: Actor) -> Any:
        """{name, role, kind?, account?, expires_ms?, place?} -> the secret, which nobody can ever read again."""
        kind = str(args.get("kind", "api"))
        secret = new_secret(self._random) if kind == "signin" else TOKEN_PREFIX + new_secret(self._random)
        id_hash = accounts.secret_hash(secret)
        account = str(args.get("account", ""))

        def work(tx: Connection, now_ms: int) -> Any:
            expires_ms = int(args.get("expires_ms", 0)) or (now_ms + SIGNIN_LINK_MS if kind == "signin" else 0)
            accounts.create_token(
                tx,
                id_hash=id_hash,
                name=str(args.get("name", "")) or kind,
                role=str(args.get("role", Role.VIEWER)),
                kind=kind,
                account=_account_id(tx, account),
                expires_ms=expires_ms,
                place=str(args.get("place", "")),
                actor=actor,
                now_ms=now_ms,
            )
            return {"token": secret, "id": id_hash[:12], "expires_ms": expires_ms}

        return await self._write(work)

    async def token_revoke(self, args: Args, actor: Actor) -> Any:
        token_id = str(args["id"])
        await self._write(lambda tx, now_ms: accounts.revoke_token(tx, token_id, actor=actor, now_ms=now_ms))
        return {}

    async def token_use(self, args: Args, actor: Actor) -> Any:
        """Note that an API token was used; the web process says so at most once a minute and token."""
        id_hash = str(args["id_hash"])
        await self._write(lambda tx, now_ms: accounts.mark_token_used(tx, id_hash, now_ms=now_ms))
        return {}

    async def marker_add(self, args: Args, actor: Actor) -> Any:
        """{kind, service?, text, t_ms?, data?}: a deploy, restart or note on charts."""
        values = {key: str(args.get(key, "")) for key in ("kind", "service", "text")}

        def work(tx: Connection, now_ms: int) -> Any:
            t_ms = int(args.get("t_ms", 0)) or now_ms
            result = tx.execute(sa.insert(markers).values(**values, t_ms=t_ms, data=dict(args.get("data", {}))))
            key = result.inserted_primary_key
            assert key is not None
            events.record(
                tx, Event(now_ms, str(actor), "marked", f"service:{values['service']}", values["text"], {"kind": values["kind"]})
            )
            return {"id": int(key[0]), "t_ms": t_ms, **values}

        answer = await self._write(work)
        self._changed("overview", f"service:{values['service']}")
        return answer

    async def link_create(self, args: Args, actor: Actor) -> Any:
        """{url} -> {id}: a stored short link; the same URL gets the same id."""
        url = str(args["url"])
        if not is_own_path(url) or len(url) > shortlinks.LONGEST:
            raise CommandError(400, "bad_url", "a short link leads to a page of this Tocsin: expected a path that starts with /")

        def work(tx: Connection, now_ms: int) -> Any:
            return {"id": shortlinks.create(tx, ensure_key(tx, self._random), url, actor, now_ms)}

        return await self._write(work)

    async def panel_share(self, args: Args, actor: Actor) -> Any:
        """{title, queries, until_s}: see to it that there is a key to sign with, and tell who shared what."""
        queries, until_s = [str(query) for query in args["queries"]], int(args["until_s"])
        title = str(args["title"]) or queries[0][:200]

        def work(tx: Connection, now_ms: int) -> Any:
            panel_link.ensure_key(tx, self._random)
            text = f"{actor.name} shared the panel {title} with whoever has its address"
            data = {"queries": queries, "until_ms": until_s * 1000, "via": actor.via}
            events.record(tx, Event(now_ms, str(actor), "shared", "panel:shared", text, data=data))
            return {}

        return await self._write(work)

    async def panel_end(self, args: Args, actor: Actor) -> Any:
        """A new key: every address of a panel that was shared before is wrong now."""

        def work(tx: Connection, now_ms: int) -> Any:
            panel_link.renew_key(tx, self._random)
            text = f"{actor.name} ended all shared panels"
            events.record(tx, Event(now_ms, str(actor), "unshared", "panel:shared", text, data={"via": actor.via}))
            return {}

        return await self._write(work)

    async def _write(self, work: Callable[[Connection, int], Any]) -> Any:
        now_ms = self._clock.now_ms()
        return await self._db.write(lambda tx: work(tx, now_ms))


def _account_id(tx: Connection, name: str) -> int:
    if not name:
        return 0
    row = tx.execute(sa.select(account_table.c.id).where(account_table.c.name == name)).scalar()
    if row is None:
        raise CommandError(404, "no_such_account", f"no account named {name!r}")
    return int(row)
