"""The evaluator over time: fires, resolves, survives restarts, pauses, clock steps and reloads."""

from __future__ import annotations

from typing import Any

from tocsin.model.labels import Labels
from tocsin.rules.memory import MemoryStore

RULE = """
groups:
- name: g
  rules:
  - alert: High
    expr: x > 1
    for: 30s
    labels: {severity: critical}
    annotations: {summary: '{{ $labels.instance }} is at {{ $value }}'}
"""


async def test_an_alert_fires_once_and_resolves_once(room: Any) -> None:
    room.rules(RULE)
    await room.start()
    await room.play(120, x=5)
    assert room.told() == ["High fired"]
    assert room.woken == 1
    await room.play(60, x=0)
    assert room.told() == ["High resolved"]
    assert room.phases() == {}


async def test_alerts_and_recorded_series_are_written_to_the_store(room: Any) -> None:
    room.rules(RULE + "  - record: double:x\n    expr: x * 2\n  - alert: Chained\n    expr: double:x > 8\n")
    await room.start()
    await room.play(120, x=5)
    names = {series.get("__name__") for series in room.store.series([()], 0, room.clock.wall_ms)}
    assert {"ALERTS", "ALERTS_FOR_STATE", "double:x"} <= names
    assert sorted(room.told()) == ["Chained fired", "High fired"]
    shown = room.evaluator.state()
    assert [alert["state"] for alert in shown["alerts"]] == ["firing", "firing"]
    assert shown["groups"][0]["rules"][0]["health"] == "ok"


async def test_a_restart_continues_a_firing_and_a_pending_alert(room: Any) -> None:
    room.rules(RULE + "  - alert: Slow\n    expr: x > 2\n    for: 5m\n")
    await room.start()
    await room.play(90, x=5)
    assert room.told() == ["High fired"]
    await room.crash()
    await room.play(60, x=5)
    room.rules(RULE + "  - alert: Slow\n    expr: x > 2\n    for: 5m\n")
    await room.start()
    await room.play(150, x=5)
    assert room.told() == []
    assert room.phases() == {"High": "firing", "Slow": "pending"}
    await room.play(120, x=5)
    assert room.told() == ["Slow fired"]


async def test_a_blind_target_does_not_resolve(room: Any) -> None:
    room.rules(RULE)
    await room.start()
    await room.play(90, x=5)
    assert room.told() == ["High fired"]
    room.up = 0.0
    room.end()
    await room.play(600)
    assert room.told() == []
    room.up = 1.0
    await room.play(60, x=0)
    assert room.told() == ["High resolved"]


async def test_a_target_that_was_removed_resolves(room: Any) -> None:
    room.rules(RULE)
    await room.start()
    await room.play(90, x=5)
    room.told()
    room.scraping = False
    room.end()
    room.end("up")
    await room.play(30)
    assert room.told() == ["High resolved"]


async def test_a_series_that_ends_on_a_seeing_target_resolves(room: Any) -> None:
    room.rules(RULE)
    await room.start()
    await room.play(90, x=5)
    room.told()
    room.end()
    await room.play(30)
    assert room.told() == ["High resolved"]


async def test_a_pause_of_ten_minutes_resolves_nothing_and_counts_for_nothing(room: Any) -> None:
    room.rules(RULE + "  - alert: Slow\n    expr: x > 2\n    for: 5m\n  - alert: Busy\n    expr: rate(x[5m]) >= 0\n")
    await room.start()
    await room.play(90, x=5)
    assert sorted(room.told()) == ["Busy fired", "High fired"]
    room.clock.move(600_000)
    await room.settle()
    assert room.told() == []
    await room.play(90, x=5)
    assert room.told() == []
    assert room.phases() == {"High": "firing", "Slow": "pending", "Busy": "firing"}


async def test_a_clock_set_forward_by_an_hour_says_nothing(room: Any) -> None:
    room.rules(RULE + "  - alert: Slow\n    expr: x > 2\n    for: 20m\n")
    await room.start()
    await room.play(90, x=5)
    assert room.told() == ["High fired"]
    room.clock.step(3_600_000)
    await room.play(120, x=5)
    assert room.told() == []


async def test_a_clock_set_back_by_an_hour_says_nothing(room: Any) -> None:
    room.rules(RULE)
    await room.start()
    await room.play(90, x=5)
    assert room.told() == ["High fired"]
    room.clock.step(-3_600_000)
    await room.play(120)
    assert room.told() == []


async def test_a_removed_rule_ends_its_alerts_and_an_edited_one_keeps_them(room: Any) -> None:
    room.rules(RULE)
    await room.start()
    await room.play(90, x=5)
    assert room.told() == ["High fired"]
    room.rules(RULE.replace("for: 30s", "for: 10m").replace("x > 1", "x > 2"))
    await room.play(60, x=5)
    assert room.told() == []
    room.rules("groups: []")
    await room.play(15, x=5)
    assert room.told() == ["High resolved"]


async def test_a_rule_removed_while_nobody_ran_is_ended_at_the_next_start(room: Any) -> None:
    room.rules(RULE)
    await room.start()
    await room.play(90, x=5)
    room.told()
    await room.crash()
    room.rules("groups: []")
    await room.start()
    assert room.told() == ["High resolved"]


async def test_a_failing_query_keeps_alerts_and_shows_the_error(room: Any) -> None:
    room.rules(RULE)
    await room.start()
    await room.play(90, x=5)
    room.told()
    room.rules(RULE.replace("x > 1", "x > on(job) group_left up > on(instance) x"))
    room.put(1.0, "x", instance="b")
    room.put(1.0, "up", instance="b")
    await room.play(60, x=5)
    assert room.told() == []
    assert room.evaluator.state()["groups"][0]["rules"][0]["health"] == "err"


async def test_a_confirmed_check_is_evaluated_at_once(room: Any) -> None:
    from tocsin.model.check import CheckSpec
    from tocsin.rules.derived import check_rules

    room.evaluator.apply([check_rules([CheckSpec("shop", "Shop", "http", {}, "https://shop.example")])])
    await room.start()
    await room.play(15)
    room.put(1.0, "tocsin_check_state", check="shop", state="down", instance="https://shop.example")
    await room.evaluator.evaluate_check("shop")
    assert room.told() == ["CheckDown fired"]
    room.clock.move(1000)
    room.put(0.0, "tocsin_check_state", check="shop", state="down", instance="https://shop.example")
    room.put(1.0, "tocsin_check_state", check="shop", state="unknown", instance="https://shop.example")
    await room.evaluator.evaluate_check("shop")
    assert room.told() == []
    room.clock.move(1000)
    room.put(0.0, "tocsin_check_state", check="shop", state="unknown", instance="https://shop.example")
    await room.evaluator.evaluate_check("shop")
    assert room.told() == ["CheckDown resolved"]


async def test_a_renamed_group_keeps_its_alerts_live_and_over_a_restart(room: Any) -> None:
    room.rules(RULE)
    await room.start()
    await room.play(90, x=5)
    assert room.told() == ["High fired"]
    room.rules(RULE.replace("name: g", "name: other"))
    await room.play(60, x=5)
    assert room.told() == []
    await room.crash()
    room.rules(RULE.replace("name: g", "name: third"))
    await room.start()
    await room.play(60, x=5)
    assert room.told() == []
    assert room.phases() == {"High": "firing"}
    await room.play(60, x=0)
    assert room.told() == ["High resolved"]
    assert room.phases() == {}


async def test_an_alert_of_a_check_says_what_the_check_saw(room: Any) -> None:
    import sqlalchemy as sa

    from tocsin.model.check import CheckSpec
    from tocsin.rules.derived import check_rules
    from tocsin.state import intake
    from tocsin.state.schema import check_states

    with room.db.engine.begin() as tx:
        tx.execute(sa.insert(check_states).values(check_id="shop", state="down", message="connection refused"))
    room.evaluator.apply([check_rules([CheckSpec("shop", "Shop", "http", {}, "https://shop.example", runbook="https://r")])])
    await room.start()
    room.put(1.0, "tocsin_check_state", check="shop", state="down", instance="https://shop.example")
    await room.evaluator.evaluate_check("shop")
    with room.db.engine.begin() as tx:
        ((alert, trace),) = intake.take(tx)
    assert alert.annotations["cause"] == "connection refused"
    assert alert.annotations["summary"] == "Shop is down"
    assert alert.annotations["runbook_url"] == "https://r"
    assert alert.labels["cluster"] == "c1"
    assert trace


async def test_series_without_a_scrape_have_time_to_come_back_after_a_restart(room: Any) -> None:
    room.scraping = False
    room.rules(RULE + "  - alert: Busy\n    expr: rate(x[5m]) >= 0\n")
    await room.start()
    await room.play(90, x=5)
    assert sorted(room.told()) == ["Busy fired", "High fired"]
    await room.crash()
    room.clock.move(900_000)
    room.rules(RULE + "  - alert: Busy\n    expr: rate(x[5m]) >= 0\n")
    await room.start()
    await room.play(60)
    assert room.told() == []
    await room.play(60, x=5)
    assert room.told() == []
    room.end()
    await room.play(400)
    assert sorted(room.told()) == ["Busy resolved", "High resolved"]


async def test_a_clock_step_while_a_target_is_blind_is_taken_out_of_a_hold_once(room: Any) -> None:
    """A step that counted twice put the hold's beginning into the future: the alert went on for as long as the step."""
    room.rules(RULE.replace("for: 30s", "keep_firing_for: 60s"))
    await room.start()
    await room.play(60, x=5)
    await room.play(30, x=0)
    assert room.told() == ["High fired"]
    room.up = 0.0
    room.end()
    await room.play(30)
    room.clock.step(3_600_000)
    await room.play(60)
    room.up = 1.0
    await room.play(150, x=0)
    assert room.told() == ["High resolved"]


async def test_a_clock_set_back_while_nobody_ran_prolongs_no_hold(room: Any) -> None:
    held = "groups:\n- name: g\n  rules:\n  - alert: Slow\n    expr: x > 2\n    for: 2m\n"
    room.rules(held)
    await room.start()
    await room.play(60, x=5)
    await room.crash()
    room.store = type(room.store)()  # what is measured is remote and keeps the right time
    room.clock.wall_ms -= 3_600_000
    room.evaluator = room._evaluator()
    room.rules(held)
    await room.start()
    await room.play(150, x=5)
    assert room.told() == ["Slow fired"]


async def test_a_crash_that_takes_the_newest_samples_with_it_resolves_nothing(room: Any) -> None:
    """On a full disk samples are in memory only: after a kill the store ends with what was well."""
    rules = RULE + "  - alert: Busy\n    expr: rate(x[5m]) > 0\n"
    room.rules(rules)
    before = [room.clock.wall_ms - n * 15_000 for n in range(8, 0, -1)]
    await room.start()
    for value in (5, 50, 500, 5000, 50_000, 500_000):
        await room.play(15, x=value)
    assert sorted(room.told()) == ["Busy fired", "High fired"]
    room.store = MemoryStore()
    await room.crash()
    shift_ms = room.clock.wall_ms - 1000 - before[-1]
    for name, value in (("up", 1.0), ("x", 0.0)):
        series = Labels({"__name__": name, "job": "app", "instance": "a"})
        room.store.load(series, [t_ms + shift_ms for t_ms in before], [value] * len(before))
    room.rules(rules)
    await room.start()
    room.scraping = False
    await room.play(30)
    assert room.told() == [], "what the store has is older than what was decided"
    room.scraping = True
    await room.play(15, x=5)
    assert "High resolved" not in room.told()
    await room.play(400, x=0)
    assert sorted(room.told()) == ["Busy resolved", "High resolved"], "what was seen since then ends them"
