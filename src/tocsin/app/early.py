"""Commands while the store is being read: those of incidents and alerts are obeyed, the others wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from tocsin.bus.wire import Args, CommandHandler
from tocsin.errors import CommandError
from tocsin.model.event import Actor

_PATIENCE_S = 5.0
_EARLY = (
    "incident.", "silence.", "alerts.", "oncall.", "schedule.", "override.", "notification.", "inbound",
    "signin.", "session.", "token.", "account.",
)  # fmt: skip


def waiting(
    commands: Mapping[str, CommandHandler], store_open: asyncio.Event, *, patience_s: float = _PATIENCE_S
) -> dict[str, CommandHandler]:
    """The same commands; what may need samples, rules or checks answers once `store_open` is set, or 503 after a while."""
    return {name: run if name.startswith(_EARLY) else _later(run, store_open, patience_s) for name, run in commands.items()}


def _later(run: CommandHandler, store_open: asyncio.Event, patience_s: float) -> CommandHandler:
    async def wait(args: Args, actor: Actor) -> Any:
        try:
            await asyncio.wait_for(store_open.wait(), patience_s)
        except TimeoutError:
            raise CommandError(503, "starting", "Tocsin reads its store after a restart; paging works, ask again soon") from None
        return await run(args, actor)

    return wait
