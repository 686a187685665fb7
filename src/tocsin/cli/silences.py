"""`tocsin silence add|list|expire`."""

from __future__ import annotations

from pathlib import Path

import click

from tocsin.cli.core import ask, print_json, read_state
from tocsin.cli.incidents import local_time
from tocsin.cli.main import data_dir_option, json_option
from tocsin.clock import SystemClock
from tocsin.errors import UsageError
from tocsin.model.duration import parse_duration_ms


@click.group()
def silence() -> None:
    """Silences: alerts that match are recorded, but nobody is told."""


@silence.command("add")
@click.argument("matchers", nargs=-1, required=True)
@click.option("--for", "duration", default="1h", show_default=True, help="How long, such as 30m or 2h.")
@click.option("--comment", required=True, help="Why; shown wherever the silence has an effect.")
@data_dir_option
def add(matchers: tuple[str, ...], duration: str, comment: str, data_dir: Path) -> None:
    """Silence alerts whose labels match: `tocsin silence add service=shop --for 2h --comment deploy`."""
    from tocsin.formats.matchers import parse_matchers

    try:
        parsed = [matcher for text in matchers for matcher in parse_matchers(text)]
        length_ms = parse_duration_ms(duration)
    except ValueError as error:
        raise UsageError(str(error)) from None
    answer = ask(
        data_dir,
        "silence.set",
        {
            "matchers": [
                {"name": m.name, "value": m.value, "isRegex": m.op.value in ("=~", "!~"), "isEqual": m.op.value in ("=", "=~")}
                for m in parsed
            ],
            "duration_ms": length_ms,
            "comment": comment,
        },
    )
    click.echo(answer["id"])


@silence.command("list")
@data_dir_option
@json_option
def list_silences(data_dir: Path, as_json: bool) -> None:
    """Silences that are active or to come."""
    from tocsin.alerts.silence import silence_rows

    rows = read_state(data_dir).read_now(lambda connection: silence_rows(connection, now_ms=SystemClock().now_ms()))
    rows = [row for row in rows if row["state"] != "expired"]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        texts = ", ".join(
            f"{m['name']}{'=' if m['isEqual'] else '!'}{'~' if m['isRegex'] else ''}{m['value']}" for m in row["matchers"]
        )
        click.echo(
            f"{row['id']}  {row['state']:<8} until {local_time(row['ends_at_ms'])}  "
            f"{texts}  by {row['created_by']}: {row['comment']}"
        )
    if not rows:
        click.echo('no silences: "tocsin silence add service=shop --for 2h --comment deploy" makes one')


@silence.command("expire")
@click.argument("silence_id")
@data_dir_option
def expire(silence_id: str, data_dir: Path) -> None:
    """End a silence now."""
    ask(data_dir, "silence.expire", {"id": silence_id})
    click.echo("expired")
