"""Rows of the alert tables and the values they stand for. In bulk: ten thousand alerts are a handful of round trips."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.alerts.group import Group
from tocsin.model.alert import Alert, AlertPhase, SuppressedBy, Suppression
from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.route import Silence
from tocsin.state import bulk
from tocsin.state.prepared import Prepared
from tocsin.state.schema import alert_group_members, alert_groups, alert_states, alerts, meta, silences

_CHUNK = 5000
_KEYS: sa.BindParameter[Any] = sa.bindparam("keys", expanding=True)
_SEEN = "alerts.seen_ms"
_ALL_ALERTS = Prepared(sa.select(alerts).order_by(alerts.c.fingerprint))
_ALERTS = Prepared(sa.select(alerts).where(alerts.c.fingerprint.in_(_KEYS)))
_SUPPRESS = sa.update(alerts).where(alerts.c.fingerprint == sa.bindparam("fp")).values(suppressed_by=sa.bindparam("causes"))
_EXPLAIN = sa.update(alerts).where(alerts.c.fingerprint == sa.bindparam("fp")).values(explanation=sa.bindparam("sentence"))
_GROUPS = Prepared(sa.select(alert_groups).where(alert_groups.c.key.in_(_KEYS)))
_DUE_GROUPS = Prepared(
    sa.select(alert_groups).where(alert_groups.c.next_flush_ms <= sa.bindparam("now")).order_by(alert_groups.c.key)
)
_FLUSH_NOW = Prepared(
    sa.update(alert_groups)
    .where(alert_groups.c.key.in_(_KEYS), alert_groups.c.last_flush_ms > 0)
    .values(next_flush_ms=sa.bindparam("now"))
)
_m = alert_group_members.c
_MEMBERS = Prepared(sa.select(_m.group_key, _m.fingerprint).where(_m.group_key.in_(_KEYS)).order_by(_m.fingerprint))
_GROUPS_OF = Prepared(sa.select(_m.fingerprint, _m.group_key).where(_m.fingerprint.in_(_KEYS)).order_by(_m.group_key))
_LEAVE = sa.delete(alert_group_members).where(_m.group_key == sa.bindparam("key_"), _m.fingerprint == sa.bindparam("fp"))
_SILENCES = Prepared(sa.select(silences).where(silences.c.ends_at_ms > sa.bindparam("after")))
_LAST_SEEN = Prepared(sa.select(meta.c.value).where(meta.c.key == _SEEN))


@dataclass(frozen=True, slots=True)
class KnownAlert:
    """An alert with what the dispatcher keeps beside it."""

    fingerprint: str
    alert: Alert
    suppressed_by: tuple[SuppressedBy, ...] = ()
    explanation: str = ""
    trace_id: str = ""


# -- alerts ---------------------------------------------------------------------------------------------------------------


def read_alerts(connection: Connection, fingerprints: Iterable[str]) -> dict[str, KnownAlert]:
    found: dict[str, KnownAlert] = {}
    for chunk in _chunks(sorted(set(fingerprints))):
        for row in _ALERTS.all(connection, keys=chunk):
            found[row.fingerprint] = _known(row)
    return found


def read_firing(connection: Connection, now_ms: int) -> dict[str, KnownAlert]:
    """Every alert that fires now, by fingerprint in order."""
    query = sa.select(alerts).where(sa.or_(alerts.c.ends_at_ms == 0, alerts.c.ends_at_ms > now_ms)).order_by(alerts.c.fingerprint)
    return {row.fingerprint: _known(row) for row in connection.execute(query)}


def read_own_alerts(connection: Connection, since_ms: int) -> list[Alert]:
    """Alerts that came from here and not through the API, unless they ended before `since_ms`."""
    query = (
        sa.select(alerts)
        .where(sa.or_(alerts.c.ends_at_ms == 0, alerts.c.ends_at_ms >= since_ms), alerts.c.source.not_like("api:%"))
        .order_by(alerts.c.fingerprint)
    )
    return [_known(row).alert for row in connection.execute(query)]


def read_all_alerts(connection: Connection, *, but: Container[str] = ()) -> dict[str, KnownAlert]:
    """All alerts by fingerprint in order, without those in `but`."""
    return {row.fingerprint: _known(row) for row in _ALL_ALERTS.all(connection) if row.fingerprint not in but}


def write_alerts(tx: Connection, known: Sequence[KnownAlert]) -> None:
    bulk.upsert_rows(tx, alerts, "fingerprint", [_alert_row(k) for k in known])


def write_suppression(tx: Connection, changed: Mapping[str, tuple[SuppressedBy, ...]]) -> None:
    if changed:
        bulk.execute(
            tx,
            _SUPPRESS,
            [{"fp": fp, "causes": dump_causes(causes)} for fp, causes in changed.items()],
            json=frozenset({"causes"}),
        )


def write_explanations(tx: Connection, sentences: Mapping[str, str]) -> None:
    if sentences:
        bulk.execute(
            tx,
            _EXPLAIN,
            [{"fp": fp, "sentence": sentence} for fp, sentence in sentences.items()],
        )


def read_pending(connection: Connection) -> list[Labels]:
    """Labels of what our own rules see as true but hold back still."""
    query = sa.select(alert_states.c.labels).where(alert_states.c.phase == AlertPhase.PENDING.value)
    return [Labels(labels) for labels in connection.execute(query).scalars()]


def any_held_by(connection: Connection, kind: Suppression) -> bool:
    """Whether some alert is held by a cause of this kind."""
    text = sa.cast(alerts.c.suppressed_by, sa.Text)
    return (
        connection.execute(sa.select(alerts.c.fingerprint).where(text.contains(f'"{kind.value}"')).limit(1)).first() is not None
    )


def forget_alerts(tx: Connection, *, resolved_before_ms: int) -> None:
    """Drop alerts that ended long ago and that no group waits for; their episodes stay."""
    in_group = sa.select(alert_group_members.c.fingerprint)
    tx.execute(
        sa.delete(alerts).where(
            alerts.c.ends_at_ms > 0, alerts.c.ends_at_ms < resolved_before_ms, alerts.c.fingerprint.not_in(in_group)
        )
    )


def _known(row: Any) -> KnownAlert:
    alert = Alert(
        labels=Labels(row.labels),
        annotations=row.annotations,
        starts_at_ms=row.starts_at_ms,
        ends_at_ms=row.ends_at_ms,
        updated_at_ms=row.updated_at_ms,
        timeout=row.timeout,
        generator_url=row.generator_url,
        source=row.source,
        value=row.value,
    )
    return KnownAlert(row.fingerprint, alert, load_causes(row.suppressed_by), row.explanation, row.trace_id)


def _alert_row(known: KnownAlert) -> dict[str, Any]:
    alert = known.alert
    return {
        "fingerprint": known.fingerprint,
        "labels": dict(alert.labels.pairs),
        "annotations": dict(alert.annotations),
        "starts_at_ms": alert.starts_at_ms,
        "ends_at_ms": alert.ends_at_ms,
        "updated_at_ms": alert.updated_at_ms,
        "timeout": alert.timeout,
        "generator_url": alert.generator_url,
        "source": alert.source,
        "value": alert.value,
        "suppressed_by": dump_causes(known.suppressed_by),
        "explanation": known.explanation,
        "trace_id": known.trace_id,
    }


def dump_causes(causes: Iterable[SuppressedBy]) -> list[dict[str, str]]:
    return [{"kind": cause.kind.value, "by": cause.by} for cause in causes]


def load_causes(stored: Any) -> tuple[SuppressedBy, ...]:
    return tuple(SuppressedBy(Suppression(entry["kind"]), entry["by"]) for entry in stored or ())


# -- groups ---------------------------------------------------------------------------------------------------------------


def read_groups(connection: Connection, keys: Iterable[str] | None = None) -> dict[str, Group]:
    """Groups by key; all of them without `keys`."""
    if keys is None:
        return {row.key: _group(row) for row in connection.execute(sa.select(alert_groups).order_by(alert_groups.c.key))}
    found: dict[str, Group] = {}
    for chunk in _chunks(sorted(set(keys))):
        for row in _GROUPS.all(connection, keys=chunk):
            found[row.key] = _group(row)
    return found


def read_due_groups(connection: Connection, now_ms: int) -> dict[str, Group]:
    return {row.key: _group(row) for row in _DUE_GROUPS.all(connection, now=now_ms)}


def write_groups(tx: Connection, groups: Sequence[Group]) -> None:
    bulk.upsert_rows(tx, alert_groups, "key", [_group_row(group) for group in groups])


def flush_now(tx: Connection, keys: Iterable[str], now_ms: int) -> None:
    """Make groups due at once, as far as they have been told of before (a first `group_wait` runs on)."""
    for chunk in _chunks(sorted(set(keys))):
        _FLUSH_NOW.run(tx, keys=chunk, now=now_ms)


def delete_groups(tx: Connection, keys: Iterable[str]) -> None:
    for chunk in _chunks(sorted(set(keys))):
        tx.execute(sa.delete(alert_group_members).where(alert_group_members.c.group_key.in_(chunk)))
        tx.execute(sa.delete(alert_groups).where(alert_groups.c.key.in_(chunk)))


def _group(row: Any) -> Group:
    return Group(
        key=row.key,
        group_key=row.extra.get("group_key", ""),
        route_id=row.route_id,
        receiver=row.receiver,
        labels=Labels(row.labels),
        created_ms=row.created_ms,
        next_flush_ms=row.next_flush_ms,
        last_flush_ms=row.last_flush_ms,
        last_notified_ms=row.last_notified_ms,
        notified_firing=row.notified_firing,
        notified_resolved=row.notified_resolved,
        retired=bool(row.extra.get("retired")),
        muted=bool(row.extra.get("muted")),
        covered=bool(row.extra.get("covered")),
    )


def _group_row(group: Group) -> dict[str, Any]:
    return {
        "key": group.key,
        "route_id": group.route_id,
        "receiver": group.receiver,
        "labels": dict(group.labels.pairs),
        "created_ms": group.created_ms,
        "next_flush_ms": group.next_flush_ms,
        "last_flush_ms": group.last_flush_ms,
        "last_notified_ms": group.last_notified_ms,
        "notified_firing": dict(group.notified_firing),
        "notified_resolved": dict(group.notified_resolved),
        "extra": {"group_key": group.group_key, "retired": group.retired, "muted": group.muted, "covered": group.covered},
    }


# -- members --------------------------------------------------------------------------------------------------------------


def read_members(connection: Connection, keys: Iterable[str]) -> dict[str, list[str]]:
    """Fingerprints of each group's members, in order."""
    found: dict[str, list[str]] = {}
    for chunk in _chunks(sorted(set(keys))):
        for key, fingerprint in _MEMBERS.all(connection, keys=chunk):
            found.setdefault(key, []).append(fingerprint)
    return found


def read_groups_of(connection: Connection, fingerprints: Iterable[str]) -> dict[str, list[str]]:
    """Keys of the groups that each alert is in."""
    found: dict[str, list[str]] = {}
    for chunk in _chunks(sorted(set(fingerprints))):
        for fingerprint, key in _GROUPS_OF.all(connection, keys=chunk):
            found.setdefault(fingerprint, []).append(key)
    return found


@cache
def _join(dialect: str) -> Any:
    return bulk.insert_of(dialect)(alert_group_members).on_conflict_do_nothing()


def add_members(tx: Connection, members: Sequence[tuple[str, str]], now_ms: int) -> None:
    """`members` are (group key, fingerprint); those already there stay as they are."""
    if members:
        bulk.execute(
            tx,
            _join(tx.dialect.name),
            [{"group_key": key, "fingerprint": fp, "joined_ms": now_ms} for key, fp in members],
        )


def remove_members(tx: Connection, members: Sequence[tuple[str, str]]) -> None:
    if members:
        bulk.execute(
            tx,
            _LEAVE,
            [{"key_": key, "fp": fp} for key, fp in members],
        )


# -- silences -------------------------------------------------------------------------------------------------------------


def read_silences(connection: Connection, *, ends_after_ms: int = -1) -> list[Silence]:
    return [_silence(row) for row in _SILENCES.all(connection, after=ends_after_ms)]


def read_silence(connection: Connection, silence_id: str) -> Silence | None:
    row = connection.execute(sa.select(silences).where(silences.c.id == silence_id)).first()
    return _silence(row) if row is not None else None


def write_silences(tx: Connection, changed: Sequence[Silence]) -> None:
    bulk.upsert_rows(tx, silences, "id", [_silence_row(silence) for silence in changed])


def forget_silences(tx: Connection, *, ended_before_ms: int) -> None:
    tx.execute(sa.delete(silences).where(silences.c.ends_at_ms < ended_before_ms))


def _silence(row: Any) -> Silence:
    return Silence(
        id=row.id,
        matchers=tuple(Matcher(name, MatchOp(op), value) for name, op, value in row.matchers),
        starts_at_ms=row.starts_at_ms,
        ends_at_ms=row.ends_at_ms,
        created_by=row.created_by,
        comment=row.comment,
        updated_at_ms=row.updated_at_ms,
        annotations=row.annotations,
    )


def _silence_row(silence: Silence) -> dict[str, Any]:
    return {
        "id": silence.id,
        "matchers": [[m.name, m.op.value, m.value] for m in silence.matchers],
        "starts_at_ms": silence.starts_at_ms,
        "ends_at_ms": silence.ends_at_ms,
        "created_by": silence.created_by,
        "comment": silence.comment,
        "updated_at_ms": silence.updated_at_ms,
        "annotations": dict(silence.annotations),
    }


# -- when the dispatcher was last seen alive -------------------------------------------------------------------------------


def read_seen_ms(connection: Connection) -> int:
    return int(_LAST_SEEN.scalar(connection) or 0)


def write_seen_ms(tx: Connection, now_ms: int) -> None:
    bulk.upsert_rows(tx, meta, "key", [{"key": _SEEN, "value": str(now_ms)}])


# -- helpers of this file --------------------------------------------------------------------------------------------------


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(values), _CHUNK):
        yield values[at : at + _CHUNK]
