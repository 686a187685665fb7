"""Live many worlds: `python -m tests.simulation.run --seeds 1000 [--from N]` or `--seed N` for one, with its story."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fakes.virtual import run_virtual
from tests.simulation.check import judge
from tests.simulation.world import World


def live(seed: int, path: Path, *, transitions: int = 50, lives: int = 6) -> tuple[World, list[str]]:
    """One world from birth to judgement."""
    world = World(seed, path, transitions, lives)
    run_virtual(world.run())
    return world, judge(world)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--from", type=int, default=0, dest="first")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    visited: Counter[str] = Counter()
    crashed: Counter[str] = Counter()
    failed = transitions = 0
    started = time.monotonic()
    memory = Path("/dev/shm")
    for seed in seeds:
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
            world, problems = live(seed, Path(folder) / "state.db")
        visited += world.points.visited
        crashed += world.points.crashed
        transitions += world.transitions
        if problems:
            failed += 1
            print(f"seed {seed}: python -m tests.simulation.run --seed {seed}")
            for problem in problems:
                print(f"  {problem}", flush=True)
    count = len(list(seeds))
    print(
        f"{count} seeds, {failed} failed, {transitions} alert transitions, {sum(crashed.values())} crashes, "
        f"crash points {len(crashed)} of {len(visited)} kinds, {time.monotonic() - started:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
