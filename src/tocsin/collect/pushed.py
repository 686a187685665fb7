"""Groups of pushed samples, as the Pushgateway keeps them: stored again every 15 s until they are replaced or deleted.

    push ──▶ group in memory ──at once, then on the grid──▶ store        DELETE ──▶ the group's series end

A batch job that ran once a day would otherwise be stale five minutes later. Each group is also a row of the state database:
after a restart it goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.clock import Clock
from tocsin.collect.series_writer import SeriesWriter
from tocsin.formats.pushgateway import MOST_IN_GROUP, PUSH_TIME, Push, PushError
from tocsin.metrics import Gauge
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.ports import SampleWriter
from tocsin.state.schema import pushed_groups
from tocsin.state.sql import Database

EVERY_MS = 15_000
MOST_IN_ALL = 500_000

groups_gauge = Gauge("tocsin_collect_pushed_groups", "Groups of pushed samples that are kept alive.")


@dataclass(slots=True)
class _Group:
    pushed_ms: int = 0
    values: dict[Labels, float] = field(default_factory=dict)


class PushedGroups:
    """All methods run on the core's loop."""

    def __init__(self, *, writer: SampleWriter, db: Database, clock: Clock) -> None:
        self._writer = writer
        self._db = db
        self._series = SeriesWriter(writer)
        self._clock = clock
        self._groups: dict[Labels, _Group] = db.read_now(_load)
        self._told = False
        groups_gauge.set(len(self._groups))

    def push(self, group: Labels, push: Push, *, replace: bool) -> None:
        """Take a push: `replace` (PUT) replaces the whole group, else (POST) the metrics of the same names. Raises PushError."""
        names = {labels[METRIC_NAME] for labels in push.values}
        before = self._groups.get(group, _Group())
        kept: Mapping[Labels, float] = {}
        if not replace:
            kept = {labels: value for labels, value in before.values.items() if labels[METRIC_NAME] not in names}
        values = {**kept, **push.values}
        if len(values) > MOST_IN_GROUP:
            raise PushError(413, f"the group would have {len(values)} samples; the limit is {MOST_IN_GROUP}: split it by a label")
        others = sum(len(each.values) + 1 for key, each in self._groups.items() if key != group)
        if others + len(values) + 1 > MOST_IN_ALL:
            raise PushError(429, f"all groups together would have more than {MOST_IN_ALL} samples: delete those that ended")
        self._tell(push)
        now_ms = self._clock.now_ms()
        self._groups[group] = _Group(now_ms, values)
        groups_gauge.set(len(self._groups))
        self._write(group, now_ms, 0)

    def delete(self, group: Labels) -> None:
        """End the group's series; an unknown group is no error."""
        if self._groups.pop(group, None) is not None:
            self._series.end(group, self._clock.now_ms())
            groups_gauge.set(len(self._groups))

    async def save(self, group: Labels) -> None:
        """Make what was pushed or deleted last; returns after the commit."""
        kept = self._groups.get(group)
        await self._db.write(lambda tx: _save(tx, group, kept))

    async def run(self) -> None:
        """Keep every group alive, until cancelled."""
        while True:
            slot_ms = self._clock.now_ms() // EVERY_MS * EVERY_MS + EVERY_MS
            await self._clock.sleep_until_ms(slot_ms)
            for group in list(self._groups):
                if group in self._groups:
                    self._write(group, slot_ms, EVERY_MS)
                await asyncio.sleep(0)

    def _write(self, group: Labels, t_ms: int, grid_ms: int) -> None:
        kept = self._groups[group]
        if grid_ms and kept.pushed_ms >= t_ms:
            return  # pushed while the round was running: it is stored already, and later
        pushed = group.merged({METRIC_NAME: PUSH_TIME})
        self._series.write(group, {**kept.values, pushed: kept.pushed_ms / 1000}, t_ms, grid_ms=grid_ms)

    def _tell(self, push: Push) -> None:
        """Types and help texts to the store."""
        if not self._told:
            self._told = True
            self._writer.set_metadata(PUSH_TIME, "gauge", "Last Unix time when changing this group succeeded.")
        entries: dict[str, dict[str, str]] = {}
        for entry in push.metadata:
            entries.setdefault(entry.metric, {})[entry.field] = entry.text
        for metric, said in entries.items():
            self._writer.set_metadata(metric, said.get("type", "unknown"), said.get("help", ""), said.get("unit", ""))


def _load(connection: Connection) -> dict[Labels, _Group]:
    return {
        Labels(row.labels): _Group(row.pushed_ms, {Labels(labels): float(value) for labels, value in row.samples})
        for row in connection.execute(sa.select(pushed_groups))
    }


def _save(tx: Connection, group: Labels, kept: _Group | None) -> None:
    """Values are texts: JSON has no NaN and no infinity."""
    row_id = hashlib.sha256(str(group).encode()).hexdigest()
    tx.execute(sa.delete(pushed_groups).where(pushed_groups.c.id == row_id))
    if kept is not None:
        samples = [[dict(labels.pairs), repr(value)] for labels, value in kept.values.items()]
        tx.execute(
            sa.insert(pushed_groups).values(id=row_id, labels=dict(group.pairs), pushed_ms=kept.pushed_ms, samples=samples)
        )
