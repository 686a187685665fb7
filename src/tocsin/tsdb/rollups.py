"""Where rollups lie: one set of blocks for each resolution and aggregate, `rollups/300000-max/`."""

from __future__ import annotations

from pathlib import Path

from tocsin.model.ports import SelectHints
from tocsin.tsdb.block import BlockSet

FINE_MS, COARSE_MS = 300_000, 3_600_000
AGGREGATES = ("min", "max", "sum", "count", "last")
_FOR_FUNCTION = {"min_over_time": "min", "max_over_time": "max", "sum_over_time": "sum", "count_over_time": "count"}


class Rollups:
    """The block sets of all resolutions and aggregates under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sets = {
            (resolution, aggregate): BlockSet(folder / f"{resolution}-{aggregate}")
            for resolution in (FINE_MS, COARSE_MS)
            for aggregate in AGGREGATES
        }

    def refresh(self) -> None:
        for blocks in self.sets.values():
            blocks.refresh()

    def sweep(self) -> None:
        for blocks in self.sets.values():
            blocks.sweep()

    def close(self) -> None:
        for blocks in self.sets.values():
            blocks.close()

    def total_bytes(self) -> int:
        return sum(blocks.total_bytes() for blocks in self.sets.values())

    def choose(self, hints: SelectHints) -> tuple[int, str]:
        """Resolution and aggregate for what the engine is going to do.

        Hours only where every window of the query holds some; an instant selector looks back 5 minutes and needs fine ones.
        """
        coarse = hints.range_ms >= 2 * COARSE_MS and hints.step_ms >= COARSE_MS
        return COARSE_MS if coarse else FINE_MS, _FOR_FUNCTION.get(hints.func, "last")

    def last_sequence(self) -> int:
        """The highest of any block."""
        return max((block.name.sequence for blocks in self.sets.values() for block in blocks.blocks), default=0)

    def expire(self, before_ms: int) -> None:
        for blocks in self.sets.values():
            blocks.remove([block for block in blocks.blocks if block.name.end_ms <= before_ms])
