"""What a scenario came to: one row."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import Any

from bench.chaos.receivers import CHANNELS, Told
from bench.chaos.stage import Stage
from bench.chaos.tocsin_side import TocsinSide

_SLOW_BY_CONTRACT = "slack"
"""Takes one message a second, so the last of many comes late wherever it is sent from: left out of `late_s`."""


_GOES_ON_S = {"slack_hangs": 10.0, "disk_full": 10.0, "killed_on_a_full_disk": 10.0}
"""Scenarios whose fault must not hold up a page: `late_s` may be as long as this."""


@dataclass
class Row:
    """Every count should be 0. `marked` counts repeats that say of themselves that they may be one (an answer was lost)."""

    scenario: str
    program: str
    expected: int = 0
    lost: int = 0
    resolves_lost: int = 0
    false_resolves: int = 0
    duplicates: int = 0
    marked: int = 0
    lost_answers: int = 0
    disorder: int = 0
    silenced_paged: int = 0
    after_ack: int | None = None
    back_s: float | None = None
    late_s: float = 0.0
    error: str = ""
    ours: bool = True

    def broken(self) -> list[str]:
        """The names of the promises that this row breaks."""
        zero = ("lost", "resolves_lost", "false_resolves", "duplicates", "disorder", "silenced_paged", "after_ack")
        out = [name for name in zero if getattr(self, name)]
        if self.back_s is not None and self.back_s > 2.0:
            out.append("back_s")
        if self.back_s is None and self.marked > self.lost_answers:
            out.append("marked")  # nothing was killed, so no answer was lost but those
        if self.late_s > _GOES_ON_S.get(self.scenario, self.late_s):
            out.append("late_s")
        return [*out, "error"] if self.error else out

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


COLUMNS = tuple(field.name for field in fields(Row) if field.name not in ("expected", "error", "ours"))


def judge(stage: Stage, scenario: str) -> Row:
    services, row = stage.services, Row(scenario, stage.side.name, ours=isinstance(stage.side, TocsinSide))
    row.expected = len(services.since) * len(CHANNELS)
    row.lost_answers = stage.receivers.lost_answers
    row.back_s = round(stage.back_s, 2) if stage.back_s else None
    for channel in CHANNELS:
        _channel(row, channel, stage, stage.receivers.told(channel))
    if stage.acknowledged_s:
        row.after_ack = sum(at_s > stage.acknowledged_s for at_s in stage.receivers.webhook.person_paged())
    return row


def _channel(row: Row, channel: str, stage: Stage, heard: list[Told]) -> None:
    for name, since in stage.services.since.items():
        mine = [told for told in heard if told.service == name]
        firing, resolved = ([told for told in mine if told.kind == kind] for kind in ("firing", "resolved"))
        if stage.silenced:
            row.silenced_paged += len(firing)
            continue
        # A receiver that was away for the whole of it may hear of both at once, in the message about the end.
        row.lost += not firing and not resolved
        ended = stage.services.ended.get(name)
        early = [told for told in resolved if ended is None or told.at_s < ended]
        row.false_resolves += len(early)
        row.resolves_lost += ended is not None and len(resolved) == len(early)
        _repeats(row, firing)
        _repeats(row, [told for told in resolved if told not in early])
        after_end = [told for told in firing if ended is not None and resolved and told.at_s > resolved[-1].at_s]
        row.disorder += sum(not told.marked for told in after_end)
        if firing and channel != _SLOW_BY_CONTRACT:
            row.late_s = max(row.late_s, round(firing[0].at_s - since, 1))


def _repeats(row: Row, told: list[Told]) -> None:
    """Count what a receiver cannot fold: a second message with another delivery id, or without one."""
    seen: Counter[str] = Counter()
    for n, message in enumerate(told):
        folded = bool(message.identity) and seen[message.identity] > 0
        seen[message.identity] += 1
        if n and not folded:
            if message.marked:
                row.marked += 1
            else:
                row.duplicates += 1
