"""Bugs planted on purpose. Each must be found by the simulation within a few seeds, or the simulation is blind.

`python -m tests.simulation.planted [name ...]` lives each bug until a seed finds it.
"""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from tests.simulation.run import live

from tocsin.incidents import intake, ledger, undelivered
from tocsin.model.alert import AlertReason
from tocsin.model.incident import IncidentState
from tocsin.model.notification import NotificationKind, NotificationState
from tocsin.notify import claim, deliver, redecide
from tocsin.rules import group, keep
from tocsin.rules.alerting import Reading
from tocsin.state import outbox

MOST_SEEDS = 40


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


@contextmanager
def _all(*bugs: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for bug in bugs:
            stack.enter_context(bug)
        yield


def lost_outbox_row() -> Any:
    """Every third notification never reaches the outbox."""
    count = itertools.count()
    return _instead(outbox, "enqueue", lambda real, tx, rows: real(tx, [row for row in rows if next(count) % 3]))


def sent_before_the_commit() -> Any:
    """The outbox row is written in a later transaction than the decision that wants it."""
    late: list[Any] = []

    def enqueue(real: Any, tx: Any, rows: Any) -> int:
        late.extend(rows)
        return len(rows)

    def due(real: Any, tx: Any, now_ms: int, **k: Any) -> Any:
        rows, late[:] = list(late), []
        add(tx, rows)
        return real(tx, now_ms, **k)

    def forget(real: Any, *args: Any, **k: Any) -> Any:
        late.clear()  # what lives in memory dies with the process
        return real(*args, **k)

    add = outbox.enqueue
    return _all(_instead(outbox, "enqueue", enqueue), _instead(claim, "due", due), _instead(claim, "recover", forget))


def missed_lease() -> Any:
    """Messages under way when the process died are forgotten."""
    return _instead(claim, "recover", lambda real, *a, **k: 0)


def repeats_unmarked() -> Any:
    """What may have arrived before is sent again as if it were new."""
    return _instead(claim, "claim", lambda real, *a, **k: replace(real(*a, **k), possible_repeat=False))


def no_second_thought() -> Any:
    """Nothing is decided again before sending, and an acknowledgement cancels nothing."""
    return _all(
        _instead(claim, "judge", lambda real, *a, **k: redecide.SEND), _instead(outbox, "cancel", lambda real, *a, **k: 0)
    )


def pages_survive_acknowledgement() -> Any:
    """An acknowledgement does not cancel what waits, and nobody looks again."""

    def now(real: Any, *args: Any, **kwargs: Any) -> Any:
        known = real(*args, **kwargs)
        return replace(known, state=IncidentState.TRIGGERED) if known.state is IncidentState.ACKNOWLEDGED else known

    return _all(_instead(claim, "_now", now), _instead(outbox, "cancel", lambda real, *a, **k: 0))


def retried_as_if_new() -> Any:
    """A message that was accepted is sent again now and then."""

    def finish(real: Any, tx: Any, claimed: Any, delivery: Any, following: Any, now_ms: int, **k: Any) -> bool:
        landed = following.state in (NotificationState.ACCEPTED, NotificationState.DELIVERED)
        if landed and int(claimed.note.id[-1], 16) < 4:
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
        if following.state is NotificationState.PENDING:
            return replace(following, state=NotificationState.CANCELLED)
        return following

    return _instead(deliver, "after", after)


def retry_after_is_ignored() -> Any:
    """A provider that asks to wait is asked again at once."""
    return _instead(deliver, "after", lambda real, delivery, **k: real(replace(delivery, retry_after_ms=0), **k))


def end_told_to_nobody() -> Any:
    """The end of every other incident is recorded, and that is all."""

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

    def begin(real: Any, pen: Any, page: Any, key: str, known: Any, part: Any) -> None:
        if known is None:
            real(pen, page, key, known, part)

    return _instead(intake, "_begin_or_reopen", begin)


def blind_means_good() -> Any:
    """An alert whose target cannot be seen is resolved."""

    def read(real: Any, *args: Any, **k: Any) -> Any:
        return Reading(real(*args, **k).true)

    return _instead(group.GroupRun, "_read", read)


def failed_query_means_good() -> Any:
    """A rule that cannot be evaluated ends its alerts."""

    def verdict(real: Any, self: Any, labels: Any) -> Any:
        return real(replace(self, nothing_known=None) if self.nothing_known is AlertReason.KEPT_UNKNOWN else self, labels)

    return _instead(Reading, "verdict", verdict)


def state_without_intake() -> Any:
    """The rule's state is kept and the alert is not handed on, now and then."""
    count = itertools.count()

    def put(real: Any, tx: Any, alerts: Any, **k: Any) -> None:
        real(tx, [alert for alert in alerts if next(count) % 4], **k)

    return _instead(keep.intake, "put", put)


BUGS = {
    bug.__name__: bug
    for bug in (
        lost_outbox_row, sent_before_the_commit, missed_lease, repeats_unmarked, no_second_thought, pages_survive_acknowledgement,
        retried_as_if_new, failure_is_silent, gives_up_at_once, retry_after_is_ignored, end_told_to_nobody, out_of_order,
        reopened_incident_is_forgotten, blind_means_good, failed_query_means_good, state_without_intake,
    )
}  # fmt: skip


def found_by(bug: Callable[[], Any], *, most_seeds: int = MOST_SEEDS) -> tuple[int, str]:
    """The first seed that finds the bug and what it said; seed -1 = none did."""
    for seed in range(most_seeds):
        with bug():
            try:
                _, problems = live(seed)
            except Exception as error:  # a bug may end a stage: found all the same
                if isinstance(error, TypeError) and "positional argument" in str(error):
                    raise  # it no longer fits the code that it is planted in
                problems = [f"{type(error).__name__}: {error}"]
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
