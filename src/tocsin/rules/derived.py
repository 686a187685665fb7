"""A check's `alert:` block as an ordinary alert rule."""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.model.check import CheckSpec
from tocsin.model.duration import human_duration
from tocsin.model.labels import quote
from tocsin.model.rule import AlertRule, NativeSettings, RuleGroup, Semantics

CHECK_RULE = "check:"
"""Identity of the rule of a check: this and the check's id."""
GROUP = "checks"
_FILE = "tocsin:checks"
_INTERVAL_MS = 15_000
ALERT = "CheckDown"
DATABASE_ALERT = "DatabaseDown"
"""Checks of databases alert under the name of the shipped rule, so that one inhibition covers both."""
_DATABASES = frozenset({"postgres", "postgresql", "mysql", "mariadb", "redis", "mongo", "mongodb"})


def check_rules(specs: Iterable[CheckSpec]) -> RuleGroup:
    """One alerting rule for every check that alerts. The check itself has confirmed the failure, so `for` is usually 0."""
    rules = tuple(_rule(spec) for spec in specs if spec.alert.enabled)
    return RuleGroup(GROUP, _FILE, _INTERVAL_MS, rules)


def _rule(spec: CheckSpec) -> AlertRule:
    return AlertRule(
        id=f"{CHECK_RULE}{spec.id}",
        group=GROUP,
        name=_name(spec),
        expr=f'tocsin_check_state{{check={quote(spec.id)},state="down"}} == 1',
        for_ms=spec.alert.for_ms,
        labels={**_labels(spec), "state": ""},
        annotations=_annotations(spec),
        semantics=Semantics.NATIVE,
        native=NativeSettings(),
        check_id=spec.id,
    )


def alert_labels(spec: CheckSpec) -> dict[str, str]:
    """The labels of the check's alert, its name among them: what matchers of silences and maintenance see."""
    return {**_labels(spec), "alertname": _name(spec)}


def _labels(spec: CheckSpec) -> dict[str, str]:
    return {**spec.labels, "severity": spec.alert.severity, "check": spec.id, "type": spec.type, "instance": spec.target}


def _name(spec: CheckSpec) -> str:
    return DATABASE_ALERT if spec.type in _DATABASES else ALERT


def _annotations(spec: CheckSpec) -> dict[str, str]:
    """What a person reads at 3 a.m. Texts of the check itself are escaped: a name is not a template."""
    texts = {
        "summary": f"{literal(spec.name)} is down",
        "description": _what_happened(spec),
    }
    if spec.runbook:
        texts["runbook_url"] = literal(spec.runbook)
    return {**texts, **spec.alert.annotations}


def _what_happened(spec: CheckSpec) -> str:
    if spec.type == "heartbeat":
        return "The heartbeat did not come in time, or said that the job failed."
    times = "once" if spec.failures <= 1 else f"{spec.failures} times in a row, confirmed within seconds"
    every = human_duration(spec.every_ms)
    return f"The {literal(spec.type)} check of {literal(spec.target)} failed {times} (checked every {every})."


def literal(text: str) -> str:
    """As the text of a template that says just this."""
    return text if "{{" not in text else "{{ " + quote(text) + " }}"
