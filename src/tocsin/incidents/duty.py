"""Who is on call now and next, what the policies say, how people are reached: for the dashboard and the command line."""

from __future__ import annotations

from typing import Any

from tocsin.incidents import oncall, quiethours
from tocsin.incidents.people import Directory
from tocsin.incidents.policy import quiet_until, shown_address
from tocsin.model.incident import ContactMethod, Person, Policy, QuietHours, Target

_GAPS_AHEAD_MS = 14 * 86_400_000


def duty(directory: Directory, now_ms: int) -> dict[str, Any]:
    """{schedules, policies, people, receivers} as JSON values; overrides of the directory's schedules included."""
    return {
        "schedules": [_schedule(directory, name, now_ms) for name in directory.schedules],
        "policies": [_policy(policy) for policy in directory.policies.values()],
        "people": [_person(directory, person, now_ms) for person in directory.persons.values()],
        "receivers": [
            {"name": one.name, "policy": one.policy, "channels": [destination.channel for destination in one.destinations]}
            for one in directory.receivers.values()
        ],
    }


def _person(directory: Directory, person: Person, now_ms: int) -> dict[str, Any]:
    return {
        "name": person.name,
        "full_name": person.full_name,
        "time_zone": person.time_zone,
        "methods": [_method(method) for method in person.methods],
        "teams": [team.name for team in directory.teams.values() if person.name in team.members],
        "quiet_hours": _quiet(person.quiet_hours, now_ms) if person.quiet_hours is not None else None,
    }


def _quiet(quiet: QuietHours, now_ms: int) -> dict[str, Any]:
    """`until_ms`: when they end, if they hold messages back now; else 0."""
    return {
        **quiethours.shown(quiet),
        "own": quiet.own,
        "until_ms": quiet_until(quiet, "", now_ms),
    }


def _method(method: ContactMethod) -> dict[str, Any]:
    return {
        "id": method.id,
        "channel": method.channel,
        "address": shown_address(method),
        "verified": method.verified,
    }


def _schedule(directory: Directory, name: str, now_ms: int) -> dict[str, Any]:
    schedule = directory.schedules[name]
    until_ms = oncall.next_change(schedule, now_ms) or 0
    return {
        "schedule": name,
        "name": name,
        "time_zone": schedule.time_zone,
        "who": list(oncall.oncall_at(schedule, now_ms)),
        "until_ms": until_ms,
        "next": list(oncall.oncall_at(schedule, until_ms)) if until_ms else [],
        "gaps": [{"start_ms": start, "end_ms": end} for start, end in oncall.gaps(schedule, now_ms, now_ms + _GAPS_AHEAD_MS)],
        "layers": [layer.name for layer in schedule.layers],
    }


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "steps": [{"targets": [_target(t) for t in step.targets], "delay_ms": step.delay_ms} for step in policy.steps],
        "repeat": policy.repeat,
        "final": [_target(target) for target in policy.final],
    }


def _target(target: Target) -> str:
    return target.name if target.kind.value == "user" else f"{target.kind.value}:{target.name}"
