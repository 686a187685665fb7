"""What an administrator may do to the store while it runs: delete samples, free their room, copy everything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin.bus.wire import Args, CommandHandler
from tocsin.errors import CommandError, StoreError
from tocsin.log import get_log
from tocsin.model.event import Actor
from tocsin.model.labels import Matcher, MatchOp
from tocsin.model.ports import Random

if TYPE_CHECKING:
    from tocsin.app.core import Core

log = get_log("store")


class StoreCommands:
    """Commands `store.*`; snapshots go to a folder beside the store."""

    def __init__(self, core: Core, snapshots: Path, random: Random) -> None:
        self._core = core
        self._snapshots = snapshots
        self._random = random

    def table(self) -> Mapping[str, CommandHandler]:
        return {"store.delete": self.delete, "store.clean": self.clean, "store.snapshot": self.snapshot}

    async def delete(self, args: Args, actor: Actor) -> Any:
        """Samples of series within a span; said aloud, because nothing brings them back."""
        sets = [[Matcher(name, MatchOp(op), value) for name, op, value in one] for one in args["sets"]]
        start_ms, end_ms = int(args["start_ms"]), int(args["end_ms"])
        shown = ["{" + ",".join(map(str, one)) + "}" for one in sets]
        log.warning("samples are deleted", by=actor.name, selectors=shown, start_ms=start_ms, end_ms=end_ms)
        try:
            await self._core.store.delete_series(sets, start_ms, end_ms)
        except (StoreError, OSError) as error:
            raise CommandError(500, "store", f"the samples could not be deleted: {error}") from error
        return {}

    async def clean(self, _args: Args, actor: Actor) -> Any:
        log.info("blocks with deleted samples are written anew", by=actor.name)
        try:
            await self._core.store.clean_tombstones()
        except (StoreError, OSError) as error:
            raise CommandError(500, "store", f"the blocks could not be written: {error}") from error
        return {}

    async def snapshot(self, args: Args, _actor: Actor) -> Any:
        """Named by the time and a random number, as Prometheus names them."""
        moment = datetime.fromtimestamp(self._core.clock.now_ms() / 1000, UTC)
        name = f"{moment:%Y%m%dT%H%M%SZ}-{self._random.randbytes(8).hex()}"
        try:
            await self._core.store.snapshot(self._snapshots / name, with_head=not args.get("skip_head"))
        except (StoreError, OSError) as error:
            raise CommandError(500, "store", f"the snapshot could not be made: {error}") from error
        return {"name": name}
