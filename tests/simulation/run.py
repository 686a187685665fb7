"""Live many worlds: `python -m tests.simulation.run --seeds 1000 [--from N]`; the totals stand in the last line."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.fakes.virtual import run_virtual
from tests.simulation.invariants import judge
from tests.simulation.world import World


@dataclass
class Totals:
    """What many seeds came to."""

    seeds: int = 0
    transitions: int = 0
    deliveries: int = 0
    crashes: int = 0
    days: float = 0.0
    passed: Counter[str] = field(default_factory=Counter)
    crashed: Counter[str] = field(default_factory=Counter)
    failed: dict[int, list[str]] = field(default_factory=dict)
    least_transitions: int = 10**9

    def add(self, world: World, problems: list[str]) -> None:
        self.seeds += 1
        self.transitions += world.journal.transitions()
        self.least_transitions = min(self.least_transitions, world.journal.transitions())
        self.deliveries += len(world.outside.arrivals)
        self.crashes += sum(world.points.crashed.values())
        self.days += world.end_s / 86_400
        self.passed.update(world.points.passed.keys())
        self.crashed += world.points.crashed
        if problems:
            self.failed[world.seed] = problems

    def merge(self, other: dict[str, Any]) -> None:
        for name, value in other.items():
            mine = getattr(self, name)
            if isinstance(mine, Counter | dict):
                mine.update({int(key) if name == "failed" else key: found for key, found in value.items()})
            elif name == "least_transitions":
                self.least_transitions = min(mine, value)
            else:
                setattr(self, name, mine + value)

    def plain(self) -> dict[str, Any]:
        """As builtin types: pytest-xdist sends nothing else from its workers."""
        return {name: dict(value) if isinstance(value, dict) else value for name, value in asdict(self).items()}

    def __str__(self) -> str:
        return (
            f"{self.seeds} seeds, {len(self.failed)} failed, {self.transitions} alert transitions (at least "
            f"{self.least_transitions} a seed), {self.deliveries} deliveries, {self.crashes} crashes, "
            f"crash points visited {len(self.crashed)} of {len(self.passed)}, {self.days:.1f} days lived"
        )


def live(seed: int, *, transitions: int = 50, lives: int = 4) -> tuple[World, list[str]]:
    """One world from birth to judgement."""
    world = World(seed, transitions=transitions, lives=lives)
    try:
        run_virtual(world.run())
    except AssertionError as error:
        return world, [f"assertion: {error}"]
    return world, judge(world)


def live_many(seeds: Iterable[int], *, say: bool = False) -> Totals:
    totals = Totals()
    for seed in seeds:
        world, problems = live(seed)
        totals.add(world, problems)
        if problems and say:
            print(failure(seed, problems), flush=True)
        elif say and totals.seeds % 20 == 0:
            print(f"lived up to seed {seed}: {len(totals.failed)} failed of {totals.seeds}", flush=True)
    return totals


def failure(seed: int, problems: list[str]) -> str:
    return "\n".join(
        [f"seed {seed}: again with `python tests/simulation/replay.py {seed}`", *(f"  {one}" for one in problems[:8])]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--from", type=int, default=0, dest="first")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    started = time.process_time()
    totals = live_many(range(options.first, options.first + options.seeds), say=True)
    print(f"{totals}, {(time.process_time() - started) / max(totals.seeds, 1):.2f} CPU s a seed")
    return 1 if totals.failed else 0


if __name__ == "__main__":
    sys.exit(main())
