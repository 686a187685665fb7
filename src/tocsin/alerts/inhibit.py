"""Inhibition: a firing alert keeps others quiet. Pure.

An alert is inhibited when it matches a rule's target side and some firing alert matches the source side with the same values of
the `equal` labels (a missing label equals an empty one). An alert on both sides cannot be inhibited by another one on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.model.alert import SuppressedBy, Suppression
from tocsin.model.labels import Labels, all_match
from tocsin.model.route import InhibitRule

_Key = tuple[str, ...]


class Inhibitions:
    """The firing sources of every rule, indexed by their `equal` labels. Built anew when alerts change; O(sources)."""

    def __init__(self, rules: Iterable[InhibitRule], firing: Iterable[tuple[str, Labels]]) -> None:
        """`firing` are (fingerprint, labels) of every alert that fires now, suppressed or not."""
        self._rules = tuple(rules)
        # Per rule: key -> (a source of the source side only, a source of both sides); either may be missing.
        self._sources: list[dict[_Key, tuple[str, str]]] = [{} for _ in self._rules]
        if self._rules:
            for fingerprint, labels in firing:
                self._add(fingerprint, labels)

    def _add(self, fingerprint: str, labels: Labels) -> None:
        for rule, sources in zip(self._rules, self._sources, strict=True):
            if not all_match(rule.source, labels):
                continue
            key = _equal_key(rule, labels)
            one_sided, two_sided = sources.get(key, ("", ""))
            if all_match(rule.target, labels):
                two_sided = min(two_sided, fingerprint) if two_sided else fingerprint
            else:
                one_sided = min(one_sided, fingerprint) if one_sided else fingerprint
            sources[key] = (one_sided, two_sided)

    def inhibitor_of(self, labels: Labels) -> str:
        """Fingerprint of an alert that inhibits this one, empty if none."""
        for rule, sources in zip(self._rules, self._sources, strict=True):
            if not sources or not all_match(rule.target, labels):
                continue
            one_sided, two_sided = sources.get(_equal_key(rule, labels), ("", ""))
            if one_sided:
                return one_sided
            if two_sided and not all_match(rule.source, labels):
                return two_sided
        return ""

    def suppression(self, labels: Labels) -> tuple[SuppressedBy, ...]:
        by = self.inhibitor_of(labels)
        return (SuppressedBy(Suppression.INHIBITED, by),) if by else ()


def is_source(rules: Iterable[InhibitRule], labels: Labels) -> bool:
    """Whether the coming or going of this alert may change what is inhibited."""
    return any(all_match(rule.source, labels) for rule in rules)


def _equal_key(rule: InhibitRule, labels: Labels) -> _Key:
    return tuple(labels.get(name) for name in rule.equal)
