"""What of the people side would fail on a bad night: policies that can be empty, people whom nothing reaches. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tocsin.incidents import oncall
from tocsin.incidents.doubt import Doubt, Span, both, spans_text
from tocsin.incidents.people import Directory
from tocsin.incidents.strain import strain
from tocsin.model.incident import Policy, Target, TargetKind

AHEAD_MS = 30 * 86_400_000


def lint(directory: Directory, now_ms: int, *, until_ms: int = 0) -> list[Doubt]:
    """Doubts about [now, until), 30 days when left out; the grave ones fail `tocsin config check`."""
    return list(_doubts(directory, now_ms, until_ms or now_ms + AHEAD_MS))


def _doubts(directory: Directory, now_ms: int, until_ms: int) -> Iterator[Doubt]:
    wanted = _wanted(directory, now_ms, until_ms)
    for name in directory.persons:
        yield from _person(directory, name, paged=name in wanted)
    for team in directory.teams.values():
        if not team.members:
            yield Doubt("team", team.name, "has no members")
    in_policies = {target.name for policy in directory.policies.values() for target in _targets(policy, TargetKind.SCHEDULE)}
    for schedule in directory.schedules.values():
        # A gap is no fault as long as a policy covers it otherwise (office hours, then somebody else): policies are judged below.
        if not oncall.shifts(schedule, now_ms, until_ms):
            yield Doubt("schedule", schedule.name, "nobody is on call at any time in the next 30 days")
        elif schedule.name not in in_policies and (open_ := oncall.gaps(schedule, now_ms, until_ms)):
            yield Doubt("schedule", schedule.name, f"nobody is on call {spans_text(open_)}")
    for policy in directory.policies.values():
        if empty := _empty(policy, directory, now_ms, until_ms):
            last = "its last resort pages everybody else" if _last_resort(policy, directory) else "nobody is left to page"
            advice = "cover it with another step, or say `allow_gaps: true`"
            text = f"no step reaches anybody {spans_text(empty)}; then {last}: {advice}"
            # Whether a code was entered meanwhile the file cannot say: what only waits for one does not fail the check.
            grave = policy.name not in directory.gaps_allowed and bool(_empty(policy, _all_verified(directory), now_ms, until_ms))
            yield Doubt("policy", policy.name, text, grave=grave)
    yield from strain(directory, now_ms, until_ms)


def _person(directory: Directory, name: str, *, paged: bool) -> Iterator[Doubt]:
    """`paged`: a policy, or a schedule in the next 30 days, names them."""
    methods = directory.persons[name].methods
    waiting = [method.id for method in methods if not method.verified]
    if not methods:
        yield Doubt("user", name, f"{name} cannot be reached: add a contact or an email address", grave=paged)
    elif len(waiting) == len(methods):
        yield Doubt("user", name, f"{name} cannot be reached until {', '.join(waiting)} is verified with the code that was sent")
    elif waiting:
        yield Doubt("user", name, f"{', '.join(waiting)} of {name} is not used before it is verified with the code that was sent")


def _wanted(directory: Directory, now_ms: int, until_ms: int) -> set[str]:
    """Everybody whom a policy can page before `until_ms`."""
    found: set[str] = set()
    for policy in directory.policies.values():
        for target in _targets(policy):
            if target.kind is not TargetKind.SCHEDULE:
                found.update(_people(target, directory))
            elif (schedule := directory.schedules.get(target.name)) is not None:
                found.update(user for shift in oncall.shifts(schedule, now_ms, until_ms) for user in shift.users)
    return found


def _targets(policy: Policy, kind: TargetKind | None = None) -> Iterator[Target]:
    for target in (*(target for step in policy.steps for target in step.targets), *policy.final):
        if kind is None or target.kind is kind:
            yield target


def _all_verified(directory: Directory) -> Directory:
    persons = {
        name: replace(person, methods=tuple(replace(method, verified=True) for method in person.methods))
        for name, person in directory.persons.items()
    }
    return replace(directory, persons=persons)


def _empty(policy: Policy, directory: Directory, now_ms: int, until_ms: int) -> list[Span]:
    """When no target of any step reaches a person or place."""
    left: list[Span] = [(now_ms, until_ms)]
    for step in policy.steps:
        for target in step.targets:
            left = both(left, _unreached(target, directory, now_ms, until_ms))
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
