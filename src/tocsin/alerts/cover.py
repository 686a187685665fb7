"""Suppression is renewed: alerts that became covered say by what, alerts that came free make their groups due."""

from __future__ import annotations

from dataclasses import replace

from tocsin.alerts import rows
from tocsin.alerts.admit import Turned
from tocsin.alerts.explain import causes_text
from tocsin.alerts.maintenance import holding
from tocsin.alerts.suppress import Shift, Suppressor, shifts
from tocsin.alerts.work import Work
from tocsin.model.alert import Suppression
from tocsin.model.route import Silence


def renew(work: Work, turned: Turned, *, everything: bool) -> None:
    """Bring `alerts.suppressed_by` up to date: of all alerts where something that suppresses changed, else of the new ones."""
    silences = rows.read_silences(work.tx, ends_after_ms=work.seen_ms)
    rules = work.rules
    everything = (
        everything
        or any(_crossed(silence, work.seen_ms, work.now_ms) for silence in silences)
        or holding(rules.windows, work.seen_ms) != holding(rules.windows, work.now_ms)
        or any(rules.concerns_others(k.alert.labels) for k in (*turned.started.values(), *turned.ended.values()))
        or (bool(rules.graph) and rows.any_held_by(work.tx, Suppression.DEPENDENCY))
    )
    if not everything and not (turned.started and (silences or rules.windows or rules.need_others)):
        return
    known = work.read_all_alerts() if everything or rules.need_others else {}
    candidates = known if everything else turned.started
    firing = {fp: k.alert.labels for fp, k in known.items() if k.alert.firing(work.now_ms)} if rules.need_others else {}
    pending = rows.read_pending(work.tx) if rules.graph else ()
    suppressor = Suppressor(rules, silences, firing, work.now_ms, pending=pending)
    _record(work, shifts(candidates.values(), suppressor))


def _crossed(silence: Silence, seen_ms: int, now_ms: int) -> bool:
    """Whether it began or ended since we last looked."""
    return seen_ms < silence.starts_at_ms <= now_ms or seen_ms < silence.ends_at_ms <= now_ms


def _record(work: Work, changed: list[Shift]) -> None:
    rows.write_suppression(work.tx, {shift.fingerprint: shift.after for shift in changed})
    for shift in changed:
        work.alerts[shift.fingerprint] = replace(work.alerts[shift.fingerprint], suppressed_by=shift.after)
        if shift.after:
            text = f"Notifications are held: {causes_text(shift.after)}"
            work.note("suppressed", shift.fingerprint, text, causes=rows.dump_causes(shift.after))
        else:
            text = f"Nothing holds notifications any more (was {causes_text(shift.before)})"
            work.note("unsuppressed", shift.fingerprint, text, causes=rows.dump_causes(shift.before))
            work.released[shift.fingerprint] = shift.released
    if changed:
        keys = rows.read_groups_of(work.tx, (shift.fingerprint for shift in changed))
        rows.flush_now(work.tx, {key for of_alert in keys.values() for key in of_alert}, work.now_ms)
