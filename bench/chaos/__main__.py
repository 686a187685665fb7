"""Process-level chaos: real programs, real local receivers, real signals; one table for Tocsin and for Prometheus + Alertmanager.

`python -m bench.chaos [scenario ...] [--services 6] [--fault-s 12] [--only tocsin|peer] [--jobs 2] [--json] [--write]`.
The status is 1 when Tocsin breaks a promise. `--write` puts the table into docs/reference/reliability.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.chaos import page
from bench.chaos.peer_side import PeerSide, binaries
from bench.chaos.receivers import Receivers
from bench.chaos.scenarios import FROZEN_S, SCENARIOS, Scenario
from bench.chaos.score import COLUMNS, Row, judge
from bench.chaos.services import Services
from bench.chaos.side import Side, SmallDisk
from bench.chaos.stage import Stage
from bench.chaos.tocsin_side import TocsinSide

_DISK_MB = 96


def perform(scenario: Scenario, program: str, *, services: int, fault_s: float) -> Row:
    """Play one scenario for one program ("tocsin" or "peer") in a folder of its own."""
    stage: Stage | None = None
    problem = ""
    with contextlib.ExitStack() as open_:
        folder = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-chaos-")))
        disk = (
            open_.enter_context(contextlib.closing(SmallDisk(folder / "disk", megabytes=_DISK_MB)))
            if scenario.small_disk
            else None
        )
        victims, receivers = Services(services), Receivers()
        open_.enter_context(victims.running())
        open_.enter_context(receivers.running())
        home = disk.folder if disk else folder
        side: Side
        if program == "tocsin":
            side = TocsinSide(home / "t", receivers, victims.address, people=scenario.people)
        else:
            side = PeerSide(home / "p", receivers, victims.address, resend=scenario.resend)
        stage = Stage(side, victims, receivers, fault_s, disk)
        try:
            with stage.running():
                scenario.play(stage)
        except Exception as error:  # one scenario that cannot be played is a row that says so
            problem = f"{type(error).__name__}: {str(error)[:200]}"
        row = judge(stage, scenario.name)
    row.error = problem
    return row


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """In the order of the scenarios; both programs play each at the same time, `jobs` scenarios at once."""
    plays = []
    for name in options.scenarios or SCENARIOS:
        scenario = SCENARIOS[name]
        programs = ["tocsin"] if scenario.people or len(binaries()) < 2 else ["tocsin", "peer"]
        plays += [(scenario, program) for program in programs if options.only in ("", program)]
    with ThreadPoolExecutor(max(1, options.jobs * (1 if options.only else 2))) as pool:
        yield from pool.map(lambda play: perform(*play, services=options.services, fault_s=options.fault_s), plays)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", choices=[[], *SCENARIOS], default=[])
    parser.add_argument("--services", type=int, default=6)
    parser.add_argument("--fault-s", type=float, default=12.0, help="how long a fault lasts")
    parser.add_argument("--only", choices=["", "tocsin", "peer"], default="", help="one program only")
    parser.add_argument("--jobs", type=int, default=1, help="scenarios at once")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each row")
    parser.add_argument("--write", action="store_true", help="write docs/reference/reliability.md")
    options = parser.parse_args()
    if not options.json:
        print(page.head(COLUMNS), flush=True)
    found = []
    for row in rows(options):
        found.append(row)
        print(json.dumps(row.as_dict()) if options.json else page.line(row, COLUMNS), flush=True)
    if options.write:
        page.write(found, services=options.services, fault_s=options.fault_s, frozen_s=FROZEN_S)
    print(page.verdict(found), file=sys.stderr)
    return 1 if any(row.ours and row.broken() for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
