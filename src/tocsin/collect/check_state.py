"""The state of a check, one result at a time. Pure: live, in `backtest` and in tests the same.

A DOWN check needs `failures` failures in a row, an UP one again `successes` successes; a result that could not judge
(`unknown`) counts as neither. Between the first failure and the verdict the prober looks again soon (`recheck_delay_ms`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tocsin.model.check import CheckReason, CheckResult, CheckSpec, CheckState, CheckStatus

# Looks after the first failure: +5 s, +10 s. A 60 s check is confirmed DOWN well within 20 s.
RECHECK_MS = 5_000
RECHECK_TIMEOUT_MS = 5_000

_COULD_NOT_JUDGE = (CheckReason.BLIND, CheckReason.UNSUPPORTED, CheckReason.INTERNAL)


def initial(spec: CheckSpec, now_ms: int) -> CheckStatus:
    state = CheckState.PAUSED if spec.paused else CheckState.PENDING
    return CheckStatus(spec.id, state, now_ms)


def step(spec: CheckSpec, status: CheckStatus, result: CheckResult) -> CheckStatus:
    """The status after `result`; `since_ms` moves only with the state."""
    at_ms = result.started_ms + round(result.duration_ms)
    if status.state is CheckState.PAUSED:
        return replace(status, last_ms=at_ms)
    if result.unknown:
        # Counters stay: what was known before the monitor went blind is still the last thing known about the target.
        return _moved(replace(status, reason=result.reason, message=result.message, last_ms=at_ms), CheckState.UNKNOWN, at_ms)
    if result.ok:
        return _good(spec, status, result, at_ms)
    return _bad(spec, status, result, at_ms)


def _good(spec: CheckSpec, status: CheckStatus, result: CheckResult, at_ms: int) -> CheckStatus:
    # A check that was never DOWN, or whose DOWN was never confirmed, needs no proof of recovery.
    was_down = status.consecutive_failures >= spec.failures
    successes = status.consecutive_successes + 1
    recovered = not was_down or successes >= spec.successes
    after = replace(
        status,
        consecutive_successes=successes,
        consecutive_failures=0 if recovered else status.consecutive_failures,
        last_ms=at_ms,
        last_ok_ms=at_ms,
        reason=result.reason,
        message=result.message,
    )
    if not recovered:
        return _moved(after, CheckState.DOWN, at_ms)
    return _moved(after, CheckState.DEGRADED if result.degraded else CheckState.UP, at_ms)


def _bad(spec: CheckSpec, status: CheckStatus, result: CheckResult, at_ms: int) -> CheckStatus:
    failures = status.consecutive_failures + 1
    after = replace(
        status,
        consecutive_failures=failures,
        consecutive_successes=0,
        last_ms=at_ms,
        reason=result.reason,
        message=result.message,
    )
    return _moved(after, CheckState.DOWN, at_ms) if failures >= spec.failures else after


def paused(status: CheckStatus, now_ms: int, *, by: str = "") -> CheckStatus:
    text = f"paused by {by}" if by else "paused"
    return _moved(replace(status, reason=CheckReason.MANUAL, message=text), CheckState.PAUSED, now_ms)


def resumed(status: CheckStatus, now_ms: int) -> CheckStatus:
    """Starts anew: what was before the pause proves nothing now."""
    fresh = replace(status, consecutive_failures=0, consecutive_successes=0, reason=CheckReason.OK, message="resumed")
    return _moved(fresh, CheckState.PENDING, now_ms)


def blind(status: CheckStatus, now_ms: int, message: str) -> CheckStatus:
    """The monitor cannot see: UNKNOWN, whatever it was (but for paused)."""
    if status.state is CheckState.PAUSED:
        return status
    return _moved(replace(status, reason=CheckReason.BLIND, message=message), CheckState.UNKNOWN, now_ms)


def recheck_delay_ms(spec: CheckSpec, status: CheckStatus) -> int:
    """How soon to look again instead of waiting a period; 0 = the period is fine.

    Soon while a failure is unconfirmed, and while a recovery is.
    """
    confirming = 0 < status.consecutive_failures < spec.failures and status.consecutive_successes == 0
    recovering = status.consecutive_failures >= spec.failures and 0 < status.consecutive_successes < spec.successes
    judged = status.state is not CheckState.PAUSED and status.reason not in _COULD_NOT_JUDGE
    if judged and (confirming or recovering):
        return min(RECHECK_MS, spec.every_ms)
    return 0


def overall(check_id: str, places: Sequence[CheckStatus], now_ms: int) -> CheckStatus:
    """One status of a check that several places look at: DOWN when most of those that can see say so."""
    if len(places) == 1:
        return places[0]
    seeing = [status for status in places if status.state in (CheckState.UP, CheckState.DEGRADED, CheckState.DOWN)]
    down = [status for status in seeing if status.state is CheckState.DOWN]
    if not seeing:
        return max(places, key=lambda s: s.last_ms, default=CheckStatus(check_id, CheckState.PENDING, now_ms))
    if 2 * len(down) > len(seeing):
        return replace(max(down, key=lambda s: s.last_ms), message=f"{down[0].message} ({len(down)} of {len(seeing)} places)")
    good = max((s for s in seeing if s.state is not CheckState.DOWN), key=lambda s: (s.state is CheckState.DEGRADED, s.last_ms))
    if not down:
        return good
    text = f"{down[0].message} (only {len(down)} of {len(seeing)} places)"
    return replace(good, state=CheckState.DEGRADED, reason=down[0].reason, message=text)


def _moved(status: CheckStatus, state: CheckState, at_ms: int) -> CheckStatus:
    return status if status.state is state else replace(status, state=state, since_ms=at_ms)
