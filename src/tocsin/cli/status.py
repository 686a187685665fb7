"""`tocsin status`: each part with its lag and its last error."""

from __future__ import annotations

from pathlib import Path

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
    click.echo("\nrules, incidents, pages")
    for line in answer["facts"]:
        click.echo(f"  {line}")
    for problem in answer["problems"]:
        click.echo(f"  problem: {problem}")
