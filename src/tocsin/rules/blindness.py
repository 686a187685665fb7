"""Which alerts cannot be judged because the target behind their series is blind.

A target is blind while its scrape fails (`up` is 0), while `up` has stopped coming (the scraper, or this whole process, stood
still), and for windowed selectors until two good scrapes have come in again. A check is blind while its state is unknown. A
target that was taken out of the configuration (`up` ended with a staleness marker) is gone, not blind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin.model.alert import AlertReason, AlertState
from tocsin.model.labels import METRIC_NAME, Labels, Matcher, MatchOp
from tocsin.model.ports import SampleReader
from tocsin.model.rule import AlertRule
from tocsin.model.series import Float64, Int64, is_absent, is_stale
from tocsin.rules.selects import Select, Selects

_RECENT_MS = 900_000
MEMORY_MS = 6 * 3_600_000
"""How long a target whose `up` stopped is remembered as blind (longer than any step of a clock that we promise to bear)."""
_LOOKBACK_MS = 300_000
_LONGEST_LOOK_MS = 86_400_000
_ABOUT_SCRAPING = frozenset(
    {
        "up",
        "scrape_duration_seconds",
        "scrape_samples_scraped",
        "scrape_samples_post_metric_relabeling",
        "scrape_series_added",
        "scrape_body_size_bytes",
    }
)
_DEEPEST = 4
_SETTLE_MS = 300_000
"""After a restart or a pause, series without a target have this long to come in again."""
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Target:
    """How well one target is seen at one instant."""

    failing: bool
    """The scraper looks and fails."""
    silent: bool
    """Nobody looks."""
    recovering: bool
    """Fewer than two good looks since it was last blind."""
    looks_ms: tuple[int, ...] = ()
    """When the scraper looked last, twice."""

    def hides(self, select: Select) -> bool:
        if select.metric in _ABOUT_SCRAPING:
            return self.silent  # these series are about failing scrapes, they do not fail with them
        return self.failing or self.silent or (self.recovering and select.range_ms > 0)


class Sight:
    """Knows from the store which targets can be seen. Used on the rules thread."""

    def __init__(self, reader: SampleReader) -> None:
        self._reader = reader
        self._cached: tuple[int, dict[_Key, _Target]] = (-1, {})
        self.recorded: Mapping[str, Selects] = {}
        """Recording rule -> what it selects; looked through."""
        self.resumed_ms = 0
        """When this process last began to look again, after a restart or a pause."""

    def unsighted(
        self, rule: AlertRule, selects: Selects, states: Sequence[AlertState], t_ms: int
    ) -> Mapping[Labels, AlertReason]:
        """Those of `states` that a blind target may be hiding at t_ms."""
        targets = self._targets(t_ms)
        settling = 0 <= t_ms - self.resumed_ms < _SETTLE_MS
        if not settling and not any(_troubled(target) for target in targets.values()):
            return {}
        return {
            state.labels: AlertReason.TARGET_BLIND
            for state in states
            if any(self._hidden(select, rule, state, targets, t_ms, 0) for select in selects.items)
        }

    def _hidden(
        self, select: Select, rule: AlertRule, state: AlertState, targets: Mapping[_Key, _Target], t_ms: int, depth: int
    ) -> bool:
        if select.metric in self.recorded and depth < _DEEPEST:
            inner = self.recorded[select.metric].items
            return any(self._hidden(item, rule, state, targets, t_ms, depth + 1) for item in inner)
        since_ms = max(state.active_at_ms or t_ms, t_ms - _LONGEST_LOOK_MS) - _LOOKBACK_MS - select.range_ms
        for series in self._reader.series([select.matchers], since_ms, t_ms):
            if not _agree(series, state.labels, rule.labels):
                continue
            target = targets.get(_target_of(series))
            if target is None and self._not_yet_back(series, select, t_ms):
                return True
            if target is not None and (target.hides(select) or self._not_looked_at(target, select, t_ms)):
                return True
        return False

    def _not_looked_at(self, target: _Target, select: Select, t_ms: int) -> bool:
        """Just after a restart or a pause: the newest sample may be older than what was decided, because a crash takes the newest
        ones with it (a moment of them; all since the disk was full). Only what was seen since then ends an alert."""
        if not target.looks_ms or not 0 <= t_ms - self.resumed_ms < _SETTLE_MS:
            return False
        return sum(look_ms >= self.resumed_ms for look_ms in target.looks_ms) < (2 if select.range_ms else 1)

    def _not_yet_back(self, series: Labels, select: Select, t_ms: int) -> bool:
        """A series that no scrape stands behind (the host's own, pushed ones), just after nobody looked: has it come in again?"""
        if not 0 <= t_ms - self.resumed_ms < _SETTLE_MS:
            return False
        exact = [Matcher(name, MatchOp.EQUAL, value) for name, value in series.pairs]
        groups = self._reader.select(exact, self.resumed_ms, t_ms).groups
        fresh = sum(int((~is_absent(group.values)).sum()) for group in groups)
        return fresh < (2 if select.range_ms else 1)

    def _targets(self, t_ms: int) -> dict[_Key, _Target]:
        if self._cached[0] != t_ms:
            self._cached = (t_ms, {**self._known(_SCRAPED, t_ms, _scraped), **self._known(_CHECKED, t_ms, _checked)})
        return self._cached[1]

    def _known(
        self, matchers: tuple[Matcher, ...], t_ms: int, judge: Callable[[Int64, Float64, int], _Target | None]
    ) -> dict[_Key, _Target]:
        """Every target these series speak of: the recent ones in one read, those that fell silent one by one."""
        found: dict[_Key, _Target] = {}
        recent = self._reader.select(matchers, t_ms - _RECENT_MS, t_ms)
        seen: set[Labels] = set()
        for group in recent.groups:
            for row, labels in enumerate(group.labels):
                seen.add(labels)
                _keep(found, labels, judge(group.t_ms, group.values[row], t_ms))
        for labels in self._reader.series([matchers], t_ms - MEMORY_MS, t_ms):
            if labels not in seen:
                exact = [Matcher(name, MatchOp.EQUAL, value) for name, value in labels.pairs]
                for group in self._reader.select(exact, t_ms - MEMORY_MS, t_ms).groups:
                    for row, found_labels in enumerate(group.labels):
                        if found_labels == labels:
                            _keep(found, labels, judge(group.t_ms, group.values[row], t_ms))
        return found


_SCRAPED = (Matcher(METRIC_NAME, MatchOp.EQUAL, "up"),)
_CHECKED = (Matcher(METRIC_NAME, MatchOp.EQUAL, "tocsin_check_state"), Matcher("state", MatchOp.EQUAL, "unknown"))
SPEAKING = (_SCRAPED, _CHECKED)
"""Selectors of the series that speak of targets."""


def _keep(found: dict[_Key, _Target], labels: Labels, target: _Target | None) -> None:
    if target is not None:
        found[_target_of(labels)] = target


def _checked(t_ms: Int64, values: Float64, now_ms: int) -> _Target | None:
    """What a check's `unknown` series says; None for one that ended."""
    present = ~is_absent(values)
    times, unknown = t_ms[present], values[present]
    if not times.size or is_stale(unknown[-1:])[0]:
        return None
    return _Target(bool(unknown[-1] == 1), bool(now_ms - times[-1] > _LOOKBACK_MS), False)


def _scraped(t_ms: Int64, values: Float64, now_ms: int) -> _Target | None:
    """What the `up` series of one target says; None for one that ended."""
    present = ~is_absent(values)
    times, ups = t_ms[present], values[present]
    if not times.size or is_stale(ups[-1:])[0]:
        return None
    spacing_ms = float(np.median(np.diff(times))) if times.size > 1 else _LOOKBACK_MS / 3
    patience_ms = 3 * spacing_ms + 5_000
    good = 0
    for i in range(times.size - 1, -1, -1):  # from the newest back to the last interruption; two are enough
        if ups[i] != 1 or good == 2 or (i + 1 < times.size and times[i + 1] - times[i] > patience_ms):
            break
        good += 1
    always_good = times.size <= 2 and bool((ups == 1).all())
    looks_ms = tuple(times[-2:].tolist())
    return _Target(bool(ups[-1] != 1), bool(now_ms - times[-1] > patience_ms), good < 2 and not always_good, looks_ms)


def _troubled(target: _Target) -> bool:
    return target.failing or target.silent or target.recovering


def _target_of(labels: Labels) -> tuple[str, str]:
    """What identifies the target of a series: its check, else job and instance."""
    check = labels.get("check")
    return ("check", check) if check else (labels.get("job"), labels.get("instance"))


def _agree(series: Labels, alert: Labels, rule_labels: Mapping[str, str]) -> bool:
    """Whether a series can stand behind an alert: no label of theirs contradicts, the rule's own labels aside."""
    return all(alert.get(name) in ("", value) for name, value in series.pairs if name not in rule_labels and name != METRIC_NAME)
