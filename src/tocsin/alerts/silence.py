"""Silences: validation, changes, order, and what they match; decisions are pure, `alerts/rows.py` keeps the rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from tocsin.alerts import rows
from tocsin.alerts.index import MatcherIndex
from tocsin.errors import CommandError
from tocsin.formats.alertmanager_json import matcher_json
from tocsin.formats.matchers import sort_matchers
from tocsin.model.alert import Alert, SuppressedBy, Suppression
from tocsin.model.labels import Matcher, MatchOp
from tocsin.model.route import Silence, SilenceState
from tocsin.state.marks import mark_of

RETENTION_MS = 120 * 3_600_000
"""How long an expired silence is kept and can be asked for."""
_MOST_MATCHERS = 100
_LONGEST_MATCHER = 4096


@dataclass(frozen=True, slots=True)
class Change:
    """What setting a silence comes to: the rows to write (an expired old one, the new one) and the id to answer."""

    rows: tuple[Silence, ...]
    id: str
    created: bool


def set_silence(wanted: Silence, known: Silence | None, *, new_id: str, now_ms: int) -> Change:
    """Create or change a silence as Alertmanager does.

    `wanted.id` empty = create. The same matchers change the silence in place; other matchers expire it and open a new one.
    Raises CommandError 400 (what is wrong) or 404 (no such silence).
    """
    if wanted.id and known is None:
        raise CommandError(404, "not_found", f"silence {wanted.id} not found")
    validate(wanted, now_ms)
    wanted = replace(wanted, matchers=sort_matchers(wanted.matchers), updated_at_ms=now_ms)
    if known is not None and _can_update(known, wanted, now_ms):
        return Change((wanted,), wanted.id, created=False)
    expired = () if known is None or known.state(now_ms) is SilenceState.EXPIRED else (expire(known, now_ms),)
    fresh = replace(wanted, id=new_id, starts_at_ms=max(wanted.starts_at_ms, now_ms))
    return Change((*expired, fresh), new_id, created=True)


def silence_mark(silence: Silence) -> str:
    """The mark of what a person may change of it."""
    matchers = [[matcher.name, matcher.op.value, matcher.value] for matcher in silence.matchers]
    return mark_of(matchers, silence.starts_at_ms, silence.ends_at_ms, silence.comment)


def expire(silence: Silence, now_ms: int) -> Silence:
    """The silence, over now. One that had not begun never begins; an expired one stays as it is."""
    match silence.state(now_ms):
        case SilenceState.ACTIVE:
            return replace(silence, ends_at_ms=now_ms, updated_at_ms=now_ms)
        case SilenceState.PENDING:
            return replace(silence, starts_at_ms=now_ms, ends_at_ms=now_ms, updated_at_ms=now_ms)
        case SilenceState.EXPIRED:
            return silence


def validate(silence: Silence, now_ms: int) -> None:
    """Raises CommandError 400 with Alertmanager's wording."""
    if not silence.matchers:
        raise _bad("silence invalid: at least one matcher required")
    if len(silence.matchers) > _MOST_MATCHERS:
        raise _bad(f"silence invalid: {len(silence.matchers)} matchers, at most {_MOST_MATCHERS} are accepted")
    for index, matcher in enumerate(silence.matchers):
        if not matcher.name:
            raise _bad(f"silence invalid: invalid label matcher {index}: invalid label name")
        if len(matcher.value) > _LONGEST_MATCHER:
            raise _bad(f"silence invalid: invalid label matcher {index}: longer than {_LONGEST_MATCHER} characters")
    if all(_may_match_empty(matcher) for matcher in silence.matchers):
        raise _bad("silence invalid: at least one matcher must not match the empty string")
    if silence.starts_at_ms >= silence.ends_at_ms:
        raise _bad("failed to create silence: start time must be before end time")
    if silence.ends_at_ms < now_ms:
        raise _bad("failed to create silence: end time can't be in the past")


_PROBES = ("q8Zt", "10.0.0.1:9100", "/a b/ü")
"""Values that have nothing in common: an expression that takes them all takes anything."""


def too_broad(matchers: Iterable[Matcher]) -> bool:
    """Whether the silence covers everything that merely has some label: `alertname=~".*"`, `severity!="none"`."""
    return all(
        (m.op is MatchOp.REGEX and all(map(m.matches_value, _PROBES))) or m.op in (MatchOp.NOT_EQUAL, MatchOp.NOT_REGEX)
        for m in matchers
    )


def silenceable(alert: Alert) -> bool:
    """Whether a silence may cover the alert. One that says `silenceable: "false"` (annotation of its rule, or label) is told
    whatever is silenced: what watches the monitor itself must not go quiet with everything else.
    """
    return "false" not in (alert.annotations.get("silenceable"), alert.labels.get("silenceable"))


def sort_silences(silences: Iterable[Silence], now_ms: int) -> list[Silence]:
    """Alertmanager's order: active by end, pending by start, expired by end from the latest."""
    rank = {SilenceState.ACTIVE: 0, SilenceState.PENDING: 1, SilenceState.EXPIRED: 2}

    def key(silence: Silence) -> tuple[int, int, str]:
        state = silence.state(now_ms)
        by = {
            SilenceState.ACTIVE: silence.ends_at_ms,
            SilenceState.PENDING: silence.starts_at_ms,
            SilenceState.EXPIRED: -silence.ends_at_ms,
        }
        return rank[state], by[state], silence.id

    return sorted(silences, key=key)


def silence_rows(connection: Connection, *, now_ms: int) -> list[dict[str, Any]]:
    """Every silence as JSON values, in Alertmanager's order."""
    return [
        {
            "id": silence.id,
            "matchers": [matcher_json(matcher) for matcher in silence.matchers],
            "starts_at_ms": silence.starts_at_ms,
            "ends_at_ms": silence.ends_at_ms,
            "created_by": silence.created_by,
            "comment": silence.comment,
            "state": silence.state(now_ms).value,
            "covers_everything": too_broad(silence.matchers),
        }
        for silence in sort_silences(rows.read_silences(connection), now_ms)
    ]


class Silencer:
    """The active silences, ready to be asked about many alerts."""

    def __init__(self, silences: Iterable[Silence], now_ms: int) -> None:
        active = (silence for silence in silences if silence.state(now_ms) is SilenceState.ACTIVE)
        self._silences = sorted(active, key=lambda silence: silence.id)
        self._index = MatcherIndex([silence.matchers for silence in self._silences])

    def suppression(self, alert: Alert) -> tuple[SuppressedBy, ...]:
        """The silences that cover an alert, in order of id."""
        if not self._silences or not silenceable(alert):
            return ()
        found = (self._silences[number] for number in self._index.matching(alert.labels))
        return tuple(SuppressedBy(Suppression.SILENCED, silence.id) for silence in found)


def _can_update(known: Silence, wanted: Silence, now_ms: int) -> bool:
    """Whether a change may keep the id: same matchers, and nothing that already happened is rewritten."""
    if sort_matchers(known.matchers) != wanted.matchers:
        return False
    match known.state(now_ms):
        case SilenceState.ACTIVE:
            # Clients send times back with a second's precision or with all of it.
            return wanted.starts_at_ms // 1000 == known.starts_at_ms // 1000 and wanted.ends_at_ms >= now_ms
        case SilenceState.PENDING:
            return wanted.starts_at_ms >= now_ms
        case SilenceState.EXPIRED:
            return False


def _may_match_empty(matcher: Matcher) -> bool:
    """Alertmanager's test, which counts negative matchers as narrowing."""
    return matcher.op in (MatchOp.EQUAL, MatchOp.REGEX) and matcher.matches_empty


def _bad(message: str) -> CommandError:
    return CommandError(400, "bad_silence", message)
