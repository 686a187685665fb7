"""What people do that leaves no row of its own: one line in the audit each, written once it is done.

Most commands record what they did in the transaction that does it. These act on the store, on a probe or on the outbox, or their
trace names what changed and not who wanted it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tocsin.bus.wire import Args, CommandHandler
from tocsin.clock import Clock
from tocsin.model.event import Actor, deed
from tocsin.state import events
from tocsin.state.sql import Database

Told = Callable[[Args, Any], tuple[str, str, str]]
"""(arguments, answer) -> verb, subject, what somebody did in words."""


def _check(verb: str, words: str) -> Told:
    return lambda args, _answer: (verb, f"check:{args['id']}", words.format(args["id"]))


def _deleted(args: Args, _answer: Any) -> tuple[str, str, str]:
    shown = ["{" + ",".join(f"{name}{op}{value!r}" for name, op, value in one) + "}" for one in args["sets"]]
    return "samples_deleted", "store", f"deleted samples of {' or '.join(shown)}"[:500]


def _tested(args: Args, _answer: Any) -> tuple[str, str, str]:
    name = str(args.get("name") or args.get("user") or args.get("receiver") or "")
    return "test_sent", f"user:{name}", f"sent a test message to {name}"


AUDITED: Mapping[str, Told] = {
    "check.run": _check("check_run", "ran {} now"),
    "check.begin": _check("check_run", "ran {} now"),
    "check.pause": _check("check_paused", "paused {}"),
    "check.resume": _check("check_resumed", "resumed {}"),
    "check.set": lambda args, _: ("check_set", f"check:{args['id']}", f"said that {args['id']} is {args['state']}"),
    "notification.test": _tested,
    "notification.retry": lambda args, _: ("message_retried", f"notification:{args['id']}", f"sent {args['id']} again"),
    "drill.start": lambda _args, _: ("drill_started", "drill", "tried every way out"),
    "link.create": lambda args, answer: ("link_made", f"link:{answer['id']}", f"made a short link to {args['url']}"[:500]),
    "store.delete": _deleted,
    "store.clean": lambda _args, _: ("store_cleaned", "store", "had blocks with deleted samples written anew"),
    "store.snapshot": lambda _args, answer: ("snapshot_made", "store", f"made the snapshot {answer['name']}"),
}


def audited(table: Mapping[str, CommandHandler], db: Database, clock: Clock) -> dict[str, CommandHandler]:
    """The table, with a line in the audit behind each command of AUDITED."""
    return {name: _telling(run, AUDITED[name], db, clock) if name in AUDITED else run for name, run in table.items()}


def _telling(run: CommandHandler, told: Told, db: Database, clock: Clock) -> CommandHandler:
    async def do(args: Args, actor: Actor) -> Any:
        answer = await run(args, actor)
        verb, subject, words = told(args, answer)
        event = deed(clock.now_ms(), actor, verb, subject, f"{actor.name} {words}")
        await db.write(lambda tx: events.record(tx, event))
        return answer

    return do
