"""An objective's `alert:` as ordinary alert rules over two windows each (Google's SRE workbook, "Alerting on SLOs").

    14.4x over 1h and 5m  ─┐
     6x over 6h and 30m   ─┴▶ page, every minute          1x over 3d and 6h ──▶ ticket, every five minutes

The long window says that it matters, the short one that it goes on: with it the alert ends. Every expression stands for itself,
without recorded series: it can be tried over the past the day it is written, and by promtool as it stands. What a quicker
rule of the same objective has told in the time of the short window is not told again: its errors still stand in that window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote as percent_encoded

from tocsin.errors import Place
from tocsin.model.duration import format_duration
from tocsin.model.labels import quote
from tocsin.model.rule import AlertRule, RuleGroup, Semantics
from tocsin.rules.derived import literal
from tocsin.rules.errorcount import SECONDS, WINDOW

ALERT = "ErrorBudgetBurn"
OBJECTIVE_RULE = "slo:"
"""Identity of a rule of an objective: this, the objective's name and the long window."""
FILE = "tocsin:slos"
_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_BUDGET_S = 30 * 86_400
_STEP_MS, _COARSE_MS = 15_000, 60_000
"""How finely the time of a check is looked at, up to six hours and above."""


@dataclass(frozen=True, slots=True)
class Burn:
    """A pace that is too fast: `factor` times as fast as the budget allows, over both windows."""

    factor: float
    long_ms: int
    short_ms: int
    pages: bool
    every_ms: int
    hold_ms: int
    """Shortest `for`: the slower ones let a quicker one go first."""

    @property
    def window(self) -> str:
        return format_duration(self.long_ms)

    @property
    def short(self) -> str:
        return format_duration(self.short_ms)


BURNS = (
    Burn(14.4, _HOUR_MS, 5 * _MINUTE_MS, True, _MINUTE_MS, 0),
    Burn(6, 6 * _HOUR_MS, 30 * _MINUTE_MS, True, _MINUTE_MS, 2 * _MINUTE_MS),
    Burn(1, 72 * _HOUR_MS, 6 * _HOUR_MS, False, 5 * _MINUTE_MS, 10 * _MINUTE_MS),
)
"""Quickest first."""


@dataclass(frozen=True, slots=True)
class Objective:
    """An objective that alerts. Its good share is `good`, or the uptime of `check`."""

    name: str
    target: float
    good: str = ""
    """PromQL with `$window`, one result from 0 to 1."""
    check: str = ""
    service: str = ""
    page: str = "critical"
    """Severity of what pages; empty = nothing does."""
    ticket: str = "warning"
    for_ms: int = 0
    errors: str = ""
    """PromQL of the number of errors in `$window`; empty = not known."""
    same_labels: bool = False
    """Whether the number of errors has the labels of `good`; else there is one number for all."""
    min_errors: int = 10
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    place: Place = Place()

    @property
    def budget(self) -> float:
        """What may fail, as written: 0.001, not 0.0010000000000000009."""
        return round(1 - self.target, 12)

    def severity(self, burn: Burn) -> str:
        return self.page if burn.pages else self.ticket


def possible(burn: Burn, target: float) -> bool:
    """Whether a service that fails altogether burns that fast."""
    return burn.factor * round(1 - target, 12) < 1


def objective_groups(objectives: Iterable[Objective]) -> tuple[RuleGroup, ...]:
    """Groups of their own for each objective, so that dear queries of many objectives do not fall on one instant."""
    return tuple(group for objective in objectives for group in _groups(objective))


def _groups(objective: Objective) -> Iterator[RuleGroup]:
    burns = [burn for burn in BURNS if objective.severity(burn) and possible(burn, objective.target)]
    for every_ms in dict.fromkeys(burn.every_ms for burn in burns):
        rules = [(burn, burns[:place]) for place, burn in enumerate(burns) if burn.every_ms == every_ms]
        first = rules[0][0]
        name = f"slos: {objective.name}" if first.pages else f"slos: {objective.name}, {first.window}"
        yield RuleGroup(name, FILE, every_ms, tuple(_rule(objective, burn, quicker, name) for burn, quicker in rules))


def _rule(objective: Objective, burn: Burn, quicker: list[Burn], group: str) -> AlertRule:
    return AlertRule(
        id=f"{OBJECTIVE_RULE}{objective.name}:{burn.window}",
        group=group,
        name=ALERT,
        expr=condition(objective, burn, quicker),
        for_ms=max(objective.for_ms, burn.hold_ms),
        labels=_labels(objective, burn),
        annotations=_annotations(objective, burn),
        semantics=Semantics.NATIVE,
        place=objective.place,
        check_id=objective.check,
    )


def rules_by_objective(groups: Iterable[RuleGroup]) -> dict[str, list[dict[str, str]]]:
    """Name of an objective -> the rules that watch it: `{group, rule, window, severity}`, quickest first."""
    found: dict[str, list[dict[str, str]]] = {}
    for rule in (rule for group in groups if group.file == FILE for rule in group.rules):
        name, _, window = rule.id.removeprefix(OBJECTIVE_RULE).rpartition(":")
        row = {"group": rule.group, "rule": rule.name, "window": window, "severity": rule.labels["severity"]}
        found.setdefault(name, []).append(row)
    return found


# -- the condition ---------------------------------------------------------------------------------------------------------


def condition(objective: Objective, burn: Burn, quicker: Iterable[Burn] = ()) -> str:
    """PromQL whose value is the burn rate over the long window; nothing for what one of `quicker` has told.

    With a `for` nobody can tell from the samples what was told: then only inhibition keeps the slower ones quiet.
    """
    step = format_duration(burn.every_ms)
    told = [
        f"unless on () count_over_time((\n{_indented(_burns(objective, before))}\n)[{burn.short}:{step}])"
        for before in quicker
        if not objective.for_ms
    ]
    return "\n".join([_burns(objective, burn), *told])


def _burns(objective: Objective, burn: Burn) -> str:
    lines = [
        f"{_rate(objective, burn.long_ms)} > {burn.factor:g}",
        f"and {_rate(objective, burn.short_ms)} > {burn.factor:g}",
    ]
    if objective.check and burn.pages:
        # A check knows whether it is down now. While it is, its own alert covers this one; once it is up nothing is left to tell.
        lines.append(f'and on () tocsin_check_state{{check={quote(objective.check)},state="down"}} == 1')
    if objective.errors and objective.min_errors:
        joined = "and" if objective.same_labels else "and on ()"
        lines.append(f"{joined} {_over(objective.errors, burn.long_ms)} >= {objective.min_errors}")
    return "\n".join(lines)


def _rate(objective: Objective, window_ms: int) -> str:
    budget = f"{objective.budget:.12g}"
    if objective.check:
        return f"{_down(objective.check, window_ms)} / {budget}"
    return f"(1 - {_over(objective.good, window_ms)}) / {budget}"


def _over(expr: str, window_ms: int) -> str:
    """In brackets; on lines of its own where it has several, or ends with a comment."""
    text = expr.strip().replace(WINDOW, format_duration(window_ms)).replace(SECONDS, str(window_ms // 1000))
    return f"(\n{_indented(text)}\n)" if "\n" in text or "#" in text else f"({text})"


def _down(check: str, window_ms: int) -> str:
    """Share of the window in which the check was down. By the clock, not by runs: a check that fails is run more often.

    Of the whole window, known or not: the first minute down of a new check has not burned the budget of three days.
    """
    step_ms = _STEP_MS if window_ms <= 6 * _HOUR_MS else _COARSE_MS
    looks = f"[{format_duration(window_ms)}:{format_duration(step_ms)}]"
    return f'sum(sum_over_time(tocsin_check_state{{check={quote(check)},state="down"}}{looks})) / {window_ms // step_ms}'


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))


# -- words -----------------------------------------------------------------------------------------------------------------


def _labels(objective: Objective, burn: Burn) -> dict[str, str]:
    own = {"service": objective.service, "check": objective.check}
    return {
        **objective.labels,
        **{name: literal(value) for name, value in own.items() if value},
        "slo": literal(objective.name),
        "severity": objective.severity(burn),
        "window": burn.window,
    }


_WORDS = {"5m": "5 minutes", "30m": "30 minutes", "1h": "hour", "6h": "6 hours", "3d": "3 days"}


def _annotations(objective: Objective, burn: Burn) -> dict[str, str]:
    """What a person reads at 3 a.m.; the value is the burn rate."""
    share = f'{{{{ printf "vector(%f * {objective.budget:.12g})" $value | query | first | value | humanizePercentage }}}}'
    lasts = f'{{{{ printf "round(vector({_BUDGET_S} / %f), 60)" $value | query | first | value | humanizeDuration }}}}'
    what = "of the time" if objective.check else "of what the objective counts"
    long, short = _WORDS[burn.window], _WORDS[burn.short]
    who, name = literal(objective.service or objective.name), literal(objective.name)
    page = f"/services/{percent_encoded(objective.service, safe='')}/slo" if objective.service else "/services"
    promised = f"{100 * objective.target:.10g} %"
    goes_on = "and it is down now" if objective.check and burn.pages else f"and it went on in the last {short}"
    of = f"{name}, {promised}" if objective.service else promised
    return {
        "summary": f'{who} burns its error budget {{{{ printf "%.1f" $value }}}} times too fast ({of})',
        "impact": (
            f"{share} {what} failed in the last {long}, {goes_on}. At this pace the budget of 30 days is gone in {lasts}."
        ),
        "first_steps": (
            f"1. See when it began and how fast it burns: {{{{ $externalURL }}}}{page}\n"
            "2. Look for a deploy or a change at the begin; roll it back first, ask later.\n"
            "3. Find the route, instance or dependency that fails; other alerts of the service name it."
        ),
        "runbook_url": "{{ $externalURL }}/runbooks#error-budget",
        **objective.annotations,
    }
