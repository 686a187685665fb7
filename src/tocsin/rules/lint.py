"""What will be noisy, or useless at 3 a.m.: doubts about rules that parse. Warnings, never errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from tocsin.errors import Problem
from tocsin.model.duration import format_duration
from tocsin.model.rule import AlertRule, RuleGroup, Semantics
from tocsin.promql.ast import COMPARISONS, Binary, Call, Expr, MatrixSelector, VectorSelector, unwrap, walk
from tocsin.promql.parser import parse
from tocsin.rules.derived import ALERT, DATABASE_ALERT
from tocsin.rules.threshold import threshold_of

_COUNTER_FUNCTIONS = frozenset({"rate", "increase", "irate"})
_PAGING = frozenset({"critical", "page"})
_NAMES_OF_OURS = frozenset({ALERT, DATABASE_ALERT})
"""Alerts of checks: other rules may depend on them."""
_WORDS_OF_A_PAGE = (("summary",), ("impact", "description"), ("first_steps",), ("runbook_url",))
"""What a person woken at 3 a.m. needs; one of each is enough."""


def lint(groups: Iterable[RuleGroup], *, scrape_interval_ms: int = 15_000) -> list[Problem]:
    """One warning for every doubt, at the rule's place."""
    groups = list(groups)
    names = {rule.name for group in groups for rule in group.rules} | _NAMES_OF_OURS
    return [
        Problem(rule.place, f"groups.{group.name}.{rule.name}", message, warning=True)
        for group in groups
        for rule in group.rules
        if isinstance(rule, AlertRule)
        for message in (*_doubts(rule, scrape_interval_ms), *_doubts_about_settings(rule, names))
    ]


def _doubts(rule: AlertRule, scrape_interval_ms: int) -> Iterator[str]:
    tree = parse(rule.expr)
    comparison = _comparison(tree)
    selects = any(isinstance(node, VectorSelector) for node in walk(tree))  # without: a rule that always fires, on purpose
    absent = any(isinstance(node, Call) and node.name.startswith("absent") for node in walk(tree))
    if comparison is None and selects and not absent:
        yield "compares with nothing: it fires for every series that exists"
    if comparison is not None and not _held(rule) and _is_gauge(comparison.left):
        yield "one bad sample fires it: give it a `for` (or a hold such as `8 of 10`)"
    if comparison is not None and _is_ratio(comparison.left) and not _guarded(tree, rule):
        yield "a ratio without a minimum of traffic: one error of three requests is 33 %; add `and ... >= 10` or min_traffic"
    for window_ms in _short_windows(tree, scrape_interval_ms):
        yield (
            f"a rate over {format_duration(window_ms)} has fewer than four scrapes of {format_duration(scrape_interval_ms)}: "
            "one lost scrape changes it"
        )
    severity = rule.labels.get("severity", "")
    if not severity:
        yield "no severity label: routes cannot tell a page from a note"
    missing = [names[0] for names in _WORDS_OF_A_PAGE if not any(rule.annotations.get(name) for name in names)]
    if severity in _PAGING and missing:
        yield f"pages a person without {', '.join(f'`{name}`' for name in missing)}"


def _doubts_about_settings(rule: AlertRule, names: AbstractSet[str]) -> Iterator[str]:
    """Settings of the annotation `tocsin` that cannot do what they seem to say."""
    native = rule.native
    if rule.semantics is not Semantics.NATIVE:
        return
    if native.deploy_grace_ms and rule.labels.get("severity") in _PAGING:
        yield "deploy_grace on a page: criticals never wait for a deploy"
    for name in native.depends_on:
        if name not in names:
            yield f"depends_on names {name!r}, and no alert of these files is called so"
    if native.proof_expr and not native.depends_on:
        yield "a proof without depends_on proves nothing to anybody"
    threshold, clear = threshold_of(rule.expr), threshold_of(native.clear_expr) if native.clear_expr else None
    if threshold and clear and threshold[0] == clear[0] and _beyond(*threshold, clear[1]):
        yield f"clears at {clear[1]:g}, beyond its own threshold of {threshold[1]:g}: that is no hysteresis"


def _beyond(op: str, threshold: float, clear: float) -> bool:
    return clear > threshold if op in (">", ">=") else op in ("<", "<=") and clear < threshold


def _is_gauge(expr: Expr) -> bool:
    """A plain series. One whose name has colons was recorded, so it is not a single sample any more."""
    inner = unwrap(expr)
    return isinstance(inner, VectorSelector) and ":" not in inner.name


def _held(rule: AlertRule) -> bool:
    return rule.for_ms > 0 or (rule.semantics is Semantics.NATIVE and rule.native.hold_m > 1)


def _comparison(tree: Expr) -> Binary | None:
    """The comparison that decides, looking through `and`, `or` and `unless`."""
    inner = unwrap(tree)
    if not isinstance(inner, Binary):
        return None
    if inner.op in COMPARISONS:
        return inner
    return _comparison(inner.left) or _comparison(inner.right) if inner.op in ("and", "or", "unless") else None


def _is_ratio(expr: Expr) -> bool:
    inner = unwrap(expr)
    if not (isinstance(inner, Binary) and inner.op == "/"):
        return False
    return all(
        any(isinstance(node, Call) and node.name in _COUNTER_FUNCTIONS for node in walk(side))
        for side in (inner.left, inner.right)
    )


def _guarded(tree: Expr, rule: AlertRule) -> bool:
    inner = unwrap(tree)
    return bool(rule.native.min_traffic_expr) or (isinstance(inner, Binary) and inner.op in ("and", "unless"))


def _short_windows(tree: Expr, scrape_interval_ms: int) -> set[int]:
    return {
        argument.range_ms
        for node in walk(tree)
        if isinstance(node, Call) and node.name in _COUNTER_FUNCTIONS
        for argument in node.args
        if isinstance(argument, MatrixSelector) and 0 < argument.range_ms < 4 * scrape_interval_ms
    }
