"""What a silence would do, before it is made: what it covers now, what it would have covered, and whether it is too broad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.alerts import rows
from tocsin.alerts.rows import KnownAlert
from tocsin.alerts.silence import silenceable, too_broad
from tocsin.formats.matchers import format_matchers
from tocsin.model.labels import Labels, Matcher, all_match
from tocsin.state.schema import episodes

WEEK_MS = 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class Preview:
    """`now` are the firing alerts it would cover, of `firing` in all; `past_week` counts firings that it would have covered.

    `spared` of those that it matches are told all the same, since they cannot be silenced.
    """

    now: tuple[KnownAlert, ...]
    firing: int
    past_week: int
    covers_everything: bool
    warning: str
    spared: int = 0


def preview_silence(connection: Connection, matchers: Sequence[Matcher], now_ms: int) -> Preview:
    """Reads every firing alert and every firing of the last seven days."""
    firing = rows.read_firing(connection, now_ms)
    matched = [known for known in firing.values() if all_match(matchers, known.alert.labels)]
    now = tuple(known for known in matched if silenceable(known.alert))
    since = sa.or_(episodes.c.ends_at_ms == 0, episodes.c.ends_at_ms >= now_ms - WEEK_MS)
    past = connection.execute(sa.select(episodes.c.labels).where(since)).scalars()
    past_week = sum(all_match(matchers, Labels(labels)) for labels in past)
    broad = too_broad(matchers)
    text = warning(matchers, len(now), len(firing), broad=broad)
    return Preview(now, len(firing), past_week, broad, text, len(matched) - len(now))


def warning(matchers: Sequence[Matcher], covered: int, firing: int, *, broad: bool) -> str:
    """What a person should know before; empty = nothing."""
    text = format_matchers(matchers)
    if broad:
        return f"{text} covers every alert, those to come included: while it holds, nobody is told of anything"
    if firing > 1 and covered == firing:
        return f"{text} covers all {firing} alerts that fire now"
    return ""
