"""The command `incident.silence`: quiet for what an incident is about, from a button. Joins incidents and alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Connection

from tocsin.bus.wire import Args
from tocsin.errors import CommandError
from tocsin.formats.matchers import format_matchers
from tocsin.incidents import rows
from tocsin.model.duration import human_duration
from tocsin.model.event import Actor
from tocsin.model.labels import Matcher, MatchOp
from tocsin.model.route import Silence

if TYPE_CHECKING:
    from tocsin.app.core import Core

_LONGEST_MS = 7 * 86_400_000
_TELLS_NOTHING = ("severity",)
"""Labels that alone would silence half the house."""


async def silence_incident(core: Core, args: Args, actor: Actor) -> Any:
    """{number, duration_ms} -> {id, ends_at_ms}: silences what all firing alerts of the incident have in common.

    Raises CommandError 404, 409 (nothing fires any more, or nothing in common) or 422.
    """
    number, duration_ms = args.get("number"), args.get("duration_ms")
    if not isinstance(number, int) or not isinstance(duration_ms, int) or not 0 < duration_ms <= _LONGEST_MS:
        raise CommandError(422, "bad_silence", "expected `number` and `duration_ms`, at most seven days")
    matchers = await core.db.read(lambda tx: _matchers(tx, number))
    now_ms = core.clock.now_ms()
    wanted = Silence(
        id="",
        matchers=matchers,
        starts_at_ms=now_ms,
        ends_at_ms=now_ms + duration_ms,
        created_by=actor.name,
        comment=f"incident #{number}",
    )
    silence_id = await core.dispatcher.set_silence(wanted, actor)
    text = f"{actor.name} silenced {format_matchers(matchers)} for {human_duration(duration_ms)}"
    await core.escalator.command("note", {"number": number, "text": text}, actor)
    return {"id": silence_id, "ends_at_ms": wanted.ends_at_ms}


def _matchers(tx: Connection, number: int) -> tuple[Matcher, ...]:
    """Equal to every label that the firing alerts share."""
    rows.load(tx, number)
    firing = [row.labels for row in rows.alert_rows(tx, rows.family(tx, number)) if not row.ends_at_ms]
    if not firing:
        raise CommandError(409, "wrong_state", f"nothing of incident #{number} fires any more: there is nothing to silence")
    shared = {name: value for name, value in firing[0].items() if all(labels.get(name) == value for labels in firing)}
    if not set(shared) - set(_TELLS_NOTHING):
        raise CommandError(
            409, "nothing_shared", f"the alerts of incident #{number} have nothing in common; silence them in Tocsin"
        )
    return tuple(Matcher(name, MatchOp.EQUAL, value) for name, value in sorted(shared.items()))
