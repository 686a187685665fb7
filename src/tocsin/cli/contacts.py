"""`tocsin contact list|add|code|verify|remove|quiet`: a person's own contact methods, their codes, and quiet hours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tocsin.cli.core import ask, print_json
from tocsin.cli.main import data_dir_option, json_option


@click.group()
def contact() -> None:
    """Contact methods that people add themselves. One that is not verified is never used for a page."""


@contact.command("list")
@click.argument("person")
@data_dir_option
@json_option
def list_(person: str, data_dir: Path, as_json: bool) -> None:
    """The contact methods of PERSON."""
    answer = ask(data_dir, "contact.list", {"person": person})
    if as_json:
        print_json(answer)
        return
    for row in answer["contacts"]:
        click.echo(_line(row))


@contact.command("add")
@click.argument("person")
@click.argument("channel")
@click.argument("address")
@click.option("--name", default="", help="How notification rules call it; the channel's name when left out.")
@data_dir_option
def add(person: str, channel: str, address: str, name: str, data_dir: Path) -> None:
    """Add a contact method for PERSON, such as `add ana sms +33123456789`, and send a code to it."""
    row = ask(data_dir, "contact.add", {"person": person, "channel": channel, "address": address, "name": name})
    click.echo(_line(row))
    click.echo(f"enter the code: tocsin contact verify {person} {row['id']} CODE")


@contact.command("code")
@click.argument("person")
@click.argument("name")
@data_dir_option
def code(person: str, name: str, data_dir: Path) -> None:
    """Send a new code to the contact NAME of PERSON: two an hour, each counts for ten minutes."""
    click.echo(_line(ask(data_dir, "contact.code", {"person": person, "id": name})))


@contact.command("verify")
@click.argument("person")
@click.argument("name")
@click.argument("code")
@data_dir_option
def verify(person: str, name: str, code: str, data_dir: Path) -> None:
    """Enter the code that came to the contact NAME of PERSON."""
    click.echo(_line(ask(data_dir, "contact.verify", {"person": person, "id": name, "code": code})))


@contact.command("remove")
@click.argument("person")
@click.argument("name")
@data_dir_option
def remove(person: str, name: str, data_dir: Path) -> None:
    """Remove a contact that was added; one of the file is removed there."""
    ask(data_dir, "contact.remove", {"person": person, "id": name})
    click.echo(f"{name} of {person} is gone")


@contact.command("quiet")
@click.argument("person")
@click.option("--from", "start", default="", help="When they begin, such as 22:00.")
@click.option("--to", "end", default="", help="When they end; before the beginning = over midnight.")
@click.option(
    "--day", "days", multiple=True, help="A day on which they begin (mon ... sun), once per day; every day when left out."
)
@click.option("--allow", multiple=True, help="A severity that gets through, once per severity; critical when left out.")
@click.option("--time-zone", default=None, help="Of these times; the person's when left out.")
@click.option("--none", "remove_", is_flag=True, help="No quiet hours: what was held is sent.")
@data_dir_option
@json_option
def quiet(person: str, start: str, end: str, remove_: bool, data_dir: Path, as_json: bool, **more: Any) -> None:
    """Show, set or remove the quiet hours of PERSON; those of the file are changed there."""
    if bool(start) != bool(end):
        raise click.UsageError("--from and --to belong together, such as --from 22:00 --to 07:00")
    if not start and any(more.values()):
        raise click.UsageError("quiet hours need a beginning and an end: --from 22:00 --to 07:00")
    if start and remove_:
        raise click.UsageError("either hours or --none")
    args: dict[str, Any] = {"person": person}
    if start:
        written = {"days": list(more["days"]), "allow": list(more["allow"]) or None, "time_zone": more["time_zone"]}
        args |= {"from": start, "to": end, **written}
    answer = ask(data_dir, f"quiet.{'remove' if remove_ else 'set' if start else 'get'}", args)
    if as_json:
        print_json(answer)
    else:
        click.echo(_hours(answer["hours"], answer["source"]))


def _hours(hours: dict[str, Any] | None, source: str) -> str:
    if hours is None:
        return "none: every message comes at once"
    days = f" on {', '.join(hours['days'])}" if hours["days"] else ""
    through = ", ".join(hours["allow"]) or "nothing"
    return f"{hours['from']} to {hours['to']}{days} ({hours['time_zone']}), through: {through} ({source})"


def _line(row: dict[str, Any]) -> str:
    state = "verified" if row["verified"] else "NOT VERIFIED"
    return f"{row['id']:<12} {row['channel']:<10} {row['address']:<40} {state} ({row['source']})"
