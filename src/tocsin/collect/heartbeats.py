"""The heartbeats of the plan: who may call, what was heard, who is late. Durable: a call is answered after its commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tocsin.clock import Clock
from tocsin.collect.catalog import check_of
from tocsin.collect.checks.heartbeat import Heartbeat
from tocsin.collect.heartbeat import (
    Beat,
    deadline_ms,
    heard,
    heartbeat_key,
    load,
    missed,
    result_of_call,
    save,
    token_hash,
    token_of,
)
from tocsin.model.check import CheckResult, CheckSpec, CheckState, CheckStatus
from tocsin.state.sql import Database


class Heartbeats:
    """Kept by the receiver, which turns the results into state."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._started_ms = clock.now_ms()
        self._beats: dict[str, Beat] = db.read_now(load)
        self._known: dict[str, tuple[CheckSpec, Heartbeat]] = {}
        self._tokens: dict[bytes, str] = {}
        self._key = b""

    def apply(self, specs: Sequence[CheckSpec]) -> None:
        """These are the heartbeats from now on (other checks are passed over)."""
        found = {spec.id: (spec, check_of(spec)) for spec in specs if spec.type == Heartbeat.type_name}
        self._known = {check_id: (spec, check) for check_id, (spec, check) in found.items() if isinstance(check, Heartbeat)}
        if self._known and not self._key:
            self._key = self._db.write_now(heartbeat_key)
        self._tokens = {token_hash(token): check_id for check_id, token in self.tokens().items()}

    def tokens(self) -> dict[str, str]:
        """The secret part of each heartbeat's URL by check."""
        return {check_id: token_of(self._key, check_id, check.token) for check_id, (_, check) in self._known.items()}

    def check_of_token(self, token: str) -> str | None:
        return self._tokens.get(token_hash(token))

    async def hear(self, check_id: str, kind: str, body: str) -> CheckResult | None:
        """Take a call; the result it means, None for a start signal."""
        now_ms = self._clock.now_ms()
        before = self._beats.get(check_id, Beat(check_id))
        after = self._beats[check_id] = heard(before, kind, now_ms, body)
        await self._db.write(lambda tx: save(tx, after))
        if kind == "start":
            return None
        spec, _ = self._known[check_id]
        return replace(result_of_call(spec, before, kind, now_ms, body), location=spec.locations[0])

    def late(self, statuses: Mapping[tuple[str, str], CheckStatus]) -> list[CheckResult]:
        """Results of those whose deadline has passed, unless they are DOWN or paused already. `statuses` by check and place.

        One that a person added in the dashboard waits for its first call: who adds it has yet to put the address into the job.
        """
        now_ms = self._clock.now_ms()
        out = []
        for check_id, (spec, check) in self._known.items():
            status = statuses[check_id, spec.locations[0]]
            if status.state in (CheckState.DOWN, CheckState.PAUSED):
                continue
            beat = self._beats.get(check_id, Beat(check_id))
            if spec.source == "ui" and not (beat.last_ms or beat.started_ms):
                continue
            known_ms = status.since_ms if status.state is CheckState.PENDING else self._started_ms
            if now_ms > deadline_ms(check, beat, known_since_ms=known_ms, up_since_ms=self._started_ms):
                out.append(replace(missed(spec, check, beat, now_ms), location=spec.locations[0]))
        return out
