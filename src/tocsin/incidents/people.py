"""Everybody and everything a page can reach: the directory that the configuration hands to the escalator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tocsin.incidents.oncall import Schedule
from tocsin.model.alert import NO_SEVERITY
from tocsin.model.incident import Person, Policy, PolicyStep, Target, TargetKind, Urgency
from tocsin.model.labels import Matcher, all_match
from tocsin.model.route import Destination, Receiver

NO_UPDATES = frozenset({"sms", "voice"})
"""Channels that interrupt a person: they carry pages and the end of an incident, never mere updates."""

NO_ENDS = frozenset({"voice"})
"""Channels that nobody wants to be woken by for good news."""

HOW_TO_BE_TOLD = "write `users: [{name: ana, email: ana@example.org}]` into the configuration, or a receiver with an address"

SECRET_ADDRESSES = frozenset({"pagerduty", "pushover"})
"""Channels whose address is itself a key: people see the contact's name instead."""


@dataclass(frozen=True, slots=True)
class Team:
    name: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """What incidents about one service do differently. Durations in ms, 0 = off."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    """Alerts that belong to it; none = those whose label `service` is the name."""
    policy: str = ""
    """Used when the receiver names none."""
    urgency: str = "by_severity"
    """high | low | by_severity"""
    ack_timeout_ms: int = 0
    ack_reminder_ms: int = 300_000
    """How long before the acknowledgement times out its holder is reminded."""
    reopen_window_ms: int = 600_000
    manual_resolve_hold_ms: int = 14_400_000
    auto_resolve_after_ms: int = 0
    on_raise: str = "reopen"
    """reopen | notify_acker | ignore: what a raised severity does to an acknowledged incident."""
    runbook: str = ""
    owner: str = ""
    """A team, told last when nobody else can be."""

    def claims(self, labels: Mapping[str, str]) -> bool:
        if self.matchers:
            return all_match(self.matchers, labels)
        return labels.get("service", "") == self.name


@dataclass(frozen=True, slots=True)
class Directory:
    """The people side of the configuration. `severities` are ordered, least first."""

    persons: Mapping[str, Person] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    teams: Mapping[str, Team] = field(default_factory=dict)
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    severities: tuple[str, ...] = ("info", "warning", "critical")
    high_urgency: tuple[str, ...] = ("critical",)
    """Severities whose incidents are urgent when the service says `by_severity`."""
    external_url: str = ""
    fallback: tuple[Target, ...] = ()
    """Paged when a policy has nobody left; empty = everybody who can be reached."""
    max_incidents_per_service: int = 20
    """More new ones within `storm_window_ms` are absorbed by one storm incident."""
    storm_window_ms: int = 300_000
    gaps_allowed: frozenset[str] = frozenset()
    """Policies that may reach nobody at times."""

    def rank(self, severity: str) -> int:
        """Place in the order of severities; unknown ones stand below all, and `none` below these."""
        if severity in self.severities:
            return self.severities.index(severity)
        return -2 if severity == NO_SEVERITY else -1

    def service_for(self, labels: Mapping[str, str]) -> Service:
        """The declared service that claims `labels`; else one with defaults, named by the label `service`."""
        for service in self.services.values():
            if service.claims(labels):
                return service
        return Service(name=labels.get("service", ""))

    def urgency_for(self, service: Service, severity: str) -> Urgency:
        if service.urgency in ("high", "low"):
            return Urgency(service.urgency)
        return Urgency.HIGH if severity in self.high_urgency else Urgency.LOW

    def policy_for(self, receiver_name: str, service: Service | None = None) -> Policy:
        """The policy of a receiver. Its own destinations are told with the first step; without a policy they are all of it."""
        receiver = self.receivers.get(receiver_name)
        places = destination_targets(receiver) if receiver else ()
        name = (receiver.policy if receiver else "") or (service.policy if service else "")
        policy = self.policies.get(name)
        if policy is None or not policy.steps:
            return Policy(name=f"receiver {receiver_name}", steps=(PolicyStep(targets=places, delay_ms=0),), repeat=0)
        first = replace(policy.steps[0], targets=(*places, *policy.steps[0].targets))
        return replace(policy, steps=(first, *policy.steps[1:]))

    def destination(self, target_name: str) -> tuple[Receiver, Destination] | None:
        """The receiver and destination that a DESTINATION target names; None when the configuration lost it."""
        receiver_name, _, rest = target_name.rpartition("/")
        receiver_name, _, channel = receiver_name.rpartition("/")
        receiver = self.receivers.get(receiver_name)
        if receiver is None:
            return None
        for destination in receiver.destinations:
            if destination.channel == channel and str(destination.index) == rest:
                return receiver, destination
        return None

    def final_targets(self, policy: Policy, service: Service) -> tuple[Target, ...]:
        """Who is paged when the policy ran out: its own final, the owning team, the configured fallback, everybody."""
        if policy.final:
            return policy.final
        if service.owner in self.teams:
            return (Target(TargetKind.TEAM, service.owner),)
        return self.fallback or tuple(Target(TargetKind.USER, name) for name in self.persons)


def destination_targets(receiver: Receiver) -> tuple[Target, ...]:
    return tuple(
        Target(TargetKind.DESTINATION, f"{receiver.name}/{destination.channel}/{destination.index}")
        for destination in receiver.destinations
    )


def destination_address(receiver: Receiver, destination: Destination) -> str:
    """Where a destination leads, for people: never a URL, since those of chat tools are secrets."""
    for name in ("to", "channel", "number", "chat_id", "topic", "name"):
        value = destination.settings.get(name)
        if isinstance(value, str | int) and value:
            return str(value)
    return receiver.name


def who_can_be_told(directory: Directory) -> str:
    """The names that a test may be sent to, or what to write where there are none."""
    people = [person.name for person in directory.persons.values() if any(method.verified for method in person.methods)]
    places = [receiver.name for receiver in directory.receivers.values() if receiver.destinations]
    known = [f"{kind} {', '.join(names)}" for kind, names in (("users", people), ("receivers", places)) if names]
    return f"there are the {' and the '.join(known)}" if known else f"nobody can be told yet: {HOW_TO_BE_TOLD}"
