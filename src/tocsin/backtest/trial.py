"""A whole trial: rules over history, the chain behind them, and both in numbers. What the command line and the API show."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tocsin.backtest.rehearsal import DEFAULT_ACK_AFTER_MS, Rehearsed, rehearse
from tocsin.backtest.replay import Firing, Replay
from tocsin.backtest.summary import PageSummary, RuleSummary, only_in, pages_of, summarise
from tocsin.errors import UsageError
from tocsin.incidents.people import Directory
from tocsin.model.route import Routing

_COMPARES: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
}
_CONDITION = re.compile(r"\s*([a-z_]+)\s*(>=|<=|==|>|<)\s*([0-9.]+)\s*")


@dataclass(frozen=True, slots=True)
class Trial:
    """The result, to be shown."""

    replay: Replay
    rules: list[RuleSummary]
    rehearsed: Rehearsed
    pages: PageSummary

    @property
    def figures(self) -> dict[str, float]:
        """What a condition may name."""
        return {
            "firings": len(self.replay.firings),
            "firings_per_week": sum(rule.per_week for rule in self.rules),
            "pages": self.pages.pages,
            "pages_per_week": self.pages.pages_per_week,
            "pages_at_night": self.pages.at_night,
            "incidents": self.pages.incidents,
            "untold": self.pages.untold,
            "flaps": sum(rule.again for rule in self.rules),
        }


def try_out(
    replay: Replay, routing: Routing, directory: Directory, *, zone: str = "UTC", ack_after_ms: int = DEFAULT_ACK_AFTER_MS
) -> Trial:
    rehearsed = rehearse(
        replay.firings, routing, directory, start_ms=replay.start_ms, end_ms=replay.end_ms, ack_after_ms=ack_after_ms
    )
    pages = pages_of(rehearsed, replay.start_ms, replay.end_ms, zone)
    return Trial(replay, summarise(replay, zone), rehearsed, pages)


def condition(text: str) -> Callable[[Trial], bool]:
    """`pages_per_week>2` as a test of a trial. Raises UsageError naming what may be compared."""
    match = _CONDITION.fullmatch(text)
    names = ", ".join(_FIGURES)
    if match is None or match[1] not in _FIGURES:
        raise UsageError(f"--fail-if {text!r}: expected NAME>NUMBER such as pages_per_week>2; names are {names}")
    compare, limit = _COMPARES[match[2]], float(match[3])
    return lambda trial: compare(trial.figures[match[1]], limit)


_FIGURES = ("firings", "firings_per_week", "pages", "pages_per_week", "pages_at_night", "incidents", "untold", "flaps")


def as_json(trial: Trial) -> dict[str, Any]:
    """JSON values of everything; times in ms."""
    return {
        "start_ms": trial.replay.start_ms,
        "end_ms": trial.replay.end_ms,
        "figures": trial.figures,
        "rules": [asdict(rule) for rule in trial.rules],
        "pages": asdict(trial.pages),
        "firings": [firing_json(firing) for firing in trial.replay.firings],
        "told": [{**asdict(message), "kind": message.kind.value} for message in trial.rehearsed.told],
        "errors": trial.replay.errors,
        "notes": trial.replay.notes,
        "evaluations": trial.replay.evaluations,
        "looks": trial.replay.looks,
    }


def firing_json(firing: Firing) -> dict[str, Any]:
    return {
        "rule": firing.name,
        "labels": dict(firing.labels),
        "active_ms": firing.active_ms,
        "fired_ms": firing.fired_ms,
        "resolved_ms": firing.resolved_ms,
        "value": firing.value,
        "reason": firing.reason.value,
    }


@dataclass(frozen=True, slots=True)
class Difference:
    """Two trials over the same history."""

    before: Trial
    after: Trial
    only_before: Sequence[Firing]
    only_after: Sequence[Firing]


def compare(before: Trial, after: Trial) -> Difference:
    return Difference(
        before,
        after,
        only_in(before.replay.firings, after.replay.firings),
        only_in(after.replay.firings, before.replay.firings),
    )
