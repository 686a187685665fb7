"""What of the people side would fail on a bad night: policies that can be empty, people whom nothing reaches. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tocsin.incidents import oncall
from tocsin.incidents.people import Directory
from tocsin.incidents.schedule import format_instant
from tocsin.model.incident import Policy, Target, TargetKind

AHEAD_MS = 30 * 86_400_000

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Doubt:
    """`kind` is user, team, schedule or policy, `name` which one."""

    kind: str
    name: str
    text: str


def lint(directory: Directory, now_ms: int, *, until_ms: int = 0) -> list[Doubt]:
    """Doubts about [now, until), 30 days when left out."""
    return list(_doubts(directory, now_ms, until_ms or now_ms + AHEAD_MS))


def _doubts(directory: Directory, now_ms: int, until_ms: int) -> Iterator[Doubt]:
    for name in directory.persons:
        if not _reachable(directory, name):
            yield Doubt("user", name, f"{name} cannot be reached: add a contact or an email address")
    for team in directory.teams.values():
        if not team.members:
            yield Doubt("team", team.name, "has no members")
    for schedule in directory.schedules.values():
        # A gap is no fault as long as a policy covers it otherwise (office hours, then somebody else): policies are judged below.
        if not oncall.shifts(schedule, now_ms, until_ms):
            yield Doubt("schedule", schedule.name, "nobody is on call at any time in the next 30 days")
    for policy in directory.policies.values():
        if empty := _empty(policy, directory, now_ms, until_ms):
            last = "its last resort pages everybody else" if _last_resort(policy, directory) else "nobody is left to page"
            yield Doubt("policy", policy.name, f"no step reaches anybody {_spans(empty)}; then {last}")


def _empty(policy: Policy, directory: Directory, now_ms: int, until_ms: int) -> list[Span]:
    """When no target of any step reaches a person or place."""
    left: list[Span] = [(now_ms, until_ms)]
    for step in policy.steps:
        for target in step.targets:
            left = _both(left, _unreached(target, directory, now_ms, until_ms))
            if not left:
                return []
    return left


def _last_resort(policy: Policy, directory: Directory) -> bool:
    named = policy.final or tuple(Target(TargetKind.USER, name) for name in directory.persons)
    return any(target.kind is TargetKind.SCHEDULE or not _unreached(target, directory, 0, 1) for target in named)


def _unreached(target: Target, directory: Directory, now_ms: int, until_ms: int) -> list[Span]:
    """When `target` leads to nobody."""
    if target.kind is TargetKind.SCHEDULE:
        return _unheld(target.name, directory, now_ms, until_ms)
    if target.kind is TargetKind.DESTINATION:
        found = directory.destination(target.name) is not None
    else:
        found = any(_reachable(directory, name) for name in _people(target, directory))
    return [] if found else [(now_ms, until_ms)]


def _people(target: Target, directory: Directory) -> Iterable[str]:
    if target.kind is TargetKind.TEAM:
        team = directory.teams.get(target.name)
        return team.members if team else ()
    return target.members if target.kind is TargetKind.ROUND_ROBIN else (target.name,)


def _unheld(name: str, directory: Directory, now_ms: int, until_ms: int) -> list[Span]:
    """When nobody whom anything reaches holds the schedule."""
    schedule = directory.schedules.get(name)
    if schedule is None:
        return [(now_ms, until_ms)]
    left: list[Span] = []
    at_ms = now_ms
    for shift in oncall.shifts(schedule, now_ms, until_ms):
        if not any(_reachable(directory, user) for user in shift.users):
            continue
        if shift.start_ms > at_ms:
            left.append((at_ms, shift.start_ms))
        at_ms = shift.end_ms
    return [*left, (at_ms, until_ms)] if at_ms < until_ms else left


def _reachable(directory: Directory, name: str) -> bool:
    person = directory.persons.get(name)
    return person is not None and any(method.verified for method in person.methods)


def _both(left: list[Span], right: list[Span]) -> list[Span]:
    """The time that lies in both lists; each is ascending and without overlaps."""
    return [(max(a, c), min(b, d)) for a, b in left for c, d in right if max(a, c) < min(b, d)]


def _spans(spans: list[Span]) -> str:
    start, end = spans[0]
    more = f" and {len(spans) - 1} more time{'s' if len(spans) > 2 else ''} in the next 30 days" if len(spans) > 1 else ""
    return f"from {format_instant(start - start % 1000)} to {format_instant(end - end % 1000)}{more}"
