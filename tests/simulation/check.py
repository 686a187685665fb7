"""The invariants, judged on a world that has lived to its end. Each failure is one sentence."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import sqlalchemy as sa
from tests.simulation.world import World

from tocsin.state.events import first_break
from tocsin.state.schema import attempts, events, incident_alerts, incidents, notifications

_FINAL = {"accepted", "delivered", "read", "failed", "cancelled", "bundled", "expired"}
_LANDED = {"accepted", "delivered", "read"}


def judge(world: World) -> list[str]:
    engine = sa.create_engine(f"sqlite:///{world.path}")
    with engine.connect() as connection:
        notes = [dict(row._mapping) for row in connection.execute(sa.select(notifications).order_by(notifications.c.id))]
        tries = [dict(row._mapping) for row in connection.execute(sa.select(attempts).order_by(attempts.c.id))]
        told = [dict(row._mapping) for row in connection.execute(sa.select(events).order_by(events.c.id))]
        cases = [dict(row._mapping) for row in connection.execute(sa.select(incidents))]
        members = [dict(row._mapping) for row in connection.execute(sa.select(incident_alerts))]
        broken = first_break(connection)
    engine.dispose()
    problems: list[str] = []
    problems += _no_loss(world, notes, members)
    problems += _dead_letters(notes, told)
    problems += _ends_told(world, notes, cases, told)
    problems += _duplicates(world, tries)
    problems += _order(world, notes)
    problems += _nothing_after_acknowledgement(notes, tries, told)
    if broken:
        problems.append(f"the timeline's hash chain breaks at event {broken}")
    return problems


def _no_loss(world: World, notes: list[dict[str, Any]], members: list[dict[str, Any]]) -> list[str]:
    """I1: what fires in the calm is known outside; nothing waits for ever."""
    problems = []
    dead = any(n["state"] in ("failed", "expired") and n["settings_ref"].startswith("receiver:") for n in notes)
    if not dead and (missing := world.truth_in_calm - world.seen_in_calm):
        problems.append(f"I1: {len(missing)} firing alerts are not known to the receiver after eight minutes of calm")
    in_incidents = {row["fingerprint"] for row in members}
    if missing := world.truth_in_calm - in_incidents:
        problems.append(f"I1: {len(missing)} firing alerts belong to no incident")
    waiting = [n for n in notes if n["state"] not in _FINAL]
    if waiting:
        problems.append(f"I1: {len(waiting)} notifications still wait at the end: {waiting[0]['state']} {waiting[0]['kind']}")
    return problems


def _dead_letters(notes: list[dict[str, Any]], told: list[dict[str, Any]]) -> list[str]:
    """I1: a page that failed or expired has cried for another way."""
    cried = {event["data"].get("notification") for event in told if event["verb"] == "undelivered"}
    silent = [n for n in notes if n["kind"] == "page" and n["state"] in ("failed", "expired") and n["id"] not in cried]
    return [f"I1: page {n['id']} {n['state']} and nobody heard of it" for n in silent[:3]]


def _ends_told(world: World, notes: list[dict[str, Any]], cases: list[dict[str, Any]], told: list[dict[str, Any]]) -> list[str]:
    """I2, I3: all has recovered: no incident is open, the receiver believes in no fire, everybody who was paged knows."""
    problems = [
        f"I3: incident #{c['number']} is {c['state']} at the end" for c in cases if c["state"] not in ("resolved", "merged")
    ]
    dead = any(n["state"] in ("failed", "expired") and n["settings_ref"].startswith("receiver:") for n in notes)
    if not dead and (left := world.receiver_view()):
        problems.append(f"I3: the receiver believes that {len(left)} alerts still fire")
    happened = Counter(event["subject"] for event in told if event["verb"] == "resolved")
    by_key: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for note in notes:
        by_key[note["order_key"]].append(note)
    for key, row in by_key.items():
        last_page = max((n["id"] for n in row if n["kind"] == "page" and n["state"] in _LANDED), default="")
        ends = [n for n in row if n["kind"] == "resolved" and n["id"] > last_page]
        if last_page and not any(n["state"] in _LANDED or n["state"] == "failed" for n in ends):
            problems.append(f"I3: {key} was paged and never told of the end ({[n['state'] for n in ends]})")
        landed = sum(n["kind"] == "resolved" and n["state"] in _LANDED for n in row)
        if landed > happened[f"incident:{row[0]['incident']}"]:
            problems.append(f"I3: {key} was told of an end {landed} times")
    return problems


def _duplicates(world: World, tries: list[dict[str, Any]]) -> list[str]:
    """I4: at most one more arrival for each attempt whose answer was lost."""
    lost = Counter(one["notification"] for one in tries if one["outcome"] == "unknown")
    arrived = Counter(id_ for _, id_ in arrivals(world))
    return [
        f"I4: {id_} arrived {count} times although {lost[id_]} answers were lost"
        for id_, count in arrived.items()
        if count > 1 + lost[id_]
    ]


def arrivals(world: World) -> list[tuple[float, str]]:
    """(virtual time, delivery id) of everything that reached a provider, in order."""
    hooks = [(t, id_) for t, id_, _ in world.providers.hooks]
    return sorted(hooks + [(t, id_.strip("<>").split("@")[0]) for t, id_, _, _ in world.providers.mails])


def _order(world: World, notes: list[dict[str, Any]]) -> list[str]:
    """I5: to each address in the order of decision, and no page of an incident after its end unless it fires again."""
    order = {n["id"]: n for n in notes}
    newest: dict[str, str] = {}
    problems = []
    for _, id_ in arrivals(world):
        note = order.get(id_)
        if note is None:
            continue
        before = newest.get(note["order_key"], "")
        if id_ < before:
            problems.append(f"I5: {note['kind']} {id_} arrived after the newer {order[before]['kind']} {before}")
        newest[note["order_key"]] = max(before, id_)
    return problems


def _nothing_after_acknowledgement(
    notes: list[dict[str, Any]], tries: list[dict[str, Any]], told: list[dict[str, Any]]
) -> list[str]:
    """No attempt to page begins while the incident is acknowledged."""
    spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
    since: dict[int, int] = {}
    ends = {"unacknowledged", "resolved", "acknowledgement_timed_out", "reopened_by_severity", "escalated_by_person", "snoozed"}
    for event in told:
        if not event["subject"].startswith("incident:"):
            continue
        number = int(event["subject"].removeprefix("incident:"))
        if event["verb"] == "acknowledged":
            since[number] = event["t_ms"]
        elif event["verb"] in ends and number in since:
            spans[number].append((since.pop(number), event["t_ms"]))
    for number, start in since.items():
        spans[number].append((start, 2**62))
    pages = {n["id"]: n for n in notes if n["kind"] == "page"}
    problems = []
    for one in tries:
        page = pages.get(one["notification"])
        if page and any(start < one["started_ms"] < end for start, end in spans[page["incident"]]):
            problems.append(f"a page of #{page['incident']} was sent while it was acknowledged")
    return problems
