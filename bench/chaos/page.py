"""The published page: docs/reference/reliability.md."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.chaos import peer_side
from bench.chaos.scenarios import SCENARIOS
from bench.chaos.score import COLUMNS, Row

from tocsin import __version__

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "reliability.md"
_TEXT = """\
# Reliability under fault

Written by `{command}` on {date}; run it for the page of your machine.
{versions}. Python {python}, {cpus} CPUs, load {load:.1f} at the end.

Real processes, real signals, receivers on loopback that count what they take: {services} services, four channels (webhook,
PagerDuty, Slack, mail), faults of {fault_s:g} s. Both programs scrape the same address every second and evaluate the same rule
(`for: 2s`); route and receivers are the same text (`group_wait: 1s`, `group_interval: 3s`). What is killed: Tocsin's core;
Prometheus and Alertmanager together, started again at once. What is frozen: the core; Prometheus alone, with
`--rules.alert.resend-delay=2s`, so that {frozen:g} s stand for the minutes that the default would need.

{table}

{verdict}

## What the columns say

| column | meaning | must be |
|---|---|---|
| lost | (service, channel) pairs that failed and nobody was told | 0 |
| resolves lost | pairs told of the failure and not of its end within 100 s | 0 |
| false resolves | "resolved" while the service was still bad | 0 |
| duplicates | second messages that no delivery id or dedup key folds and that do not say what they are | 0 |
| marked | second messages that say "may be a repeat": the answer to the first was lost | at most one for each lost answer |
| lost answers | messages that a receiver took on purpose without answering; a kill loses more that cannot be counted | |
| disorder | "firing" after the "resolved" of the same alert | 0 |
| silenced paged | pages in spite of a confirmed silence | 0 |
| after ack | pages to people after a committed acknowledgement | 0 |
| back s | from `kill -9` until an alert posted as soon as possible has reached a receiver, worst of the kills | <= 2 |
| late s | longest from a failure to its first message; Slack (one a second) left out | hanging Slack and full disk: <= 10 |

## The scenarios

| scenario | fault | what happens |
|---|---|---|
{scenarios}
"""


def head(columns: Sequence[str]) -> str:
    return "| " + " | ".join(name.replace("_", " ") for name in columns) + " |\n|" + "---|" * len(columns)


def line(row: Row, columns: Sequence[str]) -> str:
    """One row of the table; one that could not be played says so instead of figures."""
    if row.error:
        return f"| {row.scenario} | {row.program} | not played: {row.error} |" + " |" * (len(columns) - 3)
    values = [getattr(row, name) for name in columns]
    cells = ["" if value is None else f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return "| " + " | ".join(cells) + " |"


def write(rows: Sequence[Row], *, services: int, fault_s: float, frozen_s: float) -> None:
    """Write the page from what was measured, whatever it says."""
    table = "\n".join([head(COLUMNS), *(line(row, COLUMNS) for row in rows)])
    told = "\n".join(f"| {s.name} | {s.faults} | {s.text} |" for s in SCENARIOS.values())
    PAGE.write_text(
        _TEXT.format(
            command="python -m bench.chaos --write",
            date=datetime.now(UTC).strftime("%d %B %Y"),
            versions=_versions(),
            python=platform.python_version(),
            cpus=os.cpu_count(),
            load=os.getloadavg()[1],
            services=services,
            fault_s=fault_s,
            frozen=frozen_s,
            table=table,
            verdict=verdict(rows),
            scenarios=told,
        )
    )


def verdict(rows: Sequence[Row]) -> str:
    """What Tocsin did not keep in this run, by name."""
    if not any(row.ours for row in rows):
        return "Tocsin did not run."
    broken = [f"* {row.scenario}: {', '.join(row.broken()).replace('_', ' ')}" for row in rows if row.ours and row.broken()]
    return "\n".join(["Tocsin broke a promise in:", "", *broken]) if broken else "Tocsin kept every promise in this run."


def _versions() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    ours = f"Tocsin {__version__}" + (f" ({done.stdout.strip()})" if done.returncode == 0 else "")
    found = peer_side.binaries()
    names = {"prometheus": "Prometheus", "prometheus-alertmanager": "Alertmanager"}
    return ", ".join([ours, *(f"{text} {peer_side.version(name)}" for name, text in names.items() if name in found)])
