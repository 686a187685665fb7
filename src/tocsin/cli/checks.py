"""`tocsin check now NAME`, `tocsin check list`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tocsin.cli.core import ask, print_json
from tocsin.cli.main import data_dir_option, json_option


@click.group()
def check() -> None:
    """Uptime and health checks."""


@check.command("now")
@click.argument("name")
@data_dir_option
@json_option
def now(name: str, data_dir: Path, as_json: bool) -> None:
    """Run one check now and show what it saw. Exit status 1 when it failed."""
    result = ask(data_dir, "check.run", {"id": name}, timeout_s=120)
    if as_json:
        print_json(result)
    else:
        click.echo(f"{'ok' if result['ok'] else 'FAILED'}: {result['message']} ({result['duration_ms']:.0f} ms)")
        for phase in result["phases"]:
            click.echo(f"  {phase['name']:<12} {phase['ms']:8.1f} ms")
        for key, value in result["facts"].items():
            text = str(value)
            click.echo(f"  {key}: {text if len(text) < 300 else text[:297] + '...'}")
    sys.exit(0 if result["ok"] else 1)


@check.command("list")
@data_dir_option
@json_option
def list_checks(data_dir: Path, as_json: bool) -> None:
    """All checks with their state."""
    rows = ask(data_dir, "check.list")
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(f"{row['state']:<9} {row['id']:<28} {row['type']:<10} {row['target']:<40} {row['message']}")
    if not rows:
        example = '{name: shop, http: "https://shop.example"}'
        click.echo(
            f"no checks yet: write one under `checks:` in the configuration, such as {example}, or add it in the dashboard"
        )


@check.command("url")
@click.argument("name")
@data_dir_option
def url(name: str, data_dir: Path) -> None:
    """Print the address that a heartbeat's sender calls (append /start, /fail, or nothing for success)."""
    click.echo(ask(data_dir, "heartbeat.url", {"id": name})["url"])


@check.command("set")
@click.argument("name")
@click.argument("state", type=click.Choice(["up", "degraded", "down"]))
@click.option("--message", required=True, help="Why; shown wherever the check is.")
@data_dir_option
def set_state(name: str, state: str, message: str, data_dir: Path) -> None:
    """Say how a manual check is."""
    ask(data_dir, "check.set", {"id": name, "state": state, "message": message})
    click.echo(f"{name} is {state}")
