"""`tocsin status`: each part with its lag and its last error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tocsin.cli.core import ask, print_json
from tocsin.cli.main import data_dir_option, json_option
from tocsin.model.duration import human_duration


@click.command()
@data_dir_option
@json_option
def status(data_dir: Path, as_json: bool) -> None:
    """Show what runs: processes, collectors with lag and last error, rules, open incidents, undelivered pages."""
    answer = ask(data_dir, "status")
    if as_json:
        print_json(answer)
        return
    now_ms = answer["now_ms"]
    click.echo(f"Tocsin {answer['version']}, up {human_duration(now_ms - answer['started_ms'])}, watching {answer['host']}")
    click.echo("\nprocesses")
    for process in answer["processes"]:
        rss = f"{process['rss_bytes'] / 1e6:.0f} MB" if process["rss_bytes"] else "-"
        click.echo(
            f"  {process['name']:<8} pid {process['pid']:<8} {rss:>8}  "
            f"loop lag {process['lag_ms']:.0f} ms  restarts {process['restarts']}"
        )
    click.echo("\ncollectors")
    for collector in answer["collectors"]:
        age = human_duration(now_ms - collector["last_ms"]) + " ago" if collector["last_ms"] else "never"
        error = f"  {collector['error']}" if collector["error"] else ""
        click.echo(f"  {collector['name']:<28} {collector['state']:<9} last {age:<14}{error}")
    click.echo("\nthe way of a page")
    for hop in answer["path"]:
        click.echo(f"  {hop['name']:<10} {'ok' if hop['ok'] else 'BROKEN':<7} {hop['text']}")
    click.echo(f"  dead man   {_dead_man(answer['dead_man'], now_ms)}")
    for way in answer["ways"]:
        click.echo(f"  {_way(way, now_ms)}")
    click.echo("\nrules, incidents, pages")
    for line in answer["facts"]:
        click.echo(f"  {line}")
    for problem in answer["problems"]:
        click.echo(f"  problem: {problem}")


def _dead_man(row: dict[str, Any], now_ms: int) -> str:
    if not row["configured"]:
        return "MISSING  nobody notices when this machine dies: set `dead_man:`"
    when = f"called {human_duration(now_ms - row['called_ms'])} ago" if row["called_ms"] else "not called yet"
    trouble = f", {row['trouble']}" if row["trouble"] else ""
    return f"{'ok' if row['called_ms'] and not trouble else 'TROUBLE'}  {when}{trouble}"


def _way(row: dict[str, Any], now_ms: int) -> str:
    proven = f"worked {human_duration(now_ms - row['proven_ms'])} ago" if row["proven_ms"] else "never tried"
    drill = f", drill of {human_duration(now_ms - row['drilled_ms'])} ago: {row['state']}" if row["drilled_ms"] else ""
    reason = f" ({row['reason']})" if row["reason"] else ""
    return f"{'UNPROVEN' if row['unproven'] else 'way':<10} {row['lane']}: {proven}{drill}{reason}"
