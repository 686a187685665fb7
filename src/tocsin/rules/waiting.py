"""What keeps an alert that is true from firing yet: a deploy a moment ago, or trouble in what it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tocsin.model.alert import AlertReason, AlertState
from tocsin.model.duration import human_duration
from tocsin.model.labels import Labels
from tocsin.model.rule import AlertRule
from tocsin.rules.alerting import Hold, Wait, is_firing
from tocsin.rules.group import RuleRun

_SERVICE = "service"
_Found = dict[str, Hold]
"""Service ("" = none named) -> the gravest trouble of the alerts of one rule there."""


class Holds:
    """Knows the last deploys and the state of every rule that others depend on. Used on the rules thread."""

    def __init__(self) -> None:
        self.deploys: Mapping[str, int] = {}
        """Service ("" = all) -> its last deploy."""
        self._by_name: dict[str, list[RuleRun]] = {}
        self._seen: dict[int, tuple[Mapping[Labels, AlertState], _Found]] = {}

    def apply(self, runs: Iterable[RuleRun]) -> None:
        """Look at these rules from now on."""
        self._seen = {}
        self._by_name = {}
        for run in runs:
            if isinstance(run.rule, AlertRule):
                self._by_name.setdefault(run.rule.name, []).append(run)

    def hold(self, rule: AlertRule, labels: Labels, t_ms: int) -> Hold | None:
        """Why an alert of `rule` may not start firing at t_ms; None where it may. Criticals never wait for a deploy."""
        if rule.native.deploy_grace_ms and labels.get("severity") != "critical":
            deployed_ms = max(self.deploys.get(labels.get(_SERVICE), 0), self.deploys.get("", 0))
            if 0 <= t_ms - deployed_ms < rule.native.deploy_grace_ms:
                grace = human_duration(rule.native.deploy_grace_ms)
                return Hold(
                    Wait.DEPLOY, f"{human_duration(t_ms - deployed_ms)} after a deploy; it waits {grace} to see it settle"
                )
        return _gravest(self._trouble(name, labels, t_ms) for name in rule.native.depends_on)

    def _trouble(self, name: str, child: Labels, t_ms: int) -> Hold | None:
        """An alert of that name is pending or fires, for the same service where both name one."""
        service = child.get(_SERVICE)
        found = [self._found(run, t_ms) for run in self._by_name.get(name, ())]
        if not service:
            return _gravest(hold for one in found for hold in one.values())
        return _gravest(one.get(key) for one in found for key in (service, ""))

    def _found(self, run: RuleRun, t_ms: int) -> _Found:
        """What `run` says of each service; worked out once for each of its evaluations."""
        kept = self._seen.get(id(run))
        if kept is not None and kept[0] is run.states:
            return kept[1]
        assert isinstance(run.rule, AlertRule)
        found: _Found = {}
        on_probation = t_ms < run.rule.native.probation_until_ms
        for labels, state in {} if on_probation else run.states.items():
            service = labels.get(_SERVICE)
            found[service] = _gravest((found.get(service), _of_parent(run.rule.name, state))) or found[service]
        self._seen[id(run)] = run.states, found
        return found


def _of_parent(name: str, state: AlertState) -> Hold:
    if is_firing(state.phase):
        return Hold(Wait.PARENT_DOWN, f"{name} fires, which it depends on", state.labels)
    if state.reason is AlertReason.UNREACHABLE:
        return Hold(Wait.PARENT_DOWN, f"{name}, which it depends on, is unreachable itself", state.below or state.labels)
    return Hold(Wait.PARENT_PENDING, f"{name}, which it depends on, is pending", state.labels)


def _gravest(holds: Iterable[Hold | None]) -> Hold | None:
    gravest: Hold | None = None
    for hold in holds:
        if hold is not None and (gravest is None or (hold.wait is Wait.PARENT_DOWN and gravest.wait is not Wait.PARENT_DOWN)):
            gravest = hold
    return gravest
