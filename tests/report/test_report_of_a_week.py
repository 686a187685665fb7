"""A report says what the rows say: uptime, budgets, changes, noise; each plan once; nothing unescaped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.fakes.house import directory, person, policy
from tests.fakes.ports import SeededRandom
from tests.fakes.virtual import START_MS, VirtualClock, run_virtual

from tocsin.config.load import build
from tocsin.config.sources import Sources
from tocsin.errors import CommandError, ConfigError
from tocsin.model.event import SYSTEM, Actor
from tocsin.model.labels import Labels
from tocsin.promql.engine import Engine
from tocsin.promql.memory import MemoryReader
from tocsin.report.compute import compute
from tocsin.report.facts import CheckFacts, Facts, Measured
from tocsin.report.html import Page, trend
from tocsin.report.plan import Kpi, ReportPlan, ReportSettings, Slo, next_due, period
from tocsin.report.reporter import Reporter
from tocsin.state.schema import check_changes, metadata, notifications, reports
from tocsin.state.sql import Database

WEEK = 7 * 86_400_000
MONDAY = round(datetime(2026, 3, 23, tzinfo=UTC).timestamp() * 1000)
QUIET: dict[str, Any] = {
    "incidents": 0, "pages": 0, "acknowledged": 0, "resolved": 0, "reopened": 0, "mtta_ms": None, "median_tta_ms": None,
    "mttr_ms": None, "median_ttr_ms": None, "median_first_page_ms": None, "severities": [], "weeks": [], "answered_by": [],
    "rules": [], "recurring": [], "people": [],
}  # fmt: skip
SETTINGS = ReportSettings(
    kpis=(Kpi("orders <b>", "x", 100, owner="ana", unit="/min"), Kpi("wait", "y", 0.2, at_most=True)),
    slos=(Slo("shop", 0.999, check="web"), Slo("api", 0.99, expr="z")),
    names={"web": "Shop <script>"},
    services={"web": "shop"},
)


def facts(start_ms: int, *, latency: float, uptime: float = 1.0, **analytics: Any) -> Facts:
    days = tuple(latency * (1 + 0.01 * day) for day in range(7))
    down_ms = round(WEEK * (1 - uptime))
    check = CheckFacts("web", uptime, down_ms, int(down_ms > 0), Measured(days), latency * 2)
    kpis = {"orders <b>": Measured((90.0,) * 7, 90.0), "wait": Measured((), None, "no data in this time")}
    slos = {"shop": Measured(whole=uptime), "api": Measured(whole=0.995)}
    return Facts(start_ms, start_ms + WEEK, {"web": check}, kpis, slos, {**QUIET, **analytics}, [])


def week(**analytics: Any) -> dict[str, Any]:
    now = facts(MONDAY, latency=0.13, uptime=0.998, **analytics)
    return compute(SETTINGS, now, facts(MONDAY - WEEK, latency=0.1), title="Week <13>", created_ms=MONDAY + WEEK)


def test_budgets_targets_and_changes_follow_from_the_facts() -> None:
    found = week(incidents=9, pages=30)
    shop, api = found["slos"]
    assert (shop["met"], round(shop["budget_used"], 3)) == (False, 2.0) and (api["met"], round(api["budget_used"], 3)) == (
        True,
        0.5,
    )
    orders, wait = found["kpis"]
    assert orders["met"] is False and wait["met"] is None and wait["error"]
    [check] = found["checks"]
    assert check["latency"]["significant"] and check["latency"]["ratio"] == pytest.approx(0.3)
    assert found["services"] == [{"service": "shop", "checks": 1, "uptime": 0.998, "down_ms": check["down_ms"], "outages": 1}]
    text = " ".join(found["summary"])
    assert "Missed: shop, orders <b> (1 of 3 targets met)." in text and "Shop <script> 30% slower" in text
    assert found["incidents"]["pages"]["significant"] and "more than the 0 before" in text


def test_a_week_before_there_was_a_tocsin_is_nothing_to_compare_with() -> None:
    now, before = facts(MONDAY, latency=0.1, incidents=9, pages=30), replace(facts(MONDAY - WEEK, latency=0.1), whole=False)
    found = compute(SETTINGS, now, before, title="t", created_ms=0)
    assert found["incidents"]["pages"] == {"before": None, "after": 30.0, "ratio": None, "p": 1.0, "significant": False}
    assert "9 incidents and 30 pages." in found["summary"]


def test_a_calm_week_says_so_and_what_is_not_known_is_not_called_good() -> None:
    now, before = replace(facts(MONDAY, latency=0.1), checks={}), facts(MONDAY - WEEK, latency=0.1)
    calm = compute(ReportSettings(), now, before, title="t", created_ms=0)
    assert calm["summary"] == ["Nothing is known of any check in this time.", "0 incidents and 0 pages."]


@pytest.mark.parametrize("styled", [True, False])
def test_html_escapes_every_text_and_carries_its_style_only_in_mail(*, styled: bool) -> None:
    people = [{"who": "<i>ana", "pages": 3, "work": 1, "off": 1, "sleep": 1, "weeks": []}]
    html = Page(styled=styled, time_zone="Europe/Berlin").whole(week(people=people), link="https://t.example/reports/1?a='b")
    assert trend([1, None, 3, 2]) == "▁·█▅" and trend([2, 2]) == "▁▁" and trend([None, 1]) == ""
    for wrong in ("<script>", "<b>", "<i>", "?a='b"):
        assert wrong not in html
    assert ("style=" in html) is styled and "1 of the pages woke somebody" in html and "Mon 2026-03-23 01:00" in html


def test_a_plan_is_about_the_last_whole_week_or_month_by_its_own_clock() -> None:
    berlin = ReportPlan("w", "week", 0, 480, "Europe/Berlin")
    due = next_due(berlin, MONDAY)
    assert datetime.fromtimestamp(due / 1000, UTC).isoformat() == "2026-03-23T07:00:00+00:00"
    after = next_due(berlin, due)
    assert datetime.fromtimestamp(after / 1000, UTC).isoformat() == "2026-03-30T06:00:00+00:00", "summer time"
    start, end = period(berlin, after)
    assert end - start == WEEK - 3_600_000, "the week in which the clocks went forward is an hour short"
    month = ReportPlan("m", "month", time_zone="UTC")
    assert datetime.fromtimestamp(next_due(month, MONDAY) / 1000, UTC).isoformat() == "2026-04-01T08:00:00+00:00"
    start, end = period(month, next_due(month, MONDAY))
    assert (datetime.fromtimestamp(start / 1000, UTC).day, (end - start) // 86_400_000) == (1, 31)


# -- the reporter --


HOUR = 3_600_000


def latencies(start_ms: int, weeks: list[float]) -> MemoryReader:
    """Hourly samples of one check, a level for each week with a little weather."""
    reader = MemoryReader()
    times = list(range(start_ms, start_ms + len(weeks) * WEEK, HOUR))
    values = [weeks[(t - start_ms) // WEEK] * (1 + 0.01 * ((t // HOUR // 24) % 5)) for t in times]
    reader.append(Labels({"__name__": "probe_duration_seconds", "check": "web"}), times, values)
    return reader


class Desk:
    def __init__(self, path: Path) -> None:
        self.db = Database(f"sqlite:///{path}", inline=True)
        metadata.create_all(self.db.engine)
        self.clock = VirtualClock()

    def reporter(self, *plans: ReportPlan, reader: MemoryReader | None = None, **more: Any) -> Reporter:
        engine = Engine(reader or MemoryReader())
        random = SeededRandom()
        made = Reporter(
            db=self.db, engine=engine, clock=self.clock, random=random, changed=lambda *_: None, wake_notify=lambda: None
        )
        made.apply(ReportSettings(plans=plans, **more), directory(person("ana"), person("ben", "sms"), policy=policy(["ana"])))
        return made

    def sent(self) -> list[Any]:
        return self.db.read_now(lambda tx: tx.execute(sa.select(notifications).order_by(notifications.c.id)).all())

    def kept(self) -> list[Any]:
        return self.db.read_now(lambda tx: tx.execute(sa.select(reports).order_by(reports.c.id)).all())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "s.db")
    yield made
    made.db.close()


def test_reports_are_forgotten_after_their_time_and_the_numbers_go_on(desk: Desk) -> None:
    async def story() -> None:
        day_ms = 86_400_000
        keeping = desk.reporter(keep_ms=10 * day_ms)
        now_ms = desk.clock.now_ms()
        await keeping.make(now_ms - day_ms, now_ms, title="old", actor=Actor("user", "ana"), keep=True)
        await desk.clock.sleep_until_ms(now_ms + 9 * day_ms)
        await keeping.make(now_ms - day_ms, now_ms, title="new", actor=Actor("user", "ana"), keep=True)
        await keeping.look()
        assert [row.id for row in desk.kept()] == [1, 2]
        await desk.clock.sleep_until_ms(now_ms + 11 * day_ms)
        await desk.reporter().look()
        assert len(desk.kept()) == 2, "without the setting they stay"
        await keeping.look()
        assert [(row.id, row.data["title"]) for row in desk.kept()] == [(2, "new")]
        await desk.clock.sleep_until_ms(now_ms + 90 * day_ms)
        await keeping.look()
        assert [row.id for row in desk.kept()] == [2], "the newest stays: no number is given twice"

    run_virtual(story())


def test_a_plan_is_made_and_mailed_once_over_restarts_and_late_after_downtime(desk: Desk) -> None:
    plan = ReportPlan("weekly", to=("ana", "ben", "web"))

    async def story() -> None:
        due_ms = await desk.reporter(plan).look()
        await desk.clock.sleep_until_ms(due_ms)
        for _ in range(2):
            await desk.reporter(plan).look()
        [kept] = desk.kept()
        assert datetime.fromtimestamp(kept.start_ms / 1000, UTC).isoformat() == "2025-12-29T00:00:00+00:00"
        [mail] = desk.sent()
        assert (mail.recipient, mail.channel, mail.kind) == ("ana", "email", "digest"), "a report rings nobody"
        assert mail.payload["html"].startswith("<!doctype html>") and f"/reports/{kept.id}" in mail.payload["lines"][-1]
        await asyncio.sleep(2 * 7 * 86_400 + 3600)
        await desk.reporter(plan).look()
        assert len(desk.kept()) == 2, "of two reports missed while down the last one is made"
        await desk.reporter().look()
        assert await desk.reporter(plan).look() > desk.clock.now_ms()

    run_virtual(story())


def test_uptime_latency_and_expressions_are_read_from_what_is_stored(desk: Desk) -> None:
    def write(tx: Any) -> None:
        before = START_MS - 20 * 86_400_000
        rows = [(before, "up"), (START_MS - 2 * 86_400_000, "down"), (START_MS - 2 * 86_400_000 + HOUR, "up")]
        for t_ms, after in rows:
            values = {"check_id": "web", "t_ms": t_ms, "before": "", "after": after, "reason": "", "message": ""}
            tx.execute(sa.insert(check_changes).values(**values))

    desk.db.write_now(write)
    kpis = (Kpi("latency", "probe_duration_seconds", 0.12, at_most=True), Kpi("many", 'label_replace(x, "a", "b", "", "") or y'))
    slos = (Slo("shop", 0.99, check="web"), Slo("gone", 0.99, check="x"), Slo("share", 0.5, expr="vector(0.75)"))
    reader = latencies(START_MS - 2 * WEEK, [0.1, 0.15])

    async def story() -> dict[str, Any]:
        reporter = desk.reporter(reader=reader, kpis=kpis, slos=slos, names={"web": "Shop"})
        made = await reporter.make(START_MS - WEEK, START_MS, title="", actor=SYSTEM, keep=True)
        assert (await reporter.get(made["id"]))["checks"] == made["checks"]
        assert [row["id"] for row in await reporter.listed()] == [made["id"]]
        for start_ms, end_ms in ((START_MS, START_MS), (START_MS - 400 * 86_400_000, START_MS)):
            with pytest.raises(CommandError):
                await reporter.make(start_ms, end_ms, title="", actor=SYSTEM, keep=False)
        with pytest.raises(CommandError):
            await reporter.get(99)
        return made

    made = run_virtual(story())
    [check] = made["checks"]
    assert (check["name"], check["down_ms"], check["outages"], check["uptime_before"]) == ("Shop", HOUR, 1, 1.0)
    assert check["uptime"] == pytest.approx(1 - 1 / (7 * 24)) and check["latency"]["ratio"] == pytest.approx(0.5, abs=0.03)
    assert check["latency"]["significant"] and check["latency_high_s"] == pytest.approx(0.156)
    latency, many = made["kpis"]
    assert latency["met"] is False and latency["value"] == pytest.approx(0.153, abs=0.002) and latency["change"]["significant"]
    assert many["value"] is None and many["error"] == "no data in this time"
    shop, gone, share = made["slos"]
    assert shop["met"] is True and gone["met"] is None and "nothing is known" in gone["error"] and share["value"] == 0.75


def test_what_is_wrong_in_the_file_has_its_place() -> None:
    text = """
users: [{name: ana, email: ana@shop.example}]
kpis:
  - {name: a, expr: "sum(("}
  - {name: a, expr: "up", target: ">> 3"}
slos: [{name: s, target: 0.9}]
report: [{name: w, to: [nobody], at: "25:00"}]
"""
    with pytest.raises(ConfigError) as refused:
        build(Sources(("t.yaml",), {"t.yaml": text}))
    said = str(refused.value)
    assert "t.yaml:5:" in said and "expected a target" in said and "either `expr` or `check`" in said and "time of day" in said
    fixed = text.replace('">> 3"', '"<= 3"').replace("target: 0.9", "target: 0.9, check: x").replace("25:00", "08:00")
    with pytest.raises(ConfigError) as refused:
        build(Sources(("t.yaml",), {"t.yaml": fixed}))
    said = str(refused.value)
    assert "not PromQL" in said and "stands twice" in said and "'nobody' is neither a user nor a receiver" in said
