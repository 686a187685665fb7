"""Which step is due, whom it reaches and by what, and who was considered but is not told, each with its reason. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from tocsin.incidents.oncall import Schedule, oncall_at, oncall_why, resolve, wall_time
from tocsin.incidents.people import NO_UPDATES, SECRET_ADDRESSES, Directory, Service, destination_address
from tocsin.model.duration import human_duration
from tocsin.model.incident import (
    ContactMethod,
    Incident,
    NotificationRule,
    Person,
    Policy,
    PolicyStep,
    QuietHours,
    Target,
    TargetKind,
    Urgency,
)


@dataclass(frozen=True, slots=True)
class Recipient:
    """One message to one person or place by one channel."""

    who: str
    channel: str
    address: str
    settings_ref: str
    why: str
    delay_ms: int = 0
    held_until_ms: int = 0
    """Quiet hours: not before this instant; 0 = not held."""
    held_why: str = ""
    person: bool = True


@dataclass(frozen=True, slots=True)
class NotTold:
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    told: tuple[Recipient, ...] = ()
    not_told: tuple[NotTold, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """The step that is due. `index` = number of steps for the final one."""

    index: int
    loop: int
    targets: tuple[Target, ...]
    delay_ms: int
    final: bool
    text: str
    skipped: str = ""
    """Why its condition keeps it from being executed."""


# -- which step --


def turn(incident: Incident, directory: Directory, service: Service) -> Turn | None:
    """The step to execute next; None when the policy has run out."""
    steps = incident.policy.steps
    if incident.step < len(steps):
        step = steps[incident.step]
        text = f"step {incident.step + 1} of {len(steps)} of {incident.policy.name}"
        if incident.loop:
            text += f", round {incident.loop + 1}"
        skipped = ""
        if step.min_severity and directory.rank(incident.severity) < directory.rank(step.min_severity):
            skipped = f"the step is for {step.min_severity} and worse"
        return Turn(incident.step, incident.loop, step.targets, step.delay_ms, False, text, skipped)
    if incident.step == len(steps):
        targets = directory.final_targets(incident.policy, service)
        return Turn(incident.step, incident.loop, targets, 0, True, f"last resort of {incident.policy.name}")
    return None


def advance(incident: Incident, done: Turn, *, reached: bool, reached_before: bool, now_ms: int) -> Incident:
    """The incident after `done` was executed: which step comes next and when.

    A step that reached nobody is skipped without its delay. After downtime steps that came due meanwhile run together, but one
    round at most. `reached_before`: an earlier step of this pass reached somebody.
    """
    steps = incident.policy.steps
    if done.final:
        return replace(incident, step=len(steps) + 1, next_escalation_at_ms=0)
    if reached and tells_places_only(incident.policy):
        return replace(incident, step=len(steps) + 1, next_escalation_at_ms=0)
    next_at_ms = incident.next_escalation_at_ms + done.delay_ms if reached else now_ms
    if done.index + 1 < len(steps):
        return replace(incident, step=done.index + 1, next_escalation_at_ms=next_at_ms)
    if reached and next_at_ms <= now_ms:
        next_at_ms = now_ms + done.delay_ms
    nobody = not reached and not reached_before
    if incident.loop < incident.policy.repeat and not nobody:
        if not reached:
            next_at_ms = now_ms + max((step.delay_ms for step in steps), default=0)
        return replace(incident, step=0, loop=incident.loop + 1, next_escalation_at_ms=next_at_ms)
    return replace(incident, step=len(steps), next_escalation_at_ms=next_at_ms)


def tells_places_only(policy: Policy) -> bool:
    """A receiver without people: it is told, and nobody is waited for."""
    return not policy.final and all(t.kind is TargetKind.DESTINATION for step in policy.steps for t in step.targets)


def describe_next(incident: Incident, directory: Directory, service: Service) -> str:
    """Who would be paged next, by name; empty when nobody."""
    upcoming = turn(incident, directory, service)
    return ", ".join(target_text(target) for target in upcoming.targets) if upcoming else ""


def target_text(target: Target) -> str:
    if target.kind is TargetKind.USER:
        return target.name
    if target.kind is TargetKind.DESTINATION:
        return target.name.rsplit("/", 1)[0]
    if target.kind is TargetKind.ROUND_ROBIN:
        return f"one of {', '.join(target.members)}"
    return f"{target.kind.value} {target.name}"


# -- whom it reaches --


def reach(
    targets: Iterable[Target], incident: Incident, directory: Directory, now_ms: int, *, why: str, urgency: Urgency | None = None
) -> Plan:
    """Everybody behind `targets` at this moment, each person once, with the reason."""
    told: dict[tuple[str, str], Recipient] = {}
    not_told: dict[str, NotTold] = {}
    for target in targets:
        if target.kind is TargetKind.DESTINATION:
            found = _place(target, directory, why)
            if isinstance(found, NotTold):
                not_told.setdefault(found.who, found)
            else:
                told.setdefault((found.who, found.settings_ref), found)
            continue
        people, via = _people(target, incident, directory, now_ms)
        if not people:
            not_told.setdefault(target_text(target), NotTold(target_text(target), via))
        for name in people:
            plan = reach_person(name, incident, directory, now_ms, why=f"{via}, {why}" if via else why, urgency=urgency)
            for recipient in plan.told:
                told.setdefault((recipient.who, recipient.settings_ref), recipient)
            for other in plan.not_told:
                not_told.setdefault(other.who, other)
    reached = {who for who, _ in told}
    return Plan(tuple(told.values()), tuple(n for n in not_told.values() if n.who not in reached))


def reach_person(
    name: str, incident: Incident, directory: Directory, now_ms: int, *, why: str, urgency: Urgency | None = None
) -> Plan:
    """By what and when one person is told: their rules for this urgency, else every verified contact method."""
    person = directory.persons.get(name)
    if person is None:
        return Plan(not_told=(NotTold(name, "is not a person of the configuration"),))
    methods = {method.id: method for method in person.methods if method.verified}
    if not methods:
        return Plan(not_told=(NotTold(name, "cannot be reached: no verified contact method"),))
    held_until_ms = quiet_until(person.quiet_hours, incident.severity, now_ms)
    told = []
    for rule in rules_of(person, methods, urgency or incident.urgency):
        method = methods[rule.method]
        held = held_until_ms if held_until_ms > now_ms + rule.delay_ms else 0
        told.append(_recipient(person, method, rule, why, held))
    return Plan(told=tuple(told))


def rules_of(person: Person, methods: Mapping[str, ContactMethod], urgency: Urgency) -> tuple[NotificationRule, ...]:
    own = tuple(rule for rule in person.rules if rule.urgency is urgency and rule.method in methods)
    if own:
        return own
    usable = list(methods)
    if urgency is Urgency.LOW:
        usable = [name for name in methods if methods[name].channel not in NO_UPDATES] or usable
    return tuple(NotificationRule(name, 0, urgency) for name in usable)


def quiet_until(quiet: QuietHours | None, severity: str, now_ms: int) -> int:
    """When the person's quiet hours end, if they hold this severity back now; else 0.

    Hours of chosen days that meet (all of Saturday, all of Sunday) end with the last of them.
    """
    if quiet is None or severity in quiet.allow_severities or quiet.start_minute == quiet.end_minute:
        return 0
    end_ms = _window_end(quiet, now_ms)
    for _ in quiet.days if end_ms else ():
        end_ms = _window_end(quiet, end_ms) or end_ms
    return end_ms


def _window_end(quiet: QuietHours, t_ms: int) -> int:
    """When the one stretch of quiet hours around `t_ms` ends; 0 = there is none."""
    wall = wall_time(t_ms, quiet.time_zone)
    minute = wall.hour * 60 + wall.minute
    start, end = quiet.start_minute, quiet.end_minute
    today, over_night = wall.replace(hour=0, minute=0, second=0, microsecond=0), start > end
    began_yesterday = over_night and minute < end
    if not (began_yesterday or (minute >= start and (over_night or minute < end))):
        return 0
    began = today - timedelta(days=1) if began_yesterday else today
    if quiet.days and began.weekday() not in quiet.days:
        return 0
    ends = began + timedelta(days=1 if over_night else 0, minutes=end)
    return resolve(ends, quiet.time_zone, last=True)


def held_reason(quiet: QuietHours, until_ms: int) -> str:
    """Why a message waits, as it is stored with it."""
    return f"quiet hours until {wall_time(until_ms, quiet.time_zone):%H:%M} {quiet.time_zone}"


def _recipient(person: Person, method: ContactMethod, rule: NotificationRule, why: str, held_until_ms: int) -> Recipient:
    after = f", {method.channel} after {human_duration(rule.delay_ms)}" if rule.delay_ms else ""
    return Recipient(
        who=person.name,
        channel=method.channel,
        address=shown_address(method),
        settings_ref=f"user:{person.name}/{method.id}",
        why=why + after,
        delay_ms=rule.delay_ms,
        held_until_ms=held_until_ms,
        held_why=held_reason(person.quiet_hours, held_until_ms) if person.quiet_hours and held_until_ms else "",
    )


def shown_address(method: ContactMethod) -> str:
    """The address as people may see it; a URL or key is a secret and shows as the method's name."""
    return method.id if "://" in method.address or method.channel in SECRET_ADDRESSES else method.address


def _place(target: Target, directory: Directory, why: str) -> Recipient | NotTold:
    found = directory.destination(target.name)
    if found is None:
        return NotTold(target.name, "is no longer in the configuration")
    receiver, destination = found
    return Recipient(
        who=receiver.name,
        channel=destination.channel,
        address=destination_address(receiver, destination),
        settings_ref=f"receiver:{target.name}",
        why=f"receiver {receiver.name}, {why}",
        person=False,
    )


def _people(target: Target, incident: Incident, directory: Directory, now_ms: int) -> tuple[tuple[str, ...], str]:
    """The persons behind a target and by what they were found; without persons, why there are none."""
    if target.kind is TargetKind.USER:
        return (target.name,), "named in the policy"
    if target.kind is TargetKind.TEAM:
        team = directory.teams.get(target.name)
        if team is None or not team.members:
            return (), "the team has no members"
        return team.members, f"member of team {target.name}"
    if target.kind is TargetKind.ROUND_ROBIN:
        if not target.members:
            return (), "nobody takes turns here"
        return (target.members[incident.number % len(target.members)],), "their turn"
    schedule = directory.schedules.get(target.name)
    return _on_call(schedule, target.name, now_ms)


def _on_call(schedule: Schedule | None, name: str, now_ms: int) -> tuple[tuple[str, ...], str]:
    if schedule is None:
        return (), f"there is no schedule {name}"
    people = oncall_at(schedule, now_ms)
    if not people:
        return (), "nobody is on call"
    return people, f"on call by {oncall_why(schedule, now_ms)}"


def step_targets(step: PolicyStep) -> list[str]:
    return [target_text(target) for target in step.targets]
