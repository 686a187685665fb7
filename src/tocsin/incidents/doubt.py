"""One thing in the people side that is probably not meant, or that will leave a page unheard; and times as text."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.incidents.schedule import format_instant

Span = tuple[int, int]
"""[start_ms, end_ms)"""


@dataclass(frozen=True, slots=True)
class Doubt:
    """`kind` is user, team, schedule or policy, `name` which one. `grave`: `tocsin config check` fails."""

    kind: str
    name: str
    text: str
    grave: bool = False


def both(left: list[Span], right: list[Span]) -> list[Span]:
    """The time that lies in both lists; each is ascending and without overlaps."""
    return [(max(a, c), min(b, d)) for a, b in left for c, d in right if max(a, c) < min(b, d)]


def spans_text(spans: list[Span]) -> str:
    """`from X to Y and 3 more times in the next 30 days`."""
    start, end = spans[0]
    more = f" and {len(spans) - 1} more time{'s' if len(spans) > 2 else ''} in the next 30 days" if len(spans) > 1 else ""
    return f"from {format_instant(start - start % 1000)} to {format_instant(end - end % 1000)}{more}"
