"""Bugs planted on purpose. Each must be found by the simulation within a few seeds, or the simulation is blind.

`python -m tests.simulation.planted [name ...]` lives each bug until a seed finds it.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.simulation.run import live

from tocsin.incidents import intake, ledger, undelivered
from tocsin.model.incident import IncidentState
from tocsin.model.notification import NotificationKind, NotificationState
from tocsin.notify import claim, deliver, redecide
from tocsin.state import outbox

MOST_SEEDS = 12
FIRST = (13,)
"""Lives that are tried first: the only one of the first fourteen in which sending without a second thought shows."""


@contextmanager
def _instead(place: Any, name: str, other: Callable[..., Any]) -> Iterator[None]:
    """Put `other(original, *args)` in place of a function."""
    original = getattr(place, name)

    def bug(*args: Any, **kwargs: Any) -> Any:
        return other(original, *args, **kwargs)

    setattr(place, name, bug)
    try:
        yield
    finally:
        setattr(place, name, original)


def lost_outbox_row() -> Any:
    """Every third notification never reaches the outbox."""
    count = iter(range(10**9))
    return _instead(outbox, "enqueue", lambda real, tx, rows: real(tx, [row for row in rows if next(count) % 3]))


def missed_lease() -> Any:
    """Messages under way when the process died are forgotten."""
    return _instead(claim, "recover", lambda real, *a, **k: 0)


def no_second_thought() -> Any:
    """Nothing is decided again before sending."""
    return _instead(claim, "judge", lambda real, *a, **k: redecide.SEND)


def pages_survive_acknowledgement() -> Any:
    """An acknowledgement does not cancel what waits, and nobody looks again."""

    def now(real: Any, *args: Any, **kwargs: Any) -> Any:
        known = real(*args, **kwargs)
        return replace(known, state=IncidentState.TRIGGERED) if known.state is IncidentState.ACKNOWLEDGED else known

    stack = [_instead(claim, "_now", now), _instead(outbox, "cancel", lambda real, *a, **k: 0)]

    @contextmanager
    def both() -> Iterator[None]:
        with stack[0], stack[1]:
            yield

    return both()


def retried_as_if_new() -> Any:
    """A refused message is sent again under its attempt's own state: accepted ones are sent twice."""

    def finish(real: Any, tx: Any, claimed: Any, delivery: Any, following: Any, now_ms: int, **k: Any) -> bool:
        if following.state is NotificationState.ACCEPTED and int(claimed.note.id[-1], 16) < 4:
            following = replace(following, state=NotificationState.PENDING, due_at_ms=now_ms + 1000)
        return bool(real(tx, claimed, delivery, following, now_ms, **k))

    return _instead(claim, "finish", finish)


def failure_is_silent() -> Any:
    """A page that fails for good tells nobody."""
    return _instead(undelivered, "fall_back", lambda real, *a, **k: None)


def gives_up_at_once() -> Any:
    """The first refusal is the last."""

    def after(real: Any, delivery: Any, **kwargs: Any) -> Any:
        following = real(delivery, **kwargs)
        return (
            replace(following, state=NotificationState.CANCELLED) if following.state is NotificationState.PENDING else following
        )

    return _instead(deliver, "after", after)


def end_told_to_nobody() -> Any:
    """The end is recorded, and that is all."""

    def tell(real: Any, self: Any, incident: Any, kind: Any, text: str, **k: Any) -> int:
        return 0 if kind is NotificationKind.RESOLVED and incident.number % 2 else int(real(self, incident, kind, text, **k))

    return _instead(ledger.Ledger, "tell", tell)


def out_of_order() -> Any:
    """Nothing waits for what was decided earlier for the same address."""

    def due(real: Any, tx: Any, now_ms: int, **k: Any) -> list[Any]:
        query = sa.select(claim.notifications).where(claim.c.state.in_(outbox.WAITING), claim.c.due_at_ms <= now_ms)
        return list(tx.execute(query.order_by(claim.c.id.desc())))

    return _instead(claim, "due", due)


def reopened_incident_is_forgotten() -> Any:
    """What fires again soon after its end is believed to be known."""

    def begin(real: Any, pen: Any, page: Any, key: str, known: Any) -> None:
        if known is None:
            real(pen, page, key, known)

    return _instead(intake, "_begin_or_reopen", begin)


BUGS = {
    bug.__name__: bug
    for bug in (
        lost_outbox_row, missed_lease, no_second_thought, pages_survive_acknowledgement, retried_as_if_new, failure_is_silent,
        gives_up_at_once, end_told_to_nobody, out_of_order, reopened_incident_is_forgotten,
    )
}  # fmt: skip


def found_by(bug: Callable[[], Any], *, most_seeds: int = MOST_SEEDS) -> tuple[int, str]:
    """The first seed that finds the bug and what it said; seed -1 = none did."""
    memory = Path("/dev/shm")
    for seed in (*FIRST, *range(most_seeds)):
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder, bug():
            try:
                _, problems = live(seed, Path(folder) / "state.db")
            except AssertionError as error:
                problems = [f"assertion: {error}"]
        if problems:
            return seed, problems[0]
    return -1, ""


def main(names: list[str]) -> int:
    logging.disable(logging.CRITICAL)
    missed = 0
    for name in names or list(BUGS):
        seed, problem = found_by(BUGS[name])
        missed += seed < 0
        print(f"{name}: " + (f"found by seed {seed}: {problem}" if seed >= 0 else f"NOT FOUND in {MOST_SEEDS} seeds"), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
