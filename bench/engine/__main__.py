"""The engine beside its peers, on the same machine and the same data, in one run: `PYTHONPATH=src:. python -m bench.engine`.

Runs the whole programs (every process of each counts) and prints one table of ratios, peer = 1. Parts, each under three minutes
with `--seconds 30`: ingest (with memory), memory (`--series 500000` for the larger figure), rules, restart, remote_write,
queries, wide (many series, and targets of one series each), blocks (instants that lie in them), bytes, delay (of our loop,
alone). `--quick` takes a tenth of the time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.engine import measures
from bench.engine.blocks import instants_from_blocks
from bench.engine.servers import PEERS
from bench.engine.wide import wide


@dataclass(frozen=True)
class Row:
    """One figure of every program that has it; smaller is better."""

    what: str
    unit: str
    goal: str
    figures: dict[str, float]


def shown(rows: Sequence[Row], names: Sequence[str]) -> str:
    peers = [name for name in names if name != "tocsin"]
    lines = [f"{'what':58} {'unit':>14} " + "".join(f"{name:>12}" for name in names) + "".join(f"{'/ ' + n:>13}" for n in peers)]
    for row in rows:
        values = "".join(f"{row.figures[name]:12.3g}" if name in row.figures else f"{'-':>12}" for name in names)
        ratios = "".join(
            f"{row.figures['tocsin'] / row.figures[name]:13.2f}" if row.figures.get(name) else f"{'-':>13}" for name in peers
        )
        lines.append(f"{row.what:58} {row.unit:>14} {values}{ratios}  {row.goal}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="ingest,memory,rules,restart,remote_write,queries,wide,blocks,bytes,delay")
    parser.add_argument("--peers", default="prometheus,victoria")
    parser.add_argument("--seconds", type=float, default=60, help="how long each part measures")
    parser.add_argument("--series", type=int, default=100_000, help="for memory, rules and restart")
    parser.add_argument("--steps", default="1,100,1000", help="steps of the range queries")
    parser.add_argument("--sizes", default="one,ten,hundred", help="series of the range queries; also thousand")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if given.quick:
        given.seconds, given.series, given.steps, given.sizes = 12, 20_000, "1,100", "one,ten"
    files = {"prometheus": "prometheus", "victoria": "victoria-metrics"}
    names = ["tocsin", *(name for name in given.peers.split(",") if name and (PEERS / files[name]).exists())]
    rows: list[Row] = []
    parts: dict[str, Callable[[], list[tuple[str, str, str, dict[str, float]]]]] = {
        "ingest": lambda: measures.ingest(names, given.seconds, given.series),
        "memory": lambda: measures.memory(names, given.series),
        "delay": lambda: measures.delay(given.seconds / 6),
        "rules": lambda: measures.rules(names, given.seconds, given.series),
        "restart": lambda: measures.restart(names, given.series),
        "remote_write": lambda: measures.remote_write(names, given.seconds),
        "queries": lambda: measures.queries(
            names, given.sizes.split(","), [int(s) for s in given.steps.split(",")], given.seconds
        ),
        "blocks": lambda: instants_from_blocks(names),
        "wide": lambda: wide(names, [int(s) for s in given.steps.split(",")], given.seconds),
        "bytes": lambda: measures.bytes_per_sample(names, given.seconds),
    }
    for part in given.parts.split(","):
        began = time.monotonic()
        found = [Row(*row) for row in parts[part]()]
        rows += found
        print(f"-- {part} ({time.monotonic() - began:.0f} s)\n{shown(found, names)}\n", flush=True)
    print(shown(rows, names))


if __name__ == "__main__":
    main()
