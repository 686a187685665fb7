"""Schedules that ask too much of people: one person at two steps of a policy at once, too many nights in a row. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import combinations

from tocsin.incidents.doubt import Doubt, Span, both, spans_text
from tocsin.incidents.oncall import Schedule, Shift, resolve, shifts, wall_time
from tocsin.incidents.people import Directory
from tocsin.model.incident import Policy, TargetKind

MOST_NIGHTS = 14
_DEEP_NIGHT = timedelta(hours=3)
_DAY = timedelta(days=1)


def strain(directory: Directory, now_ms: int, until_ms: int) -> Iterator[Doubt]:
    """Doubts about [now, until); none where there is nobody to share with."""
    if len(directory.persons) < 2:
        return
    held = {name: shifts(schedule, now_ms, until_ms) for name, schedule in directory.schedules.items()}
    for policy in directory.policies.values():
        yield from _doubly_booked(policy, held)
    for name, schedule in directory.schedules.items():
        yield from _nights(schedule, held[name])


def _doubly_booked(policy: Policy, held: dict[str, list[Shift]]) -> Iterator[Doubt]:
    """Two steps that page different schedules, held by the same person: the second step asks nobody else."""
    steps = [{t.name for t in step.targets if t.kind is TargetKind.SCHEDULE and t.name in held} for step in policy.steps]
    for (i, first), (j, second) in combinations(enumerate(steps, 1), 2):
        for one, other in ((a, b) for a in sorted(first) for b in sorted(second) if a != b):
            for user, spans in _at_once(held[one], held[other]).items():
                twice = f"{user} holds schedule {one} (step {i}) and {other} (step {j}) at once"
                yield Doubt("policy", policy.name, f"{twice} {spans_text(spans)}: nobody else is asked")


def _at_once(first: Sequence[Shift], second: Sequence[Shift]) -> dict[str, list[Span]]:
    """Who alone holds both, when."""
    users = {shift.users[0] for shift in first if len(shift.users) == 1}
    found = {user: both(_alone(first, user), _alone(second, user)) for user in sorted(users)}
    return {user: spans for user, spans in found.items() if spans}


def _alone(held: Sequence[Shift], user: str) -> list[Span]:
    return [(shift.start_ms, shift.end_ms) for shift in held if shift.users == (user,)]


def _nights(schedule: Schedule, held: Sequence[Shift]) -> Iterator[Doubt]:
    """A night counts for whoever has the pager at three in the morning of the schedule's zone."""
    for user in sorted({user for shift in held for user in shift.users}):
        nights = [night for shift in held if user in shift.users for night in _nights_in(shift, schedule.time_zone)]
        count, since = _longest_run(nights)
        if count >= MOST_NIGHTS:
            text = (
                f"{user} is on call {count} nights in a row from {date.fromordinal(since).isoformat()}: let somebody share them"
            )
            yield Doubt("schedule", schedule.name, text)


def _longest_run(days: Sequence[int]) -> tuple[int, int]:
    """(length, first day) of the longest run of consecutive ordinals; (0, 0) for none."""
    best, row, before = (0, 0), 0, -1
    for day in days:
        row = row + 1 if day == before + 1 else 1
        before = day
        best = max(best, (row, day - row + 1), key=lambda run: run[0])
    return best


def _nights_in(shift: Shift, time_zone: str) -> Iterator[int]:
    """Ordinals of the days whose 03:00 lies in the shift."""
    day = wall_time(shift.start_ms, time_zone).replace(hour=0, minute=0, second=0, microsecond=0)
    while (t_ms := resolve(day + _DEEP_NIGHT, time_zone)) < shift.end_ms:
        if t_ms >= shift.start_ms:
            yield day.toordinal()
        day += _DAY
