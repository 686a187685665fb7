"""Users, teams, policies, schedules and services of the file -> the directory that paging works with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.config.schema import Contact, OwnSections, PolicySection, Quiet, Step, User
from tocsin.errors import Problem
from tocsin.formats.yaml_tree import Path, Tree, path_text
from tocsin.incidents.oncall import Schedule
from tocsin.incidents.people import Directory, Service, Team
from tocsin.incidents.schedule import ScheduleError, parse_schedule
from tocsin.model.incident import (
    DAYS,
    ContactMethod,
    NotificationRule,
    Person,
    Policy,
    PolicyStep,
    QuietHours,
    Target,
    TargetKind,
    Urgency,
)
from tocsin.model.route import Receiver
from tocsin.notify.channel import registry

DEFAULT_POLICY = "default"

_KINDS = {kind.value: kind for kind in (TargetKind.USER, TargetKind.TEAM, TargetKind.SCHEDULE)}


class PeopleReader:
    """Reads the people side; what is wrong lands in `problems` with its place."""

    def __init__(self, own: OwnSections, tree: Tree, receivers: Mapping[str, Receiver]) -> None:
        self._own = own
        self._tree = tree
        self._receivers = receivers
        self.problems: list[Problem] = []
        self._users = {user.name for user in own.users}
        self._teams = {team.name for team in own.teams}
        self._schedules = {str(schedule.get("name", "")) for schedule in own.schedules}

    def directory(self) -> Directory:
        self._check_unique()
        persons = {user.name: self._person(user, ("users", i)) for i, user in enumerate(self._own.users)}
        teams = {team.name: self._team(i) for i, team in enumerate(self._own.teams)}
        policies = {policy.name: self._policy(policy, ("policies", i)) for i, policy in enumerate(self._own.policies)}
        if not policies and persons:
            policies[DEFAULT_POLICY] = _everybody(persons)
        schedules: dict[str, Schedule] = {}
        for i, raw in enumerate(self._own.schedules):
            schedule = self._schedule(raw, ("schedules", i))
            if schedule is not None:
                schedules[schedule.name] = schedule
        services = {service.name: self._service(i, policies) for i, service in enumerate(self._own.services)}
        severest = self._own.severities[-1]
        return Directory(
            persons=persons,
            policies=policies,
            schedules=schedules,
            teams=teams,
            receivers=self._receivers,
            services=services,
            severities=self._own.severities,
            high_urgency=(severest,),
            external_url=self._own.external_url,
            gaps_allowed=frozenset(policy.name for policy in self._own.policies if policy.allow_gaps),
        )

    # -- parts --------------------------------------------------------------------------------------------------------

    def _person(self, user: User, path: Path) -> Person:
        methods = self._methods(user, path)
        by_name = {method.id: method for method in methods}
        rules: list[NotificationRule] = []
        for urgency, key, steps in ((Urgency.HIGH, "high", user.notify.high), (Urgency.LOW, "low", user.notify.low)):
            for i, step in enumerate(steps):
                for name in step.by:
                    if name in by_name:
                        rules.append(NotificationRule(name, step.after, urgency))
                    else:
                        known = ", ".join(by_name) or "none"
                        self._refuse((*path, "notify", key, i, "by"), f"{user.name} has no contact {name!r} (known: {known})")
        return Person(
            name=user.name,
            full_name=user.full_name,
            email=user.email,
            time_zone=user.time_zone,
            methods=tuple(methods),
            rules=tuple(rules),
            quiet_hours=quiet_hours_of(user.quiet_hours, user.time_zone) if user.quiet_hours else None,
        )

    def _methods(self, user: User, path: Path) -> list[ContactMethod]:
        contacts = list(user.contact)
        if user.email and not any(contact.channel == "email" for contact in contacts):
            contacts.append(Contact(channel="email", address=user.email))
        methods: list[ContactMethod] = []
        for i, contact in enumerate(contacts):
            name = contact.name or contact.channel
            if any(method.id == name for method in methods):
                self._refuse((*path, "contact", i), f"{user.name} has two contacts called {name!r}; give one a `name`")
                continue
            methods.append(_method(name, contact))
        return methods

    def _team(self, index: int) -> Team:
        team = self._own.teams[index]
        for name in team.members:
            if name not in self._users:
                self._refuse(("teams", index, "members"), f"there is no user {name!r}")
        return Team(team.name, team.members)

    def _policy(self, policy: PolicySection, path: Path) -> Policy:
        return Policy(
            name=policy.name,
            steps=tuple(self._step(step, (*path, "steps", i)) for i, step in enumerate(policy.steps)),
            repeat=policy.repeat,
            final=tuple(target for name in policy.final for target in self._targets(name, (*path, "final"))),
        )

    def _step(self, step: Step, path: Path) -> PolicyStep:
        if step.min_severity and step.min_severity not in self._own.severities:
            self._refuse(
                (*path, "min_severity"), f"{step.min_severity!r} is not one of the severities {list(self._own.severities)}"
            )
        targets = tuple(target for name in step.notify for target in self._targets(name, (*path, "notify")))
        return PolicyStep(targets, step.wait, step.min_severity)

    def _targets(self, text: str, path: Path) -> tuple[Target, ...]:
        """`ana`, `user:ana`, `team:web`, `schedule:web`, `receiver:ops`; a bare name is a user, team or schedule."""
        kind, colon, name = text.partition(":")
        if not colon:
            kind, name = self._kind_of(text), text
        if kind == "receiver":
            return self._receiver_targets(name, path)
        known = {"user": self._users, "team": self._teams, "schedule": self._schedules}.get(kind)
        if known is None:
            self._refuse(path, f"{text!r} names nobody: expected a user, or team:NAME, schedule:NAME, receiver:NAME")
            return ()
        if name not in known:
            self._refuse(path, f"there is no {kind} {name!r} (known: {', '.join(sorted(known)) or 'none'})")
            return ()
        return (Target(_KINDS[kind], name),)

    def _kind_of(self, name: str) -> str:
        for kind, known in (("user", self._users), ("team", self._teams), ("schedule", self._schedules)):
            if name in known:
                return kind
        return "user" if self._users else ""

    def _receiver_targets(self, name: str, path: Path) -> tuple[Target, ...]:
        receiver = self._receivers.get(name)
        if receiver is None:
            self._refuse(path, f"there is no receiver {name!r}")
            return ()
        return tuple(Target(TargetKind.DESTINATION, f"{name}/{d.channel}/{d.index}") for d in receiver.destinations)

    def _schedule(self, raw: Mapping[str, Any], path: Path) -> Schedule | None:
        try:
            schedule = parse_schedule(raw)
        except ScheduleError as error:
            self._refuse(path, f"{error.path}: {error.message}" if error.path else error.message)
            return None
        if not schedule.name:
            self._refuse(path, "the key 'name' is missing")
            return None
        for layer in schedule.layers:
            for people in layer.rotation.turns:
                for name in people:
                    if name not in self._users:
                        self._refuse(path, f"schedule {schedule.name}: there is no user {name!r}")
        return schedule

    def _service(self, index: int, policies: Mapping[str, Policy]) -> Service:
        service = self._own.services[index]
        if service.policy and service.policy not in policies:
            self._refuse(("services", index, "policy"), f"there is no policy {service.policy!r}")
        return Service(
            name=service.name,
            policy=service.policy,
            urgency=service.urgency,
            ack_timeout_ms=service.acknowledge_timeout,
            reopen_window_ms=service.reopen_window,
            auto_resolve_after_ms=service.auto_resolve_after,
            runbook=service.runbook,
            owner=service.owner,
        )

    # -- problems -----------------------------------------------------------------------------------------------------

    def _check_unique(self) -> None:
        for key in ("users", "teams", "policies", "services"):
            seen: set[str] = set()
            for i, item in enumerate(getattr(self._own, key)):
                if item.name in seen:
                    self._refuse((key, i, "name"), f"{item.name!r} stands twice under {key}")
                seen.add(item.name)

    def _refuse(self, path: Path, message: str) -> None:
        self.problems.append(Problem(self._tree.place(path), path_text(path), message))


def _method(name: str, contact: Contact) -> ContactMethod:
    """A URL as address is a secret (whoever knows it can post): it becomes a setting, and people see the contact's name."""
    cls = registry().get(contact.channel)
    settings = dict(contact.settings)
    field = (cls.url_field or cls.address_field) if cls is not None else ""
    if field and "://" in contact.address:
        settings.setdefault(field, contact.address)
        return ContactMethod(name, contact.channel, name, settings, contact.verified)
    return ContactMethod(name, contact.channel, contact.address, settings, contact.verified)


def quiet_hours_of(quiet: Quiet, time_zone: str, *, own: bool = False) -> QuietHours:
    """`time_zone`: the person's, where the hours name none. All seven days are every day."""
    days = tuple(sorted({DAYS.index(day) for day in quiet.days}))
    zone = quiet.time_zone or time_zone
    return QuietHours(quiet.start, quiet.end, zone, quiet.allow, days if len(days) < len(DAYS) else (), own)


def _everybody(persons: Mapping[str, Person]) -> Policy:
    """Users but no policies: page all of them at once, twice more every five minutes."""
    targets = tuple(Target(TargetKind.USER, name) for name in persons)
    return Policy(name=DEFAULT_POLICY, steps=(PolicyStep(targets),), repeat=2)
