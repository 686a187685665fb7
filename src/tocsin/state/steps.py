"""What waits for a wall time follows a wall clock that was moved: each row once, whoever writes first.

How far a stage's rows have followed stands in `meta` and is written with them, so that neither a transaction that fails nor
two that share a commit move them never or twice. It also says how late it was when the stage last wrote: a clock that was
set back while nobody ran is known by that.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.clock import Clock, StepWatch
from tocsin.state import bulk
from tocsin.state.prepared import Prepared
from tocsin.state.schema import meta

_NOTE_EVERY_MS = 60_000
_NOTE = Prepared(sa.select(meta.c.value).where(meta.c.key == sa.bindparam("of")))


class Steps:
    """The steps of the wall clock as one stage's rows know them. Used inside write transactions only."""

    def __init__(self, clock: Clock, stage: str) -> None:
        self._clock = clock
        self._watch = StepWatch(clock)
        self._key = f"clock.{stage}"
        self._born = ""
        self._known = False
        """A note of ours is committed."""
        self._noted_ms = 0
        """When the note was last written; that may have come to nothing."""

    @property
    def since_ms(self) -> int:
        """How long ago the last look before the newest step was: the step is younger."""
        return self._watch.since_ms

    @property
    def total_ms(self) -> int:
        """By how much the clock was moved in all, as far as the rows have followed when this is read after `missing`."""
        return self._watch.total_ms

    def missing(self, tx: Connection) -> int:
        """By how much the stage's rows must be moved in this transaction, ms (forward is positive); nearly always 0."""
        total_ms, now_ms = self._watch.look(), self._clock.now_ms()
        self._born = self._born or f"{now_ms}.{round(self._clock.monotonic_s() * 1000)}"
        old = not 0 <= now_ms - self._noted_ms < _NOTE_EVERY_MS
        if self._known and not self._watch.stepped and not old:
            return 0
        born, followed_ms, seen_ms = self._read(tx)
        self._known = born == self._born
        back_ms = now_ms - seen_ms
        if self._known:
            missing_ms = total_ms - followed_ms
        else:
            # With SQLite only: elsewhere another node may have written it, by a clock of its own.
            behind = seen_ms and back_ms <= -StepWatch.SMALLEST_MS and tx.dialect.name == "sqlite"
            missing_ms = back_ms if behind else 0
        if old or missing_ms or not self._known:
            note = f"{self._born} {total_ms} {now_ms}"
            bulk.upsert_rows(tx, meta, "key", [{"key": self._key, "value": note}])
            self._noted_ms = now_ms
        return missing_ms

    def _read(self, tx: Connection) -> tuple[str, int, int]:
        """(whose note, how far followed, when it was written)."""
        born, followed, seen = (_NOTE.scalar(tx, of=self._key) or " 0 0").split(" ")
        return born, int(followed), int(seen)
