"""Inhibition: a firing alert keeps others quiet. Pure.

An alert is inhibited when it matches a rule's target side and some firing alert matches the source side with the same values of
the `equal` labels (a missing label equals an empty one). An alert on both sides cannot be inhibited by another one on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.alerts.index import MatcherIndex
from tocsin.model.alert import SuppressedBy, Suppression
from tocsin.model.labels import Labels
from tocsin.model.route import InhibitRule

_Key = tuple[str, ...]


class InhibitRules:
    """The rules with both sides indexed; built once per configuration."""

    def __init__(self, rules: Iterable[InhibitRule]) -> None:
        self.rules = tuple(rules)
        self._sources = MatcherIndex([rule.source for rule in self.rules])
        self._targets = MatcherIndex([rule.target for rule in self.rules])

    def __bool__(self) -> bool:
        return bool(self.rules)

    def sources(self, labels: Labels) -> list[int]:
        """Rules whose source side the alert matches: its coming or going may change what is inhibited."""
        return self._sources.matching(labels)

    def targets(self, labels: Labels) -> list[int]:
        return self._targets.matching(labels)


class Inhibitions:
    """The firing sources of every rule, by their `equal` labels. Built anew when alerts change; O(sources)."""

    def __init__(self, rules: InhibitRules, firing: Iterable[tuple[str, Labels]]) -> None:
        """`firing` are (fingerprint, labels) of every alert that fires now, suppressed or not."""
        self._rules = rules
        # Per rule: key -> (a source on the source side only, a source on both sides); either may be missing.
        self._sources: dict[int, dict[_Key, tuple[str, str]]] = {}
        if rules:
            for fingerprint, labels in firing:
                self._add(fingerprint, labels)

    def _add(self, fingerprint: str, labels: Labels) -> None:
        as_source = self._rules.sources(labels)
        if not as_source:
            return
        as_target = self._rules.targets(labels)
        for number in as_source:
            sources = self._sources.setdefault(number, {})
            key = _equal_key(self._rules.rules[number], labels)
            one_sided, two_sided = sources.get(key, ("", ""))
            if number in as_target:
                two_sided = min(two_sided, fingerprint) if two_sided else fingerprint
            else:
                one_sided = min(one_sided, fingerprint) if one_sided else fingerprint
            sources[key] = (one_sided, two_sided)

    def inhibitor_of(self, labels: Labels) -> str:
        """Fingerprint of an alert that inhibits this one, empty if none."""
        if not self._sources:
            return ""
        as_source: list[int] | None = None
        for number in self._rules.targets(labels):
            key = _equal_key(self._rules.rules[number], labels)
            one_sided, two_sided = self._sources.get(number, {}).get(key, ("", ""))
            if one_sided:
                return one_sided
            if two_sided:
                as_source = self._rules.sources(labels) if as_source is None else as_source
                if number not in as_source:
                    return two_sided
        return ""

    def suppression(self, labels: Labels) -> tuple[SuppressedBy, ...]:
        by = self.inhibitor_of(labels)
        return (SuppressedBy(Suppression.INHIBITED, by),) if by else ()


def _equal_key(rule: InhibitRule, labels: Labels) -> _Key:
    return tuple(labels.get(name) for name in rule.equal)
