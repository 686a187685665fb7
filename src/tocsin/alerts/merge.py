"""Two reports of one label set become one alert, by Alertmanager's rules. Pure.

Reports whose intervals overlap are one episode: the earliest start, the latest explicit end, the latest annotations. Reports that
do not overlap are two episodes: the later one replaces the earlier.
"""

from __future__ import annotations

from dataclasses import replace

from tocsin.model.alert import Alert

_FOREVER_MS = 2**62


def merge(old: Alert | None, new: Alert, now_ms: int) -> Alert:
    """What is known after `new` arrived. Alerts of our own rules end only by a report of a rule, never by time or by the API."""
    if old is None:
        return new
    if _is_rule(old) and not _is_rule(new) and old.firing(now_ms):
        return old
    if not _overlap(old, new):
        return new
    start = min(old.starts_at_ms, new.starts_at_ms)
    end = new.ends_at_ms
    old_ends, new_ends = _end(old), _end(new)
    if not new.firing(now_ms):
        # Both over: the later explicit end counts.
        if not old.firing(now_ms) and old_ends > new_ends:
            end = old.ends_at_ms
    elif old_ends > new_ends and not old.timeout and not _is_rule(new) and (old.ends_at_ms or new.timeout):
        # What somebody named outlives what was only assumed. But "no end" gives way to an end that is named: it may lie a
        # little ahead because the sender's clock does, and is told once only.
        end = old.ends_at_ms
    return replace(new, starts_at_ms=start, ends_at_ms=end)


def same_episode(old: Alert, merged: Alert, now_ms: int) -> bool:
    """Whether `merged` goes on with the episode of `old` rather than beginning another."""
    return old.firing(now_ms) or merged.starts_at_ms <= old.starts_at_ms or _overlap(old, merged)


def _is_rule(alert: Alert) -> bool:
    return alert.source.startswith(("rule:", "heartbeat:"))


def _end(alert: Alert) -> int:
    return alert.ends_at_ms or _FOREVER_MS


def _overlap(old: Alert, new: Alert) -> bool:
    """Alertmanager's test: either end of the new interval lies inside the old one, or the starts are equal."""
    new_ends, old_ends = _end(new), _end(old)
    return (
        old.starts_at_ms < new_ends < old_ends
        or old.starts_at_ms < new.starts_at_ms < old_ends
        or (old.starts_at_ms == new.starts_at_ms)
    )
