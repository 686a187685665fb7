"""Ten thousand alerts fire at once: how long until they are grouped and handed on?

    python bench/alerts/storm.py [alerts] [incidents]

Everything the dispatcher does is in the measure: intake, merging, episodes, grouping, silences, inhibition, the decision, the
timeline and the commit with fsync. The sink only takes the page; with the word `incidents` it is the escalator, so that each page
becomes an incident with its timeline and its rows of the outbox. The goal is 2 s for 10,000 handed on.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tocsin.alerts.dispatch import Dispatcher
from tocsin.alerts.route import with_ids
from tocsin.clock import SystemClock
from tocsin.errors import Place
from tocsin.formats.matchers import parse_matchers
from tocsin.incidents.escalate import Escalator
from tocsin.incidents.people import Directory
from tocsin.model.alert import Alert, Page
from tocsin.model.labels import Labels
from tocsin.model.route import Destination, InhibitRule, Receiver, Route, Routing, Silence
from tocsin.random import SystemRandom
from tocsin.state import intake
from tocsin.state.schema import metadata
from tocsin.state.sql import Database, sqlite_url

INHIBIT = InhibitRule(parse_matchers("severity=critical"), parse_matchers("severity=warning"), ("instance",))


async def storm(
    folder: Path, count: int, group_by: tuple[str, ...] | None, *, incidents: bool
) -> tuple[float, float, int, float]:
    """Seconds on the clock and on the CPU for the first step, pages, and seconds for the same alerts reported again."""
    root = Route(id="", receiver="team", group_by=group_by, group_wait_ms=0)
    routing = Routing(root=with_ids(root), receivers={"team": Receiver("team")}, inhibit_rules=(INHIBIT,))
    db = Database(sqlite_url(folder / "state.db"))
    db.write_now(lambda tx: metadata.create_all(tx))
    pages: list[Page] = []

    clock = SystemClock()
    team = Receiver("team", (Destination("webhook", {"url": "http://127.0.0.1:9/"}),), place=Place("bench", 1))
    escalator = Escalator(
        db=db,
        clock=clock,
        changed=lambda topic, subject="": None,
        wake_notify=lambda: None,
        random=SystemRandom(),
        directory=Directory(receivers={"team": team}, severities=("warning", "critical")),
    )

    def sink(tx: Any, page: Page, now_ms: int) -> None:
        pages.append(page)
        if incidents:
            escalator.receive_page(tx, page, now_ms)

    dispatcher = Dispatcher(db=db, sink=sink, clock=clock, changed=lambda topic, subject="": None)
    dispatcher.apply(routing)
    await dispatcher.step()
    now_ms = clock.now_ms()
    await dispatcher.set_silence(Silence("", parse_matchers("team=nobody"), now_ms, now_ms + 3_600_000, "bench", "bench"))
    await dispatcher.step()
    alerts = [
        Alert(
            Labels(
                {"alertname": "InstanceDown", "instance": f"host{n}:9100", "job": "node", "severity": "critical", "team": "a"}
            ),
            {"summary": "the host does not answer", "runbook_url": "https://runbooks.example/instance-down"},
            now_ms,
            source="rule:bench",
        )
        for n in range(count)
    ]
    await db.write(lambda tx: intake.put(tx, alerts, now_ms=now_ms))
    began, cpu = time.perf_counter(), time.process_time()
    await dispatcher.step()
    took, cpu_took = time.perf_counter() - began, time.process_time() - cpu
    assert sum(len(page.firing) for page in pages) == count
    await db.write(lambda tx: intake.put(tx, alerts, now_ms=now_ms))
    began = time.perf_counter()
    await dispatcher.step()
    again = time.perf_counter() - began
    handed_on = len(pages)
    db.close()
    return took, cpu_took, handed_on, again


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    incidents = "incidents" in sys.argv[2:]
    for name, group_by in (("one group", ("alertname",)), ("a group each", None)):
        with tempfile.TemporaryDirectory() as folder:
            took, cpu, pages, again = asyncio.run(storm(Path(folder), count, group_by, incidents=incidents))
        print(f"{count} alerts, {name}: {took:.2f} s ({cpu:.2f} s CPU), {pages} pages; reported again: {again:.2f} s")


if __name__ == "__main__":
    main()
