"""`tocsin oncall who|shifts|gaps|simulate`: questions about schedules and policies, answered from the configuration file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tocsin.cli.config import load
from tocsin.cli.core import print_json
from tocsin.cli.main import config_option, json_option
from tocsin.clock import SystemClock
from tocsin.errors import UsageError
from tocsin.incidents import oncall as mathematics
from tocsin.incidents.oncall import Schedule
from tocsin.model.duration import human_duration

if TYPE_CHECKING:
    from tocsin.alerts.routetest import Destined
    from tocsin.incidents.simulate import Course

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


@oncall.command("simulate")
@click.option("--labels", required=True, help="The alert's labels, such as severity=critical,service=shop.")
@_at
@config_option
@json_option
def simulate(labels: str, at: str, config_paths: tuple[Path, ...], as_json: bool) -> None:
    """Who would be paged, step by step, if an alert with these labels fired at an instant and nobody answered.

    Nothing is sent.
    """
    from tocsin.alerts.routetest import explain_route
    from tocsin.incidents.simulate import simulate as walk

    config, at_ms, wanted = load(config_paths), _instant(at), _labels(labels)
    destined = explain_route(config.routing, wanted, now_ms=at_ms).destined
    courses = [(one, walk(config.directory, one.receiver, wanted, at_ms + one.group_wait_ms)) for one in destined]
    if as_json:
        print_json([{"group_wait_ms": one.group_wait_ms, "muted_by": one.muted_by, **asdict(course)} for one, course in courses])
        return
    for one, course in courses:
        for line in _course(one, course, at_ms):
            click.echo(line)


def _course(one: Destined, course: Course, at_ms: int) -> Iterator[str]:
    urgency = f"{course.severity or 'no severity'}, {course.urgency} urgency"
    yield f"receiver {course.receiver}, {course.policy} ({urgency}), first after {human_duration(one.group_wait_ms)}"
    if one.muted_by:
        yield f"  nobody is told now: muted by {', '.join(one.muted_by)}; what follows holds without it"
    if not course.moments:
        yield "  nobody: the receiver is declared empty"
    for moment in course.moments:
        yield f"  {_after(moment.t_ms, at_ms)}  {moment.step}"
        for notice in moment.notices:
            told = notice.recipient
            held = " (held by quiet hours)" if told.held_until_ms else ""
            yield f"    {_after(notice.t_ms, at_ms)}  {told.who} by {told.channel} to {told.address}{held}: {told.why}"
        for other in moment.not_told:
            yield f"    not told  {other.who}: {other.why}"
    if course.moments and not any(moment.notices for moment in course.moments):
        yield "  NOBODY can be reached"


def _after(t_ms: int, at_ms: int) -> str:
    return f"+{(t_ms - at_ms) / 60_000:5.1f} min"


def _labels(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not pairs or any(not name.strip() or not separator for name, separator, _ in pairs):
        raise UsageError(f"--labels {text!r}: expected NAME=VALUE,NAME=VALUE")
    return {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def _schedules(paths: tuple[Path, ...], name: str) -> list[Schedule]:
    schedules = load(paths).directory.schedules
    if name and name not in schedules:
        raise UsageError(f"there is no schedule {name!r} (known: {', '.join(schedules) or 'none'})")
    if not schedules:
        raise UsageError("no schedule is configured (`schedules:`); `tocsin oncall simulate` says who would be paged without one")
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
