"""One seed again, with its story: `python tests/simulation/replay.py SEED [--grep WORD] [--bug NAME]`."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[2] / "src")]


def story(world: Any) -> list[tuple[float, str]]:
    """What happened to the world, what was committed and what arrived, in true time."""
    lines = [(t_s, f"-- {text}") for t_s, text in world.events]
    for entry in world.journal.entries:
        detail = {name: value for name, value in entry.data.items() if name not in ("trace", "labels")}
        lines.append((entry.t_s, f"   {entry.subject} {entry.verb} {entry.cause} {detail}"))
    for arrival in world.outside.arrivals:
        alerts = [(alert["fingerprint"][:6], alert["status"]) for alert in arrival.body.get("alerts", ())]
        lines.append((arrival.t_s, f"=> {arrival.host} {arrival.id}{' again' if arrival.repeat else ''} {alerts or ''}"))
    return sorted(lines, key=lambda line: line[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--grep", default="", help="only lines of the story with this word")
    parser.add_argument("--bug", default="", help="with this bug planted (see planted.py)")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    from tests.simulation.run import live

    bug: Any = contextlib.nullcontext()
    if options.bug:
        from tests.simulation.planted import BUGS

        bug = BUGS[options.bug]()
    with bug:
        world, problems = live(options.seed)
    for t_s, text in story(world):
        if options.grep in text or text.startswith("--"):
            print(f"{t_s:9.2f} {text}")
    print(f"seed {options.seed}: {len(problems)} breaches" if problems else f"seed {options.seed}: every invariant holds")
    for problem in problems:
        print(f"  {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
