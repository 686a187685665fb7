"""`tocsin report`: how a time went, as HTML or JSON."""

from __future__ import annotations

from pathlib import Path

import click

from tocsin.cli.core import ask, print_json
from tocsin.cli.main import data_dir_option


@click.command()
@click.option("--from", "start", default="", help="Such as 2026-11-16T00:00Z; seven days before --until when left out.")
@click.option("--until", default="", help="Such as 2026-11-23T00:00Z; now when left out.")
@click.option("--format", "form", type=click.Choice(["text", "html", "json"]), default="text", show_default=True)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file; standard output when left out.")
@click.option("--title", default="", help="Its title.")
@click.option("--keep", is_flag=True, help="Keep it in the dashboard's list.")
@data_dir_option
def report(start: str, until: str, form: str, output: Path | None, title: str, keep: bool, data_dir: Path) -> None:
    """Uptime, latency, objectives, key figures, incidents and noise of a time, compared with the same time before."""
    args = {"from": start, "until": until, "title": title, "keep": keep, "html": "whole" if form == "html" else ""}
    made = ask(data_dir, "report.make", args, timeout_s=300)
    if form == "json" and output is None:
        print_json(made)
        return
    if form == "json":
        import orjson

        text = orjson.dumps(made, option=orjson.OPT_INDENT_2).decode()
    else:
        text = made["html"] if form == "html" else "\n".join([made["title"], "", *made["summary"]])
    if output is None:
        click.echo(text)
    else:
        output.write_text(text)
        click.echo(f"written to {output}")
