"""Heartbeats: tokens, calls, and when silence is a failure. The decision (`deadline_ms`) is pure.

    start ──▶ running ──success──▶ waiting for the next ──period or cron, then grace──▶ missed
                 └──fail──▶ failed        └── grace over ──▶ missed

Judged by arrival at our clock; time that Tocsin itself was down is never the sender's fault.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.collect.checks.heartbeat import Heartbeat
from tocsin.collect.cron import parse_cron
from tocsin.collect.outcome import Sample
from tocsin.model.check import CheckReason, CheckResult, CheckSpec
from tocsin.model.duration import human_duration
from tocsin.state import bulk
from tocsin.state.schema import heartbeats, meta

_KEY_NAME = "heartbeat_key"
_MOST_BODY = 10_000

KINDS = ("success", "start", "fail")


@dataclass(frozen=True, slots=True)
class Beat:
    """What was heard of one heartbeat. Times in ms, 0 = never."""

    check_id: str
    last_ms: int = 0
    """The last success or failure."""
    last_kind: str = ""
    started_ms: int = 0
    """The start signal of a run that has not ended; 0 = none is running."""
    body: str = ""


def kind_of(text: str) -> str:
    """`success`, `start`, `fail`, or an exit code. Raises ValueError."""
    if text.isdigit():
        return "success" if int(text) == 0 else "fail"
    if text not in KINDS:
        raise ValueError(f"expected one of {', '.join(KINDS)} or an exit code, got {text!r}")
    return text


def deadline_ms(settings: Heartbeat, beat: Beat, *, known_since_ms: int, up_since_ms: int) -> int:
    """When silence becomes a failure.

    `known_since_ms`: since when the check exists (a job that never called is late too); `up_since_ms`: since when
    Tocsin runs: a deadline that passed before that is moved to one grace time after it.
    """
    if beat.started_ms:
        due_ms = beat.started_ms + settings.grace
    else:
        base_ms = beat.last_ms or known_since_ms
        next_ms = base_ms + settings.period if settings.period else parse_cron(settings.cron).next_after(base_ms, settings.zone)
        due_ms = next_ms + settings.grace
    return due_ms if due_ms >= up_since_ms else up_since_ms + settings.grace


def heard(beat: Beat, kind: str, now_ms: int, body: str) -> Beat:
    """The beat after a call."""
    if kind == "start":
        return replace(beat, started_ms=now_ms)
    return replace(beat, last_ms=now_ms, last_kind=kind, started_ms=0, body=body[:_MOST_BODY])


def result_of_call(spec: CheckSpec, before: Beat, kind: str, now_ms: int, body: str) -> CheckResult:
    """What a success or failure call says of the check."""
    took_ms = now_ms - before.started_ms if before.started_ms else 0
    said = f" after {human_duration(took_ms)}" if took_ms else ""
    samples: list[Sample] = [("tocsin_heartbeat_last_seconds", {}, now_ms / 1000)]
    if took_ms:
        samples.append(("tocsin_heartbeat_run_duration_seconds", {}, took_ms / 1000))
    good = kind == "success"
    return CheckResult(
        check_id=spec.id,
        started_ms=now_ms,
        duration_ms=0.0,
        ok=good,
        reason=CheckReason.OK if good else CheckReason.HEARTBEAT_FAILED,
        message=f"ran{said}" if good else f"reported a failure{said}",
        facts={"kind": kind, "body": body[:_MOST_BODY], "run_ms": took_ms},
        samples=tuple(samples),
    )


def missed(spec: CheckSpec, settings: Heartbeat, beat: Beat, now_ms: int) -> CheckResult:
    """The result of silence."""
    allowed = human_duration(settings.grace)
    if beat.started_ms:
        text = f"started {human_duration(now_ms - beat.started_ms)} ago and has not ended (allowed: {allowed})"
    else:
        heard_of = f"not heard for {human_duration(now_ms - beat.last_ms)}" if beat.last_ms else "never heard"
        text = f"{heard_of} (expected {settings.target}, grace {allowed})"
    samples: tuple[Sample, ...] = (("tocsin_heartbeat_last_seconds", {}, beat.last_ms / 1000),) if beat.last_ms else ()
    return CheckResult(spec.id, now_ms, 0.0, False, CheckReason.HEARTBEAT_MISSED, text, samples=samples)


# -- tokens ------------------------------------------------------------------------------------------------------------


def heartbeat_key(tx: Connection) -> bytes:
    """This installation's secret for heartbeat tokens, made at first use."""
    found = tx.execute(sa.select(meta.c.value).where(meta.c.key == _KEY_NAME)).scalar()
    if found is None:
        # Not from the injected randomness: a seeded simulation must never make a guessable token.
        found = secrets.token_hex(32)
        tx.execute(sa.insert(meta).values(key=_KEY_NAME, value=found))
    return bytes.fromhex(found)


def token_of(key: bytes, check_id: str, declared: str = "") -> str:
    """The secret part of a heartbeat's URL: the declared one, else 160 bits that follow from the installation's key."""
    if declared:
        return declared
    digest = hmac.new(key, check_id.encode(), hashlib.sha256).digest()[:20]
    return base64.b32encode(digest).decode().lower()


def token_hash(token: str) -> bytes:
    """What tokens are looked up by, so that a comparison takes the same time for every wrong one."""
    return hashlib.sha256(token.encode()).digest()


# -- rows --------------------------------------------------------------------------------------------------------------


def load(connection: Connection) -> dict[str, Beat]:
    return {
        row.check_id: Beat(row.check_id, row.last_ms, row.last_kind, row.started_ms, row.body)
        for row in connection.execute(sa.select(heartbeats))
    }


def save(tx: Connection, beat: Beat) -> None:
    values = {"last_ms": beat.last_ms, "last_kind": beat.last_kind, "started_ms": beat.started_ms, "body": beat.body}
    insert = bulk.insert(tx)(heartbeats)
    tx.execute(insert.values(check_id=beat.check_id, **values).on_conflict_do_update(index_elements=["check_id"], set_=values))
