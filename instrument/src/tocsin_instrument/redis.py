"""redis-py: `instrument(client)`, synchronous and asyncio."""

from __future__ import annotations

from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any

from tocsin_instrument.database import operation_duration

_MOST_COMMANDS = 300
_commands: set[str] = set()


def instrument(client: Any) -> None:
    """Time every command of this client, by its name."""
    database = str(client.connection_pool.connection_kwargs.get("db", 0))
    original = client.execute_command

    def done(command: Any, start: float) -> None:
        operation_duration.labels("redis", _name(command), database).observe(perf_counter() - start)

    async def later(*args: Any, **options: Any) -> Any:
        start = perf_counter()
        try:
            return await original(*args, **options)
        finally:
            done(args[0], start)

    def now(*args: Any, **options: Any) -> Any:
        start = perf_counter()
        try:
            return original(*args, **options)
        finally:
            done(args[0], start)

    asynchronous = iscoroutinefunction(original) or "asyncio" in type(client).__module__
    client.execute_command = later if asynchronous else now


def _name(command: Any) -> str:
    word = str(command).partition(" ")[0].upper()[:20]
    if word not in _commands and len(_commands) < _MOST_COMMANDS:
        _commands.add(word)
    return word if word in _commands else "OTHER"
