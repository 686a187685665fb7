"""`tocsin incidents`, `ack`, `resolve`, `why`, `notify`, `audit`."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import click

from tocsin.cli.core import ask, print_json, read_state
from tocsin.cli.main import data_dir_option, json_option
from tocsin.errors import CommandError


def local_time(ms: int) -> str:
    return dt.datetime.fromtimestamp(ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if ms else "-"


@click.command()
@click.argument("number", type=int)
@data_dir_option
def ack(number: int, data_dir: Path) -> None:
    """Acknowledge an incident: nobody else is paged for it."""
    row = ask(data_dir, "incident.acknowledge", {"number": number})
    click.echo(f"#{number} {row['state']} by {row['acknowledged_by']}: {row['title']}")


@click.command()
@click.argument("number", type=int)
@data_dir_option
def resolve(number: int, data_dir: Path) -> None:
    """Resolve an incident by hand."""
    row = ask(data_dir, "incident.resolve", {"number": number})
    click.echo(f"#{number} {row['state']}: {row['title']}")


@click.group(invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help="Resolved ones too.")
@data_dir_option
@json_option
@click.pass_context
def incidents(context: click.Context, everything: bool, data_dir: Path, as_json: bool) -> None:
    """List incidents, newest first; `export` writes one down."""
    if context.invoked_subcommand is not None:
        context.default_map = {context.invoked_subcommand: {"data_dir": str(data_dir)}}
        return
    from tocsin.incidents.people import Directory
    from tocsin.incidents.why import incident_rows

    state = "all" if everything else "open"
    rows = read_state(data_dir).read_now(lambda connection: incident_rows(connection, Directory(), state=state))
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(f"#{row['number']:<5} {row['severity']:<9} {row['state']:<13} {local_time(row['created_ms'])}  {row['title']}")
    if not rows:
        click.echo("no incidents" if everything else "no open incidents")


@incidents.command("export")
@click.argument("number", type=int)
@data_dir_option
@json_option
def export(number: int, data_dir: Path, as_json: bool) -> None:
    """Print an incident as Markdown: facts, what was done, who was told, timeline."""
    from tocsin.incidents.export import markdown

    incident = _detail(data_dir, number)
    if as_json:
        print_json(incident)
    else:
        click.echo(markdown(incident), nl=False)


@incidents.command("merge")
@click.argument("number", type=int)
@click.argument("into", type=int)
@data_dir_option
def merge(number: int, into: int, data_dir: Path) -> None:
    """Say that incident NUMBER belongs to INTO, which lives on for both."""
    row = ask(data_dir, "incident.merge", {"number": number, "into": into})
    click.echo(f"#{number} {row['state']} into #{into}")


@incidents.command("split")
@click.argument("number", type=int)
@click.argument("alerts", nargs=-1, required=True)
@click.option("--title", default="", help="Of the new incident; from its worst alert when left out.")
@data_dir_option
def split(number: int, alerts: tuple[str, ...], title: str, data_dir: Path) -> None:
    """Move ALERTS (fingerprints, as `incidents export NUMBER --json` shows them) to a new incident, which pages anew."""
    row = ask(data_dir, "incident.split", {"number": number, "alerts": list(alerts), "title": title})
    click.echo(f"#{row['number']} {row['state']}: {row['title']} (split off #{number})")


def _detail(data_dir: Path, number: int) -> dict[str, Any]:
    """One incident as api.ts IncidentDetail. Raises CommandError 404."""
    from tocsin.incidents.people import Directory
    from tocsin.incidents.why import incident_detail

    found = read_state(data_dir).read_now(lambda connection: incident_detail(connection, number, Directory()))
    if found is None:
        raise CommandError(404, "not_found", f"there is no incident #{number}")
    return found


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="NUMBER | LABELS...")
@data_dir_option
@json_option
def why(what: tuple[str, ...], data_dir: Path, as_json: bool) -> None:
    """Say why each person was, or was not, notified of an incident; or of alerts: `tocsin why alertname=Down service=shop`."""
    if len(what) != 1 or not what[0].isdigit():
        _why_alerts(what, data_dir, as_json=as_json)
        return
    number = int(what[0])
    incident = _detail(data_dir, number)
    if as_json:
        print_json(incident)
        return
    click.echo(f"#{number} {incident['title']}  [{incident['severity']}, {incident['state']}]")
    click.echo("\nwho was told, and why")
    for row in incident["why"]:
        click.echo(f"  {'told    ' if row['told'] else 'not told'}  {row['who']:<20} {local_time(row['t_ms'])}  {row['text']}")
    click.echo("\ntimeline")
    for entry in incident["timeline"]:
        click.echo(f"  {local_time(entry['t_ms'])}  {entry['text']}")


def _why_alerts(what: tuple[str, ...], data_dir: Path, *, as_json: bool) -> None:
    from tocsin.alerts.why import pending, traces
    from tocsin.clock import SystemClock
    from tocsin.formats.matchers import parse_matchers

    try:
        matchers = [matcher for text in what for matcher in parse_matchers(text)]
    except ValueError as error:
        raise click.BadParameter(f"{error} (expected the number of an incident, or labels such as alertname=Down)") from None
    state = read_state(data_dir)
    found = state.read_now(lambda connection: traces(connection, matchers))
    waiting = state.read_now(lambda connection: pending(connection, matchers))
    now_ms = SystemClock().now_ms()
    if as_json:
        print_json(
            [{"labels": dict(t.known.alert.labels), "trace": t.lines(now_ms), "incidents": list(t.incidents)} for t in found]
        )
        return
    for trace in found:
        click.echo(" ".join(f'{name}="{value}"' for name, value in trace.known.alert.labels.pairs))
        for line in trace.lines(now_ms):
            click.echo(f"  {line}")
        for event in trace.events:
            click.echo(f"  {local_time(event.t_ms)}  {event.text}")
    for labels, phase, reason in waiting:
        click.echo(" ".join(f'{name}="{value}"' for name, value in sorted(labels.items())))
        click.echo(f"  rule: {phase}, not told: {reason.replace('_', ' ')}")
    if not found and not waiting:
        click.echo("no alert of these labels fires, or has ended within half an hour")
        sys.exit(1)


@click.group()
def notify() -> None:
    """Notifications."""


@notify.command("test")
@click.argument("name")
@data_dir_option
def notify_test(name: str, data_dir: Path) -> None:
    """Send a test message to a user or receiver and show what became of it."""
    rows = ask(data_dir, "notification.test", {"name": name}, timeout_s=90)
    for row in rows:
        click.echo(f"{row['channel']:<10} {row['address']:<40} {row['state']:<10} {row['state_reason']}")
    sys.exit(0 if rows and all(row["state"] in ("accepted", "delivered") for row in rows) else 1)


@notify.command("drill")
@data_dir_option
def notify_drill(data_dir: Path) -> None:
    """Send the daily drill now: one harmless message through every way by which people are paged."""
    rows = ask(data_dir, "drill.start", timeout_s=90)
    for row in rows:
        click.echo(f"{row['channel']:<10} {row['address']:<40} {row['state']:<10} {row['state_reason']}")
    if not rows:
        click.echo("nobody is paged by anything yet")
    sys.exit(0 if rows and all(row["state"] in ("accepted", "delivered", "held") for row in rows) else 1)


@click.group()
def audit() -> None:
    """The append-only log of everything that happened."""


@audit.command("verify")
@data_dir_option
def audit_verify(data_dir: Path) -> None:
    """Check that no line of the log was changed or removed."""
    from tocsin.state import events

    broken: int = read_state(data_dir).read_now(events.first_break)
    click.echo(f"broken at event {broken}" if broken else "the chain holds")
    sys.exit(1 if broken else 0)
