"""Flapping: an incident that ends and begins again and again stays open, is told of once, and speaks again when it has settled.

    steady ──4 fire/resolve pairs within an hour──▶ flapping (one message) ──one state held long enough──▶ steady, as it then is

"Long enough" is a quarter of an hour, or three times the usual period where that is longer. Meanwhile changes are lines of the
timeline, not messages; what is new (an alert of another label set, a graver severity) is told as ever, and nobody's escalation
is stopped by it. Rules see the flapping of a single alert earlier (rules/flapping.py); its incident tells of that here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import sqlalchemy as sa

from tocsin.incidents import joint, rows
from tocsin.incidents.changes import FlapBegan, FlapSettled
from tocsin.incidents.ledger import Ledger
from tocsin.metrics import Counter
from tocsin.model.duration import human_duration
from tocsin.model.incident import Incident
from tocsin.state.prepared import Prepared
from tocsin.state.schema import alert_states, incident_alerts, incidents

TIMER = rows.FLAP_QUIET
PAIRS = 4
WITHIN_MS = 3_600_000
QUIET_MS = 900_000
_PERIODS = 3
_MOST_CHANGES = 64

_a, _s, _i = incident_alerts.c, alert_states.c, incidents.c
_OPEN_ONES = _i.state.in_(sa.bindparam("states", expanding=True))
_FLAPPING = Prepared(
    sa.select(_i.number, _i.extra, _s.flapping_since_ms, _s.note)
    .select_from(alert_states)
    .join(incident_alerts, sa.and_(_a.fingerprint == _s.told_as, _a.ends_at_ms == 0))
    .join(incidents, sa.and_(_i.number == _a.incident, _OPEN_ONES))
    .where(_s.flapping_since_ms > 0)
    .order_by(_s.flapping_since_ms)
)
_CALMED = Prepared(
    sa.select(_i.number, _i.extra).where(
        _OPEN_ONES,
        sa.cast(_i.extra, sa.Text).contains('"flapping_alert"'),
        _i.number.not_in(sa.bindparam("but", expanding=True)),
    )
)

flapping_begun = Counter("tocsin_incidents_flapping_total", "Incidents that began to flap.")


@dataclass(frozen=True, slots=True)
class Flaps:
    """What is remembered of an incident's comings and goings."""

    changes_ms: tuple[int, ...] = ()
    """When it began and ended, in turn; the last entry is the newest."""
    firing: bool = False
    since_ms: int = 0
    """Flapping since; 0 = steady."""

    @property
    def pairs(self) -> int:
        """Ends that followed a beginning."""
        return (len(self.changes_ms) - self.firing) // 2

    @property
    def quiet_ms(self) -> int:
        """How long one state must hold to be believed."""
        periods = [later - earlier for earlier, later in zip(self.changes_ms, self.changes_ms[2:], strict=False)]
        return max(QUIET_MS, round(_PERIODS * median(periods))) if periods else QUIET_MS


def moved(flaps: Flaps, *, firing: bool, now_ms: int) -> Flaps:
    """`flaps` after it was seen in this state. While steady, what is older than an hour is forgotten."""
    if firing == flaps.firing:
        return flaps
    changes = (*flaps.changes_ms, now_ms)[-_MOST_CHANGES:]
    if not flaps.since_ms:
        changes = tuple(t_ms for t_ms in changes if now_ms - t_ms <= WITHIN_MS)
    return replace(flaps, changes_ms=changes, firing=firing)


def begins(flaps: Flaps) -> bool:
    return not flaps.since_ms and not flaps.firing and flaps.pairs >= PAIRS


# -- stored with the incident --


def load(ledger: Ledger, incident: Incident) -> Flaps:
    return of_extra(rows.extra(ledger.tx, incident.number))


def of_extra(extra: Mapping[str, Any]) -> Flaps:
    kept = extra.get("flaps", {})
    return Flaps(tuple(kept.get("changes_ms", ())), bool(kept.get("firing")), int(kept.get("since_ms", 0)))


def as_extra(flaps: Flaps) -> dict[str, Any]:
    return {"changes_ms": list(flaps.changes_ms), "firing": flaps.firing, "since_ms": flaps.since_ms}


def shown(extra: Mapping[str, Any]) -> str:
    """Why an incident is called flapping, in one clause; empty while it is steady."""
    flaps = of_extra(extra)
    if flaps.since_ms:
        state = "firing" if flaps.firing else "well"
        return f"fired and ended {flaps.pairs} times; {state} at the moment, told again once that has held {_quiet(flaps)}"
    return str(extra.get("flapping_alert", ""))


# -- what happens --


def fires(ledger: Ledger, incident: Incident, *, news: bool) -> bool:
    """Note that it fires. True where that is to be told: it is steady, or there is `news` beyond its firing again."""
    before = load(ledger, incident)
    if before.since_ms and not incident.state.open:
        before = replace(before, since_ms=0)  # a person ended it
    after = moved(before, firing=True, now_ms=ledger.now_ms)
    _keep(ledger, incident, after)
    if not after.since_ms or news:
        return True
    if after is not before:
        _wait(ledger, incident, after, "fires again")
    return False


def ends(ledger: Ledger, incident: Incident, text: str) -> None:
    """Nothing of it fires any more: it ends, begins to flap, or goes on flapping."""
    before = load(ledger, incident)
    after = moved(before, firing=False, now_ms=ledger.now_ms)
    if begins(after):
        after = replace(after, since_ms=ledger.now_ms)
        flapping_begun.inc()
        _keep(ledger, incident, after)
        ledger.change(incident, FlapBegan(_begun_text(after)))
        _restart_timer(ledger, incident, after)
        return
    _keep(ledger, incident, after)
    if not after.since_ms:
        joint.end(ledger, incident, text)
    elif after is not before:
        _wait(ledger, incident, after, "is over for the moment")


def settle(ledger: Ledger, incident: Incident) -> None:
    """One state has held long enough: it ends, or pages for what is true now."""
    flaps = load(ledger, incident)
    if not flaps.since_ms:
        return
    lasted = human_duration(ledger.now_ms - flaps.since_ms)
    rows.keep(ledger.tx, incident.number, flaps=as_extra(replace(flaps, since_ms=0, changes_ms=flaps.changes_ms[-1:])))
    if not incident.state.open:
        return
    if flaps.firing:
        text = f"has been firing for {_quiet(flaps)} without a break, after flapping for {lasted}"
        joint.settled(ledger, ledger.change(incident, FlapSettled(text)), text)
    else:
        joint.end(ledger, incident, f"well for {_quiet(flaps)}, after flapping for {lasted}")


def tell_of_alerts(ledger: Ledger) -> None:
    """Open incidents of which an alert began to flap, by its rule's own watch: told once for each such time."""
    now = {row.number: row for row in _FLAPPING.all(ledger.tx, states=list(rows.OPEN))}
    for number, row in now.items():
        if row.extra.get("flapping_alert_ms") == row.flapping_since_ms:
            continue
        rows.keep(ledger.tx, number, flapping_alert=row.note, flapping_alert_ms=row.flapping_since_ms)
        flapping_begun.inc()
        ledger.change(rows.load(ledger.tx, number), FlapBegan(row.note))
    for calm in _CALMED.all(ledger.tx, states=list(rows.OPEN), but=list(now) or [0]):
        rows.keep(ledger.tx, calm.number, flapping_alert=None, flapping_alert_ms=None)
        incident = rows.load(ledger.tx, calm.number)
        ledger.record(incident, "flapping_over", "its alert no longer flaps", cause="flapping")
        ledger.touched.add(calm.number)


# -- shared --


def _keep(ledger: Ledger, incident: Incident, flaps: Flaps) -> None:
    rows.keep(ledger.tx, incident.number, flaps=as_extra(flaps))


def _wait(ledger: Ledger, incident: Incident, flaps: Flaps, what: str) -> None:
    ledger.record(incident, "flapped", f"{what}; not told while it flaps ({flaps.pairs} times so far)", cause="flapping")
    ledger.touched.add(incident.number)
    _restart_timer(ledger, incident, flaps)


def _restart_timer(ledger: Ledger, incident: Incident, flaps: Flaps) -> None:
    rows.stop_timer(ledger.tx, incident.number, TIMER)
    rows.start_timer(ledger.tx, incident.number, TIMER, ledger.now_ms + flaps.quiet_ms)


def _begun_text(flaps: Flaps) -> str:
    lasted = human_duration(flaps.changes_ms[-1] - flaps.changes_ms[0])
    return (
        f"flapping: fired and ended {flaps.pairs} times within {lasted}. It stays open; "
        f"the next message comes when one state has held for {_quiet(flaps)}"
    )


def _quiet(flaps: Flaps) -> str:
    return human_duration(flaps.quiet_ms)
