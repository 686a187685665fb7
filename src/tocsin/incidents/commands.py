"""What people and programs may do to an incident. Every command is idempotent or says why it is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from tocsin.errors import CommandError
from tocsin.incidents import publish, rows, split, subscribers
from tocsin.incidents.changes import Acknowledge, Escalate, Merge, Resolve, Snooze, Unacknowledge
from tocsin.incidents.ledger import Ledger
from tocsin.model.event import Actor
from tocsin.model.incident import Incident, IncidentState
from tocsin.model.notification import NotificationKind
from tocsin.state.marks import hold
from tocsin.state.schema import events, incidents

Args = Mapping[str, Any]
VERDICTS = ("", "real", "noise", "duplicate")
_LONGEST_TEXT = 20_000
_VIEWED_AGAIN_MS = 3_600_000


def run(ledger: Ledger, name: str, args: Args, actor: Actor) -> Incident:
    """Execute one command; returns the incident as it is afterwards. Raises CommandError.

    `args` hold `number`, for most an optional `version` (the one the person saw), the command's own, and for all `seen`: versions
    that it must have, whatever the command.
    """
    command = COMMANDS.get(name)
    if command is None:
        raise CommandError(404, "unknown_command", f"there is no command incident.{name}")
    incident = rows.load(ledger.tx, _number(args))
    hold(args.get("seen", ()), str(incident.version))
    # Two people press Acknowledge at once, while a step is being paged: nobody must lose that to a version.
    if name not in _ALWAYS and args.get("version") and int(args["version"]) != incident.version:
        raise CommandError(409, "version_conflict", f"incident #{incident.number} has changed since you looked; look again")
    return command(ledger, rows.leader(ledger.tx, incident) if name in _FOLLOWS_MERGE else incident, args, actor)


def _acknowledge(ledger: Ledger, incident: Incident, args: Args, actor: Actor) -> Incident:
    return ledger.change(incident, Acknowledge(actor))


def _unacknowledge(ledger: Ledger, incident: Incident, args: Args, actor: Actor) -> Incident:
    return ledger.change(incident, Unacknowledge(actor))


def _resolve(ledger: Ledger, incident: Incident, args: Args, actor: Actor) -> Incident:
    if incident.state.open:
        alerts = rows.alert_rows(ledger.tx, rows.family(ledger.tx, incident.number))
        aside = {row.fingerprint: row.starts_at_ms for row in alerts if not row.ends_at_ms}
        rows.keep(ledger.tx, incident.number, put_aside=aside or None)
    return ledger.change(incident, Resolve(actor, _text(args, "text", needed=False)))


def _escalate(ledger: Ledger, incident: Incident, args: Args, actor: Actor) -> Incident:
    return ledger.change(incident, Escalate(actor))


def _snooze(ledger: Ledger, incident: Incident, args: Args, actor: Actor) -> Incident:
    until_ms = args.get("until_ms")
    if not isinstance(until_ms, int):
        raise CommandError(422, "bad_time", "expected `until_ms`, an instant in milliseconds")
    return ledger.change(incident, Snooze(actor, until_ms))


def _note(ledger: Ledger, incident: Incident, args: Args, actor: Actor) -> Incident:
    ledger.record(incident, "noted", _text(args, "text"), actor=actor)
    ledger.touched.add(incident.number)
    return incident


def _view(ledger: Ledger, incident: Incident, args: Args, actor: Actor) -> Incident:
    """Somebody looks at it: written down for people (not for tokens), while it is open, once an hour each."""
    if actor.kind != "user" or not incident.state.open:
        return incident
    c = events.c
    lately = (c.subject == f"incident:{incident.number}", c.verb == "viewed", c.actor == str(actor))
    fresh = sa.select(c.id).where(*lately, c.t_ms > ledger.now_ms - _VIEWED_AGAIN_MS).limit(1)
    if ledger.tx.execute(fresh).first() is None:
        ledger.record(incident, "viewed", f"{actor.name} looked at it", actor=actor)
        ledger.touched.add(incident.number)
    return incident


def _assign(ledger: Ledger, incident: Incident, args: Args, actor: Actor) -> Incident:
    to = _text(args, "to")
    if to not in ledger.directory.persons:
        raise CommandError(422, "unknown_person", f"there is no person {to}")
    if rows.extra(ledger.tx, incident.number).get("assignee") == to:
        return incident
    rows.keep(ledger.tx, incident.number, assignee=to)
    ledger.record(incident, "assigned", f"{actor.name} assigned it to {to}", actor=actor, who=to)
    incident = _touch(ledger, incident)
    if incident.state is IncidentState.TRIGGERED and to != actor.name:
        ledger.page_person(incident, to, f"assigned to you by {actor.name}")
    return incident


def _verdict(ledger: Ledger, incident: Incident, args: Args, actor: Actor) -> Incident:
    verdict = args.get("verdict", "")
    if verdict not in VERDICTS:
        raise CommandError(422, "bad_verdict", f"expected one of real, noise, duplicate, not {verdict!r}")
    ledger.tx.execute(sa.update(incidents).where(incidents.c.number == incident.number).values(verdict=verdict))
    text = f"{actor.name} says: {verdict}" if verdict else f"{actor.name} took the verdict back"
    ledger.record(incident, "judged", text, actor=actor, verdict=verdict)
    return _touch(ledger, incident)


def _remediation(ledger: Ledger, incident: Incident, args: Args, actor: Actor) -> Incident:
    """What was done and whether it held. Fields given replace those of before."""
    known = ("summary", "cause", "action", "held", "follow_ups", "links")
    given = {name: args[name] for name in known if name in args}
    if not given:
        raise CommandError(422, "empty", f"expected one of {', '.join(known)}")
    before = ledger.tx.execute(sa.select(incidents.c.remediation).where(incidents.c.number == incident.number)).scalar() or {}
    merged = {**before, **given, "by": actor.name, "at_ms": ledger.now_ms}
    ledger.tx.execute(sa.update(incidents).where(incidents.c.number == incident.number).values(remediation=merged))
    summary = str(given.get("summary") or given.get("action") or _todo_news(before, given) or "remediation updated")
    ledger.record(incident, "remediated", summary[:500], actor=actor, fields=sorted(given))
    return _touch(ledger, incident)


def _todo_news(before: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """What became of the action items, in words; empty = they are as they were."""
    if "follow_ups" not in given:
        return ""
    was, now = ({todo["text"]: todo for todo in _todos(values)} for values in (before, given))
    news = []
    for text, todo in now.items():
        done, done_before = bool(todo.get("done")), bool(was.get(text, {}).get("done"))
        if text not in was:
            owner = todo.get("owner", "")
            news.append(f"action item{f' for {owner}' if owner else ''}: {text}")
        elif done != done_before:
            news.append(f"{'done' if done else 'open again'}: {text}")
        elif todo.get("owner", "") != was[text].get("owner", ""):
            news.append(f"{todo.get('owner') or 'nobody'} has the action item: {text}")
    news += [f"action item taken off: {text}" for text in was if text not in now]
    return "; ".join(news)


def _todos(remediation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Action items; older ones may be plain texts."""
    found = remediation.get("follow_ups") or ()
    return [todo if isinstance(todo, Mapping) else {"text": str(todo)} for todo in found]


def _merge(ledger: Ledger, incident: Incident, args: Args, actor: Actor) -> Incident:
    into = rows.leader(ledger.tx, rows.load(ledger.tx, _number(args, "into")))
    if into.number == incident.number:
        raise CommandError(422, "same_incident", "an incident cannot be merged into itself")
    if not into.state.open:
        raise CommandError(409, "wrong_state", f"incident #{into.number} is {into.state.value}")
    merged = ledger.change(incident, Merge(actor, into.number))
    rows.adopt(ledger.tx, incident.number, into=into.number)
    ledger.record(into, "absorbed", f"{actor.name} merged #{incident.number} into this: {incident.title}", actor=actor)
    ledger.tell(_touch(ledger, into), NotificationKind.UPDATE, f"#{incident.number} belongs to it: {incident.title}")
    return merged


def _split(ledger: Ledger, incident: Incident, args: Args, actor: Actor) -> Incident:
    """Answers the new incident."""
    chosen = args.get("alerts", [])
    if not isinstance(chosen, list) or not all(isinstance(one, str) for one in chosen):
        raise CommandError(422, "no_alerts", "expected `alerts`, a list of fingerprints")
    return split.split(ledger, incident, chosen, _text(args, "title", needed=False)[:200], actor)


def _publish(ledger: Ledger, incident: Incident, args: Args, actor: Actor) -> Incident:
    """An update for the public: `page`, `state`, `text`, and `title` for the first one of an incident."""
    update, new = publish.publish(
        ledger.tx,
        incident=incident.number,
        page=_text(args, "page"),
        state=_text(args, "state"),
        title=_text(args, "title", needed=False),
        text=_text(args, "text"),
        published_by=str(actor),
        now_ms=ledger.now_ms,
        components=args.get("components"),
    )
    if not new:
        return incident
    page = subscribers.Page(args["page"], str(args.get("page_title") or args["page"]))
    told = subscribers.announce(ledger.tx, update, page, random=ledger.random, now_ms=ledger.now_ms)
    text = f"{actor.name} published ({update.state}): {update.text}"
    ledger.record(
        incident, "published", text[:500], actor=actor, page=args["page"], state=update.state, update=update.id, mails=told
    )
    ledger.touched.add(incident.number)
    return incident


def _withdraw(ledger: Ledger, incident: Incident, args: Args, actor: Actor) -> Incident:
    update = _number(args, "update")
    publish.withdraw(ledger.tx, incident=incident.number, update=update, now_ms=ledger.now_ms)
    ledger.record(incident, "withdrawn", f"{actor.name} took public update {update} back", actor=actor, update=update)
    ledger.touched.add(incident.number)
    return incident


def _touch(ledger: Ledger, incident: Incident) -> Incident:
    """A new version for a change outside the state machine."""
    ledger.touched.add(incident.number)
    return rows.save(ledger.tx, incident)


def _number(args: Args, name: str = "number") -> int:
    value = args.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise CommandError(422, "bad_number", f"expected `{name}`, the number of an incident")
    return value


def _text(args: Args, name: str, *, needed: bool = True) -> str:
    value = args.get(name, "")
    if not isinstance(value, str) or (needed and not value.strip()) or len(value) > _LONGEST_TEXT:
        raise CommandError(422, "bad_text", f"expected `{name}`, a text of at most {_LONGEST_TEXT} characters")
    return value.strip()


COMMANDS: dict[str, Callable[[Ledger, Incident, Args, Actor], Incident]] = {
    "acknowledge": _acknowledge,
    "unacknowledge": _unacknowledge,
    "resolve": _resolve,
    "escalate": _escalate,
    "snooze": _snooze,
    "note": _note,
    "view": _view,
    "assign": _assign,
    "verdict": _verdict,
    "remediation": _remediation,
    "merge": _merge,
    "split": _split,
    "publish": _publish,
    "withdraw": _withdraw,
}
_ALWAYS = ("acknowledge", "note", "view", "verdict", "remediation", "publish", "withdraw")
_FOLLOWS_MERGE = ("acknowledge", "unacknowledge", "resolve", "escalate", "snooze", "split")
