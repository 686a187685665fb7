"""`tocsin query EXPR`: PromQL against the running server's API."""

from __future__ import annotations

from pathlib import Path

import click

from tocsin.cli.core import ask, print_json
from tocsin.cli.main import data_dir_option, json_option


@click.command()
@click.argument("expression")
@data_dir_option
@json_option
def query(expression: str, data_dir: Path, as_json: bool) -> None:
    """Evaluate a PromQL expression now."""
    answer = ask(data_dir, "query", {"query": expression})
    if as_json:
        print_json(answer)
        return
    for row in answer["rows"]:
        click.echo(f"{row['series']} => {row['value']}")
    for warning in answer["warnings"]:
        click.echo(f"warning: {warning}", err=True)
