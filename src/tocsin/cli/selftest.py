"""`tocsin selftest`: one alert all the way through the running server."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tocsin.cli.core import ask, print_json
from tocsin.cli.main import data_dir_option, json_option


@click.command()
@click.option("--to", default="", help="A user or receiver; whoever can be reached first when left out.")
@click.option("--urgent", is_flag=True, help="With the severest severity: the contacts of urgent pages, SMS included.")
@data_dir_option
@json_option
def selftest(to: str, urgent: bool, data_dir: Path, as_json: bool) -> None:
    """Send one test alert all the way: sample, rule, alert, incident, outbox, channel. Exit status 1 when a hop fails.

    It works in the running server and on its real stages; the message says that there is nothing to do.
    """
    answer = ask(data_dir, "selftest", {"to": to, "urgent": urgent}, timeout_s=200)
    if as_json:
        print_json(answer)
    else:
        for hop in answer["hops"]:
            after = f"{hop['after_ms'] / 1000:8.3f} s" if hop["t_ms"] else " " * 10
            click.echo(f"{'ok    ' if hop['ok'] else 'FAILED'} {hop['name']:<9} {after}  {hop['text']}")
        click.echo(f"a page to {answer['to']} {'arrives' if answer['ok'] else 'DOES NOT ARRIVE'}")
    sys.exit(0 if answer["ok"] else 1)
