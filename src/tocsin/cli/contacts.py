"""`tocsin contact list|add|code|verify|remove`: a person's own contact methods, and the codes that prove them."""

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


def _line(row: dict[str, Any]) -> str:
    state = "verified" if row["verified"] else "NOT VERIFIED"
    return f"{row['id']:<12} {row['channel']:<10} {row['address']:<40} {state} ({row['source']})"
