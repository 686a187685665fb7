"""What nobody would hear of: things not watched, watched things without a rule, rules that end nowhere, routes to nobody.

services ─ checks ─ targets ──rules──▶ routes ──▶ receivers ──▶ people
    each arrow that is missing is a finding; silence here means that every one of them is there
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tocsin.alerts.route import match, walk
from tocsin.config.config import Config
from tocsin.errors import QueryError
from tocsin.incidents import oncall
from tocsin.incidents.people import Directory, destination_targets
from tocsin.model.check import CheckSpec, CheckState, CheckStatus
from tocsin.model.incident import Target, TargetKind
from tocsin.model.labels import Matcher
from tocsin.model.ports import SampleReader
from tocsin.model.route import Route
from tocsin.model.rule import AlertRule
from tocsin.rules.selects import selects_of

if TYPE_CHECKING:
    from tocsin.app.core import Core

_LOOK_BACK_MS = 300_000
_NAMED = 3

TargetKey = tuple[str, str]
"""(job, instance)"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One gap. `kind` is a stable word for programs, `subject` the thing, `text` what is missing and what to do."""

    kind: str
    subject: str
    text: str


async def coverage(core: Core, config: Config) -> dict[str, Any]:
    """The core command: {findings: [{kind, subject, text}], watched: {services, checks, targets, rules, routes}}."""
    now_ms = core.clock.now_ms()
    targets = core.scraper.targets()["activeTargets"]
    rules = alert_rules(config)
    seen = await asyncio.to_thread(selected_targets, core.store, rules, now_ms)
    directory = await core.db.read(lambda connection: core.escalator.directory_at(connection, now_ms))
    found = [
        *service_findings(config.directory, config.checks),
        *check_findings(config.checks, core.receiver.statuses()),
        *target_findings(targets, core.scraper.problems(), [job.name for job in config.jobs], seen),
        *rule_findings(rules, config.routing.root, directory),
        *route_findings(config.routing.root, directory, now_ms),
    ]
    watched = {
        "services": len(config.directory.services),
        "checks": len(config.checks),
        "targets": len(targets),
        "rules": len(rules),
        "routes": sum(1 for _ in walk(config.routing.root)),
    }
    if not config.checks and not targets:
        found.insert(
            0, Finding("nothing_watched", "tocsin", "no check and no scrape target is configured: only this host is watched")
        )
    return {"findings": [asdict(finding) for finding in found], "watched": watched}


def alert_rules(config: Config) -> list[AlertRule]:
    return [rule for group in config.rule_groups for rule in group.rules if isinstance(rule, AlertRule)]


# -- services, checks, targets -----------------------------------------------------------------------------------------


def service_findings(directory: Directory, checks: Sequence[CheckSpec]) -> list[Finding]:
    """Declared services that no check belongs to."""
    return [
        Finding("service_without_check", service.name, f"no check has the label service: {service.name}; nothing looks at it")
        for service in directory.services.values()
        if not any(service.claims(check.labels) for check in checks)
    ]


def check_findings(checks: Sequence[CheckSpec], statuses: Mapping[str, CheckStatus]) -> list[Finding]:
    """Checks that alert nobody, and checks that see nothing now."""
    found = []
    for check in checks:
        if not check.alert.enabled:
            found.append(Finding("check_without_rule", check.id, "its alert is switched off: a failure is shown, nobody is told"))
        status = statuses.get(check.id)
        state = status.state if status is not None else CheckState.PENDING
        if state is CheckState.PAUSED:
            found.append(Finding("check_not_watching", check.id, "it is paused"))
        elif state is CheckState.PENDING:
            found.append(Finding("check_not_watching", check.id, f"it has no result yet (runs at {', '.join(check.locations)})"))
        elif state is CheckState.UNKNOWN:
            found.append(Finding("check_not_watching", check.id, f"its state is unknown: {status.message if status else ''}"))
    return found


def target_findings(
    targets: Sequence[Mapping[str, Any]], problems: Mapping[str, str], jobs: Iterable[str], seen: set[TargetKey]
) -> list[Finding]:
    """Targets whose series no alert rule reads, and jobs without targets. `targets` as in /api/v1/targets."""
    found = [Finding("job_with_problem", job, text) for job, text in sorted(problems.items())]
    with_targets = {target["scrapePool"] for target in targets}
    found += [
        Finding("job_without_target", job, "it scrapes nothing: no target is configured or discovered")
        for job in jobs
        if job not in with_targets and job not in problems
    ]
    found += [
        Finding("target_not_stored", str(target["scrapeUrl"]), str(target["lastError"]))
        for target in targets
        if target.get("health") == "up" and target.get("lastError")
    ]
    for target in targets:
        key = (str(target["labels"].get("job", "")), str(target["labels"].get("instance", "")))
        if key not in seen:
            text = f"no alert rule reads a series of it (job {key[0]}): it can fail unnoticed"
            found.append(Finding("target_without_rule", key[1], text))
    return found


def selected_targets(reader: SampleReader, rules: Iterable[AlertRule], now_ms: int) -> set[TargetKey]:
    """The targets with a series that some rule's expression selects, as the store has them now. Call from a thread."""
    wanted: set[tuple[Matcher, ...]] = set()
    for rule in rules:
        try:
            wanted |= {select.matchers for select in selects_of(rule.expr).items}
        except QueryError:
            continue  # a rule that cannot be read watches nothing
    series = reader.series([list(matchers) for matchers in wanted], now_ms - _LOOK_BACK_MS, now_ms) if wanted else []
    return {(labels.get("job"), labels.get("instance")) for labels in series}


# -- rules and routes --------------------------------------------------------------------------------------------------


def rule_findings(rules: Iterable[AlertRule], root: Route, directory: Directory) -> list[Finding]:
    """Rules whose alerts, by the labels that the rule itself sets, end at receivers that tell nobody."""
    lost: dict[str, list[str]] = {}
    for rule in rules:
        labels = {name: value for name, value in rule.labels.items() if "{{" not in value} | {"alertname": rule.name}
        receivers = [route.receiver for route in match(root, labels)]
        if all(tells_nobody(name, directory) for name in receivers):
            names = lost.setdefault(", ".join(receivers), [])
            if rule.name not in names:
                names.append(rule.name)
    found = []
    for where_to, names in lost.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        where = f"end at receiver {where_to}, which tells nobody" if where_to else "match no route"
        found.append(Finding("rule_without_route", ", ".join(names[:_NAMED]) + more, f"their alerts {where}"))
    return found


def tells_nobody(receiver_name: str, directory: Directory) -> bool:
    """A receiver that is not there, or was declared with neither people nor destinations."""
    receiver = directory.receivers.get(receiver_name)
    if receiver is None:
        return True
    return bool(receiver.place.file) and not receiver.destinations and not receiver.policy


def route_findings(root: Route, directory: Directory, now_ms: int) -> list[Finding]:
    """Routes whose receiver reaches no person and no channel at this moment."""
    found, done = [], set()
    for node in walk(root):
        name = node.route.receiver
        if name in done:
            continue
        done.add(name)
        if why := unreachable(name, directory, now_ms):
            found.append(Finding("route_without_person", name, f"route {node.key} leads to nobody: {why}"))
    return found


def unreachable(receiver_name: str, directory: Directory, now_ms: int) -> str:
    """Why a page to this receiver reaches nobody now; empty = somebody or some channel is reached."""
    receiver = directory.receivers.get(receiver_name)
    if receiver is None:
        return f"there is no receiver {receiver_name}"
    if tells_nobody(receiver_name, directory):
        return f"receiver {receiver_name} has neither people nor destinations"
    if destination_targets(receiver):
        return ""
    policy = directory.policy_for(receiver_name)
    targets = [target for step in policy.steps for target in step.targets]
    if not targets:
        targets = list(directory.final_targets(policy, directory.service_for({})))
    if not targets:
        return "nobody is configured: add `users:` with an e-mail address or another contact"
    reasons = [_missed(target, directory, now_ms) for target in targets]
    return "" if not all(reasons) else "; ".join(dict.fromkeys(reasons))


def _missed(target: Target, directory: Directory, now_ms: int) -> str:
    """Why this target reaches nobody now; empty = it does."""
    match target.kind:
        case TargetKind.DESTINATION:
            return "" if directory.destination(target.name) else f"destination {target.name} is gone"
        case TargetKind.USER:
            people: Iterable[str] = (target.name,)
            what = f"{target.name} has no contact"
        case TargetKind.SCHEDULE:
            schedule = directory.schedules.get(target.name)
            people = oncall.oncall_at(schedule, now_ms) if schedule is not None else ()
            what = f"schedule {target.name} has nobody with a contact on call now"
        case TargetKind.TEAM:
            team = directory.teams.get(target.name)
            people = team.members if team is not None else ()
            what = f"team {target.name} has nobody with a contact"
        case _:
            people = target.members
            what = f"none of {', '.join(target.members)} has a contact"
    return "" if any(_has_contact(name, directory) for name in people) else what


def _has_contact(name: str, directory: Directory) -> bool:
    person = directory.persons.get(name)
    return person is not None and bool(person.methods)
