"""Results become state, samples, evidence and history; heartbeats and silence on virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa
from tests.collect.fakes import ManualClock, MemoryWriter

from tocsin.collect.catalog import parse_check
from tocsin.collect.check_rows import changes_of
from tocsin.collect.receive import CheckReceiver, result_of
from tocsin.errors import CommandError
from tocsin.model.check import CheckReason, CheckResult, CheckState, Phase
from tocsin.state import schema
from tocsin.state.sql import Database, sqlite_url

SHOP = parse_check({"name": "Shop", "http": "http://shop.example/health", "labels": {"team": "web"}})


class Desk:
    def __init__(self, folder: Path, writer: MemoryWriter, clock: ManualClock) -> None:
        self.writer, self.clock = writer, clock
        self.db = Database(sqlite_url(folder / "state.db"), inline=True)
        schema.metadata.create_all(self.db.engine)
        self.confirmed: list[str] = []
        self.changed: list[tuple[str, str]] = []
        self.receiver = self.start()

    def start(self) -> CheckReceiver:
        return CheckReceiver(
            writer=self.writer,
            db=self.db,
            clock=self.clock,
            changed=lambda topic, subject="": self.changed.append((topic, subject)),
            confirmed=self.confirmed.append,
        )

    async def see(self, kinds: str, **values: object) -> None:
        """One result per letter, five seconds apart: g good, b bad, k could not judge."""
        for kind in kinds:
            self.clock.t_ms += 5_000
            reason = {"g": CheckReason.OK, "b": CheckReason.REFUSED, "k": CheckReason.BLIND}[kind]
            result = CheckResult("shop", self.clock.t_ms - 20, 20.0, kind == "g", reason, f"said {kind}", unknown=kind == "k")
            await self.receiver.take([replace(result, **values)])  # type: ignore[arg-type]

    def rows(self, table: sa.Table) -> list[sa.Row]:  # type: ignore[type-arg]
        return self.db.read_now(lambda c: list(c.execute(sa.select(table))))


@pytest.fixture
def desk(tmp_path: Path, writer: MemoryWriter, clock: ManualClock) -> Iterator[Desk]:
    found = Desk(tmp_path, writer, clock)
    yield found
    found.db.close()


async def test_three_failures_make_it_down_with_evidence_and_history(desk: Desk) -> None:
    desk.receiver.apply([SHOP])
    await desk.see("gbbb")
    assert desk.receiver.status("shop").state is CheckState.DOWN
    assert desk.confirmed == ["shop", "shop"], "pending -> up and up -> down"
    assert [(r.before, r.after) for r in desk.rows(schema.check_changes)] == [("pending", "up"), ("up", "down")]
    assert len(desk.rows(schema.check_runs)) == 4, "the first good one and every failure"
    (state,) = desk.rows(schema.check_states)
    assert (state.state, state.consecutive_failures, state.last_result["message"]) == ("down", 3, "said b")
    assert [e.verb for e in desk.rows(schema.events)] == ["check_changed", "check_changed"]
    assert [v for _, v in desk.writer.series("probe_success", check="shop", team="web", location="local")] == [1.0, 0.0, 0.0, 0.0]
    assert desk.writer.series("tocsin_check_state", state="down")[-1][1] == 1.0
    assert desk.writer.series("tocsin_check_state", state="up")[-1][1] == 0.0
    assert ("checks", "shop") in desk.changed


async def test_unknown_is_neither_up_nor_down_and_success_is_absent(desk: Desk) -> None:
    desk.receiver.apply([SHOP])
    await desk.see("gk")
    assert desk.receiver.status("shop").state is CheckState.UNKNOWN
    assert desk.writer.series("probe_success")[-1][1] is None
    assert desk.writer.series("tocsin_check_state", state="unknown")[-1][1] == 1.0


async def test_good_results_are_thinned_and_saved_together(desk: Desk) -> None:
    desk.receiver.apply([SHOP])
    await desk.see("gggg")
    assert len(desk.rows(schema.check_runs)) == 1
    last_ms = desk.receiver.status("shop").last_ms
    await desk.receiver.tick()
    assert desk.rows(schema.check_states)[0].last_ms == last_ms
    await desk.see("g", manual_by="ana")
    assert [r.manual_by for r in desk.rows(schema.check_runs)] == ["", "ana"]


async def test_a_restart_goes_on_where_it_was(desk: Desk) -> None:
    desk.receiver.apply([SHOP])
    await desk.see("gbb")
    await desk.receiver.tick()
    desk.receiver = desk.start()
    desk.receiver.apply([SHOP])
    await desk.see("b")
    assert desk.receiver.status("shop").state is CheckState.DOWN
    assert len(desk.rows(schema.check_changes)) == 2


async def test_a_silent_prober_leaves_checks_unknown_not_as_they_were(desk: Desk) -> None:
    desk.receiver.apply([SHOP])
    await desk.see("g")
    desk.clock.t_ms += 60_000
    await desk.receiver.tick()
    assert desk.receiver.status("shop").state is CheckState.UP
    desk.clock.t_ms += 200_000
    await desk.receiver.tick()
    status = desk.receiver.status("shop")
    assert (status.state, status.reason) == (CheckState.UNKNOWN, CheckReason.BLIND)
    assert desk.confirmed[-1] == "shop"
    assert len(desk.rows(schema.check_changes)) == 2


async def test_two_silent_places_are_one_change(desk: Desk) -> None:
    desk.receiver.apply([replace(SHOP, locations=("local", "paris"))])
    await desk.see("g")
    await desk.see("g", location="paris")
    desk.clock.t_ms += 300_000
    await desk.receiver.tick()
    await desk.receiver.tick()
    assert desk.receiver.status("shop").state is CheckState.UNKNOWN
    assert [(r.before, r.after) for r in desk.rows(schema.check_changes)] == [("pending", "up"), ("up", "unknown")]


async def test_the_state_is_said_again_for_rules_that_look_back(desk: Desk) -> None:
    desk.receiver.apply([replace(SHOP, every_ms=3_600_000)])
    await desk.see("g")
    before = len(desk.writer.series("tocsin_check_state", state="up"))
    desk.clock.t_ms += 61_000
    await desk.receiver.tick()
    assert len(desk.writer.series("tocsin_check_state", state="up")) == before + 1


async def test_pause_holds_over_restart_and_configuration(desk: Desk) -> None:
    desk.receiver.apply([SHOP])
    await desk.see("g")
    await desk.receiver.pause("shop", by="ana")
    assert desk.receiver.plan()[0].paused
    desk.receiver = desk.start()
    desk.receiver.apply([SHOP])
    assert desk.receiver.status("shop").state is CheckState.PAUSED
    await desk.receiver.resume("shop")
    assert desk.receiver.status("shop").state is CheckState.PENDING
    assert not desk.receiver.plan()[0].paused


async def test_a_removed_check_ends_its_series_and_keeps_its_history(desk: Desk) -> None:
    desk.receiver.apply([SHOP])
    await desk.see("g")
    desk.receiver.apply([])
    assert desk.writer.series("probe_success")[-1][1] is None
    assert desk.writer.series("tocsin_check_state", state="up")[-1][1] is None
    assert desk.rows(schema.check_states) == []
    assert len(desk.rows(schema.check_changes)) == 1
    await desk.see("g")
    assert desk.receiver.statuses() == {}


async def test_two_places_disagree(desk: Desk) -> None:
    desk.receiver.apply([replace(SHOP, locations=("local", "paris"))])
    await desk.see("bbb")
    await desk.see("g", location="paris")
    status = desk.receiver.status("shop")
    assert status.state is CheckState.DEGRADED
    assert "only 1 of 2 places" in status.message
    await desk.see("bbb", location="paris")
    assert desk.receiver.status("shop").state is CheckState.DOWN


async def test_a_clock_of_tomorrow_is_not_believed(desk: Desk) -> None:
    desk.receiver.apply([SHOP])
    await desk.see("g", started_ms=desk.clock.t_ms + 86_400_000)
    assert desk.receiver.status("shop").last_ms <= desk.clock.t_ms


async def test_uptime_reads_the_changes_and_the_one_before(desk: Desk) -> None:
    desk.receiver.apply([SHOP])
    start = desk.clock.t_ms
    await desk.see("gbbb")
    found = desk.db.read_now(lambda c: changes_of(c, ["shop"], start + 18_000))["shop"]
    assert [change.after for change in found] == [CheckState.UP, CheckState.DOWN]


def test_a_result_survives_the_bus() -> None:
    result = CheckResult(
        "a", 1, 2.0, False, CheckReason.TIMEOUT, "m", (Phase("connect", 1.5),), {"x": [1]}, (("s", {"l": "v"}, 1.0),), attempt=2
    )
    assert result_of(orjson.loads(orjson.dumps(asdict(result)))) == result


# -- heartbeats --------------------------------------------------------------------------------------------------------

BACKUP = parse_check({"name": "backup", "heartbeat": {"period": "1h", "grace": "10m"}})


async def test_a_heartbeat_is_up_when_called_and_down_when_silent(desk: Desk) -> None:
    desk.receiver.apply([BACKUP])
    token = desk.receiver.tokens()["backup"]
    assert len(token) == 32
    await desk.receiver.ping(token)
    assert desk.receiver.status("backup").state is CheckState.UP
    desk.clock.t_ms += 70 * 60_000
    await desk.receiver.tick()
    assert desk.receiver.status("backup").state is CheckState.UP, "within the grace time"
    desk.clock.t_ms += 1_000
    await desk.receiver.tick()
    status = desk.receiver.status("backup")
    assert (status.state, status.reason) == (CheckState.DOWN, CheckReason.HEARTBEAT_MISSED)
    await desk.receiver.ping(token, "success", "log of the run")
    assert desk.receiver.status("backup").state is CheckState.UP, "one call is enough"
    assert desk.rows(schema.heartbeats)[0].body == "log of the run"
    assert desk.writer.series("tocsin_heartbeat_last_seconds")[-1][1] == desk.clock.t_ms / 1000


async def test_a_run_that_reports_failure_or_never_ends_is_down(desk: Desk) -> None:
    desk.receiver.apply([BACKUP])
    token = desk.receiver.tokens()["backup"]
    await desk.receiver.ping(token, "start")
    desk.clock.t_ms += 90_000
    await desk.receiver.ping(token, "1", "disk full")
    assert desk.receiver.status("backup").reason is CheckReason.HEARTBEAT_FAILED
    assert desk.writer.series("tocsin_heartbeat_run_duration_seconds")[-1][1] == 90.0
    await desk.receiver.ping(token, "0")
    await desk.receiver.ping(token, "start")
    desk.clock.t_ms += 11 * 60_000
    await desk.receiver.tick()
    assert "has not ended" in desk.receiver.status("backup").message


async def test_time_that_tocsin_was_down_is_not_the_sender_s_fault(desk: Desk) -> None:
    desk.receiver.apply([BACKUP])
    token = desk.receiver.tokens()["backup"]
    await desk.receiver.ping(token)
    desk.clock.t_ms += 5 * 3_600_000
    desk.receiver = desk.start()
    desk.receiver.apply([BACKUP])
    await desk.receiver.tick()
    assert desk.receiver.status("backup").state is CheckState.UP
    assert desk.receiver.tokens()["backup"] == token, "the token stays"
    desk.clock.t_ms += 601_000
    await desk.receiver.tick()
    assert desk.receiver.status("backup").state is CheckState.DOWN


async def test_a_heartbeat_that_was_never_called_is_late_too(desk: Desk) -> None:
    desk.receiver.apply([BACKUP])
    desk.clock.t_ms += 71 * 60_000
    await desk.receiver.tick()
    assert desk.receiver.status("backup").state is CheckState.DOWN
    assert "never heard" in desk.receiver.status("backup").message


async def test_a_heartbeat_of_the_dashboard_waits_for_its_first_call(desk: Desk) -> None:
    desk.receiver.apply([parse_check({"name": "backup", "heartbeat": {"period": "1h", "grace": "10m"}}, source="ui")])
    desk.clock.t_ms += 71 * 60_000
    await desk.receiver.tick()
    assert desk.receiver.status("backup").state is CheckState.PENDING
    await desk.receiver.ping(desk.receiver.tokens()["backup"], "start")
    desk.clock.t_ms += 11 * 60_000
    await desk.receiver.tick()
    assert desk.receiver.status("backup").state is CheckState.DOWN, "what began must end"


async def test_wrong_tokens_and_kinds_are_refused(desk: Desk) -> None:
    desk.receiver.apply([BACKUP])
    with pytest.raises(CommandError) as unknown:
        await desk.receiver.ping("guess")
    assert unknown.value.status == 404
    with pytest.raises(CommandError) as kind:
        await desk.receiver.ping(desk.receiver.tokens()["backup"], "banana")
    assert kind.value.status == 400


async def test_a_person_sets_a_manual_check(desk: Desk) -> None:
    desk.receiver.apply([parse_check({"name": "supplier", "manual": "their portal"}), SHOP])
    await desk.receiver.set_manual("supplier", CheckState.DOWN, "they called", by="ana")
    assert desk.receiver.status("supplier").state is CheckState.DOWN
    assert desk.rows(schema.check_runs)[0].manual_by == "ana"
    with pytest.raises(CommandError):
        await desk.receiver.set_manual("shop", CheckState.UP, "", by="ana")


async def test_a_broken_page_s_picture_is_kept_every_ten_minutes_and_for_who_asked(desk: Desk) -> None:
    desk.receiver.apply([SHOP])
    picture = {"screenshot": "data:image/jpeg;base64,AAAA", "title": "Oops"}
    await desk.see("bb", facts=picture)
    await desk.see("b", facts=picture, manual_by="ana")
    desk.clock.t_ms += 600_000
    await desk.see("b", facts=picture)
    kept = [row.result["facts"] for row in desk.rows(schema.check_runs)]
    assert [("screenshot" in facts, facts["title"]) for facts in kept] == [
        (True, "Oops"),
        (False, "Oops"),
        (True, "Oops"),
        (True, "Oops"),
    ]
