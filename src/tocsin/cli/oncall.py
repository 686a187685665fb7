"""`tocsin oncall who|shifts|gaps`: questions about schedules, answered from the configuration file."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from tocsin.cli.config import load
from tocsin.cli.main import config_option
from tocsin.clock import SystemClock
from tocsin.errors import UsageError
from tocsin.incidents import oncall as mathematics
from tocsin.incidents.oncall import Schedule

_DAY_MS = 86_400_000


@click.group()
def oncall() -> None:
    """Who is on call, when. Reads the schedules of the configuration; overrides of the dashboard are shown there."""


_at = click.option("--at", default="", help="An instant such as 2026-12-25T03:00+01:00; now when left out.")
_schedule = click.option("--schedule", "name", default="", help="One schedule; all when left out.")
_days = click.option("--days", default=14, show_default=True, help="How far to look ahead.")


@oncall.command("who")
@_at
@_schedule
@config_option
def who(at: str, name: str, config_paths: tuple[Path, ...]) -> None:
    """Who is on call at an instant, and why."""
    t_ms = _instant(at)
    for schedule in _schedules(config_paths, name):
        people = ", ".join(mathematics.oncall_at(schedule, t_ms)) or "nobody"
        click.echo(f"{schedule.name}: {people}  ({mathematics.oncall_why(schedule, t_ms)})")


@oncall.command("shifts")
@_at
@_days
@_schedule
@config_option
def shifts(at: str, days: int, name: str, config_paths: tuple[Path, ...]) -> None:
    """The coming shifts."""
    start_ms = _instant(at)
    for schedule in _schedules(config_paths, name):
        for shift in mathematics.shifts(schedule, start_ms, start_ms + days * _DAY_MS):
            span = f"{_wall(shift.start_ms, schedule)} - {_wall(shift.end_ms, schedule)}"
            click.echo(f"{schedule.name}: {span}  {', '.join(shift.users)}")


@oncall.command("gaps")
@_at
@_days
@_schedule
@config_option
def gaps(at: str, days: int, name: str, config_paths: tuple[Path, ...]) -> None:
    """Times when nobody is on call. Exit status 1 when there are any."""
    start_ms = _instant(at)
    found = False
    for schedule in _schedules(config_paths, name):
        for gap_start, gap_end in mathematics.gaps(schedule, start_ms, start_ms + days * _DAY_MS):
            found = True
            click.echo(f"{schedule.name}: nobody from {_wall(gap_start, schedule)} to {_wall(gap_end, schedule)}")
    if found:
        raise SystemExit(1)
    click.echo("no gaps")


def _schedules(paths: tuple[Path, ...], name: str) -> list[Schedule]:
    schedules = load(paths).directory.schedules
    if name and name not in schedules:
        raise UsageError(f"there is no schedule {name!r} (known: {', '.join(schedules) or 'none'})")
    return [schedule for schedule in schedules.values() if not name or schedule.name == name]


def _instant(text: str) -> int:
    if not text:
        return SystemClock().now_ms()
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--at {text!r}: expected an instant such as 2026-12-25T03:00+01:00") from None
    return int((instant if instant.tzinfo else instant.astimezone()).timestamp() * 1000)


def _wall(t_ms: int, schedule: Schedule) -> str:
    return mathematics.wall_time(t_ms, schedule.time_zone).strftime("%a %Y-%m-%d %H:%M") + f" {schedule.time_zone}"
