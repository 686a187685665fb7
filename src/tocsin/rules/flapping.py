"""Whether an alert flaps: the weighted share of changes among its last 21 results. Pure.

The newest change counts 1.25, the oldest 0.75; at 30 % it begins, and it is over once the share is at most 20 % and the result
has not changed for `quiet_ms`. Source: Nagios, "Detection and Handling of State Flapping"; the thresholds are its usual ones.

A flapping alert that fires goes on firing: its ends are not told, its incident stays open, its state names the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tocsin.model.labels import Labels

RESULTS = 21
START_PERCENT = 30.0
STOP_PERCENT = 20.0
_QUIET_MS = 900_000
_MASK = (1 << RESULTS) - 1


@dataclass(frozen=True, slots=True)
class Flap:
    """The last results of one label set."""

    results: int = 1
    """As bits behind a leading 1, the newest lowest: 1 = TRUE."""
    evaluated_ms: int = 0
    changed_ms: int = 0
    since_ms: int = 0
    """Flapping since; 0 = steady."""

    @property
    def count(self) -> int:
        return self.results.bit_length() - 1

    @property
    def percent(self) -> float:
        """Share of changes, the newer ones weighing more; 0 while there are too few results to tell."""
        count = self.count
        if count < RESULTS:
            return 0.0
        changes = self.results ^ (self.results >> 1)
        weights = sum(_WEIGHTS[i] for i in range(RESULTS - 1) if changes >> i & 1)
        return weights / (RESULTS - 1) * 100

    @property
    def changes(self) -> int:
        """Changes among the results that are remembered."""
        bits = self.count - 1
        return ((self.results ^ (self.results >> 1)) & ((1 << max(bits, 0)) - 1)).bit_count()

    @property
    def steady(self) -> bool:
        """Nothing to remember: not flapping, and every result that is remembered was FALSE."""
        return not self.since_ms and self.results == 1 << self.count


_WEIGHTS = tuple(1.25 - 0.5 * i / (RESULTS - 2) for i in range(RESULTS - 1))
"""By age: the newest change first."""


def quiet_ms(interval_ms: int) -> int:
    """How long a result must stay the same: a quarter of an hour, or three periods of the slowest flapping that is seen."""
    slowest_ms = 2 * (RESULTS - 1) * interval_ms / 6  # six changes among 21 results are the fewest that count as flapping
    return max(_QUIET_MS, round(3 * slowest_ms))


def observe(flap: Flap, true: bool, now_ms: int, interval_ms: int) -> Flap:
    """`flap` after one more evaluation. Those that were left out (nothing could have moved) count as the one before them."""
    skipped = min(round((now_ms - flap.evaluated_ms) / interval_ms) - 1, RESULTS) if flap.evaluated_ms else 0
    results = flap.results
    for _ in range(max(skipped, 0)):
        results = _pushed(results, results & 1)
    changed = flap.count > 0 and bool(results & 1) != true
    after = Flap(_pushed(results, int(true)), now_ms, now_ms if changed else flap.changed_ms, flap.since_ms)
    if not after.since_ms:
        return replace(after, since_ms=now_ms) if changed and after.percent >= START_PERCENT else after
    if after.percent <= STOP_PERCENT and now_ms - after.changed_ms >= quiet_ms(interval_ms):
        return replace(after, since_ms=0)
    return after


def observe_all(
    flaps: Mapping[Labels, Flap], true: Iterable[Labels], unknown: Iterable[Labels], now_ms: int, interval_ms: int
) -> dict[Labels, Flap]:
    """All label sets of a rule after one evaluation; what cannot be judged keeps its results, what is at rest is forgotten."""
    now_true = set(true)
    skipped = set(unknown)
    found: dict[Labels, Flap] = {}
    for labels in {*flaps, *now_true}:
        flap = flaps.get(labels, _FRESH)
        if labels in skipped:
            after = replace(flap, evaluated_ms=now_ms)
        else:
            after = observe(flap, labels in now_true, now_ms, interval_ms)
        if not after.steady:
            found[labels] = after
    return found


_FRESH = Flap(results=1 << RESULTS)
"""A label set that was not there before: its results so far were FALSE."""


def told(flap: Flap) -> str:
    """Why it is called flapping, in one clause."""
    changed = f"its condition changed {flap.changes} times in its last {flap.count} evaluations"
    return f"flapping: {changed}; its end is told once it is quiet"


def _pushed(results: int, bit: int) -> int:
    full = results.bit_length() > RESULTS
    return (1 << RESULTS | (results << 1 & _MASK) | bit) if full else results << 1 | bit
