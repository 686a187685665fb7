"""What a silence would do, before it is made: what it covers now, and whether it is too broad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from tocsin.alerts import rows
from tocsin.alerts.rows import KnownAlert
from tocsin.alerts.silence import silenceable, too_broad
from tocsin.formats.matchers import format_matchers
from tocsin.model.labels import Matcher, all_match


@dataclass(frozen=True, slots=True)
class Preview:
    """`now` are the firing alerts it would cover, of `firing` in all.

    `spared` of those that it matches are told all the same, since they cannot be silenced.
    """

    now: tuple[KnownAlert, ...]
    firing: int
    covers_everything: bool
    warning: str
    spared: int = 0


def preview_silence(connection: Connection, matchers: Sequence[Matcher], now_ms: int) -> Preview:
    """Reads every firing alert."""
    firing = rows.read_firing(connection, now_ms)
    matched = [known for known in firing.values() if all_match(matchers, known.alert.labels)]
    now = tuple(known for known in matched if silenceable(known.alert))
    broad = too_broad(matchers)
    text = warning(matchers, len(now), len(firing), broad=broad)
    return Preview(now, len(firing), broad, text, len(matched) - len(now))


def warning(matchers: Sequence[Matcher], covered: int, firing: int, *, broad: bool) -> str:
    """What a person should know before; empty = nothing."""
    text = format_matchers(matchers)
    if broad:
        return f"{text} covers every alert, those to come included: while it holds, nobody is told of anything"
    if firing > 1 and covered == firing:
        return f"{text} covers all {firing} alerts that fire now"
    return ""
