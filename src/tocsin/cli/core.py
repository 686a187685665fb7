"""How commands reach the core: through its socket, as the operating-system user."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import orjson

from tocsin.bus.client import CoreClient
from tocsin.errors import CommandError
from tocsin.model.event import Actor
from tocsin.state.sql import Database, sqlite_url


def actor() -> Actor:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return Actor("cli", name, via="cli")


def ask(data_dir: Path, command: str, args: Mapping[str, Any] | None = None, *, timeout_s: float = 30.0) -> Any:
    """Send one command to the running core. Raises CommandError; `core_away` names the data directory."""

    async def call() -> Any:
        client = CoreClient(data_dir / "core.sock", timeout_s=timeout_s)
        try:
            return await client.command(command, args, actor())
        finally:
            await client.close()

    try:
        return asyncio.run(call())
    except CommandError as error:
        if error.code == "core_away":
            raise CommandError(
                503,
                "core_away",
                f"no Tocsin is running on the data directory {data_dir} (start it with `tocsin serve`, or give --data-dir)",
            ) from None
        raise


def read_state(data_dir: Path) -> Database:
    """The state database, read-only; works while Tocsin runs and while it does not."""
    path = data_dir / "state.db"
    if not path.exists():
        raise CommandError(404, "no_state", f"there is no Tocsin state in {data_dir}; give --data-dir")
    return Database(sqlite_url(path), read_only=True, inline=True)


def print_json(value: Any) -> None:
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY).decode())
