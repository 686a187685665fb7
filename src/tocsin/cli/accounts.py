"""`tocsin token`, `tocsin user`, `tocsin signin`: work through the core, or on the database while no core runs."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from tocsin.cli.core import actor, ask, print_json, read_state
from tocsin.cli.main import data_dir_option, json_option
from tocsin.errors import CommandError, UsageError
from tocsin.state.schema import accounts, passkeys, tokens


def _command(data_dir: Path, name: str, args: Mapping[str, Any]) -> Any:
    """Ask the core; when none runs, do the same work on the state database ourselves."""
    if (data_dir / "core.sock").exists():
        try:
            return ask(data_dir, name, args)
        except CommandError as error:
            if error.code != "core_away":
                raise
    from tocsin.app import open_state
    from tocsin.clock import SystemClock
    from tocsin.random import SystemRandom
    from tocsin.web.commands import commands

    db = open_state(data_dir.absolute())
    try:
        return asyncio.run(_run(commands(db, SystemClock(), SystemRandom())[name], args))
    finally:
        db.close()


async def _run(handler: Any, args: Mapping[str, Any]) -> Any:
    return await handler(args, actor())


def _rows(data_dir: Path, query: sa.Select[Any]) -> list[Any]:
    db = read_state(data_dir)
    try:
        with db.engine.connect() as connection:
            return list(connection.execute(query))
    finally:
        db.close()


def _day(t_ms: int) -> str:
    return f"{dt.datetime.fromtimestamp(t_ms / 1000, dt.UTC):%Y-%m-%d}"


def _used(t_ms: int) -> str:
    return f"used {_day(t_ms)}" if t_ms else "never used"


def _hash(password: str) -> str:
    from tocsin.web.parts import WebSettings
    from tocsin.web.problem import Refused
    from tocsin.web.signin import Passwords

    try:
        return asyncio.run(Passwords(WebSettings()).hash(password))
    except Refused as refused:
        raise UsageError(str(refused)) from None


_ID = 12
"""Characters of an id that are shown and taken, as in the dashboard."""
_ROLES = ("viewer", "responder", "admin")
_role = click.Choice(_ROLES)


@click.group()
def token() -> None:
    """API tokens."""


@token.command("create")
@click.option(
    "--role",
    type=click.Choice(["probe", "sender", *_ROLES]),
    default="viewer",
    show_default=True,
    help="sender: may only send; probe: an agent at --place.",
)
@click.option("--place", default="", help="With the role probe: the only place that the agent may speak for.")
@click.option("--name", default="", help="What it is for; shown in the list of tokens.")
@data_dir_option
def token_create(role: str, place: str, name: str, data_dir: Path) -> None:
    """Print a new API token; it cannot be shown again. Works before and while the server runs."""
    values = {"role": role, "place": place, "name": name or f"cli {role} {place}".rstrip(), "kind": "api"}
    click.echo(_command(data_dir, "token.create", values)["token"])


@token.command("list")
@data_dir_option
@json_option
def token_list(data_dir: Path, as_json: bool) -> None:
    """Tokens, newest first, with the id that `revoke` takes; never the tokens themselves."""
    rows = _rows(data_dir, sa.select(tokens).order_by(tokens.c.created_ms.desc()))
    shown = [
        {"id": row.id_hash[:_ID], "role": row.role, "name": row.name, "place": row.place, "used_ms": row.used_ms} for row in rows
    ]
    if as_json:
        print_json(shown)
        return
    for one in shown:
        where = f" at {one['place']}" if one["place"] else ""
        click.echo(f"{one['id']}  {one['role']:<9}  {_used(one['used_ms']):<15}  {one['name']}{where}")
    if not shown:
        click.echo("no tokens; make one with `tocsin token create`")


@token.command("revoke")
@click.argument("token_id")
@data_dir_option
def token_revoke(token_id: str, data_dir: Path) -> None:
    """End a token."""
    _command(data_dir, "token.revoke", {"id": token_id})
    click.echo("revoked")


@click.group()
def user() -> None:
    """Accounts of the dashboard."""


@user.command("list")
@data_dir_option
@json_option
def user_list(data_dir: Path, as_json: bool) -> None:
    """Accounts of the dashboard."""
    rows = _rows(data_dir, sa.select(accounts).order_by(accounts.c.name))
    shown = [{"name": row.name, "role": row.role, "email": row.email, "disabled": bool(row.disabled)} for row in rows]
    if as_json:
        print_json(shown)
        return
    for one in shown:
        click.echo(f"{one['name']:<24}  {one['role']:<9}  {one['email']}{'  (disabled)' if one['disabled'] else ''}".rstrip())
    if not shown:
        click.echo("no accounts; make one with `tocsin user add NAME`")


@user.command("add")
@click.argument("name")
@click.option("--role", type=_role, default="responder", show_default=True)
@click.option("--email", default="")
@click.option("--full-name", default="")
@click.password_option(help="Asked for when left out.")
@data_dir_option
def user_add(name: str, role: str, email: str, full_name: str, password: str, data_dir: Path) -> None:
    """Create an account."""
    args = {"name": name, "role": role, "email": email, "full_name": full_name, "password_hash": _hash(password)}
    _command(data_dir, "account.create", args)
    click.echo(f"account {name} ({role}) created")


@user.command("password")
@click.argument("name")
@click.password_option()
@data_dir_option
def user_password(name: str, password: str, data_dir: Path) -> None:
    """Set a password; ends the account's sessions."""
    _command(data_dir, "account.password", {"name": name, "password_hash": _hash(password)})
    click.echo("password set")


@user.command("passkeys")
@click.argument("name")
@click.option("--remove", metavar="ID", default="", help="Remove one, or `all`; the sessions they opened end.")
@data_dir_option
@json_option
def user_passkeys(name: str, remove: str, data_dir: Path, as_json: bool) -> None:
    """An account's passkeys with the id that --remove takes, oldest first."""
    if remove == "all":
        _command(data_dir, "account.update", {"name": name, "changes": {}, "passkeys": False})
    elif remove.isdecimal():
        _command(data_dir, "passkey.remove", {"account": name, "id": int(remove)})
    elif remove:
        raise UsageError(f"--remove {remove}: expected the id of a passkey, or `all`")
    owner = _rows(data_dir, sa.select(accounts.c.id).where(accounts.c.name == name))
    if not owner:
        raise UsageError(f"no account named {name!r}; `tocsin user list` shows them")
    rows = _rows(data_dir, sa.select(passkeys).where(passkeys.c.account == owner[0].id).order_by(passkeys.c.id))
    shown = [
        {"id": row.id, "name": row.name, "rp_id": row.rp_id, "created_ms": row.created_ms, "used_ms": row.used_ms} for row in rows
    ]
    if as_json:
        print_json(shown)
        return
    for one in shown:
        click.echo(f"{one['id']:>6}  {_used(one['used_ms']):<15}  {one['name']} (for {one['rp_id']})")
    if not shown:
        click.echo(f"{name} has no passkeys")


@click.command()
@click.argument("name", default="admin")
@data_dir_option
def signin(name: str, data_dir: Path) -> None:
    """Print a one-time sign-in link for an account (15 minutes)."""
    link = ask(data_dir, "signin.link", {"account": name})
    click.echo(link["url"])
