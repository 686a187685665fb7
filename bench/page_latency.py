"""From the decision to page to the first request: 1,000 pages a minute through SQLite with synchronous=FULL.

`python bench/page_latency.py [--pages 500] [--per-minute 1000] [--dir FOLDER]` prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.fakes.house import HOOK_URL, alert, directory, page
from tests.fakes.ports import FakeSmtp, SeededRandom

from tocsin.clock import SystemClock
from tocsin.incidents.escalate import Escalator
from tocsin.model.ports import HttpResponse
from tocsin.model.route import Destination
from tocsin.notify.deliver import Deliverer
from tocsin.notify.settings import ChannelSettings
from tocsin.state.schema import metadata
from tocsin.state.sql import Database


class Sink:
    """Takes every request at once and remembers when it came."""

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}

    async def request(
        self, method: str, url: str, *, headers: Any = None, body: bytes = b"", timeout_s: float = 10.0
    ) -> HttpResponse:
        self.seen.setdefault(json.loads(body)["groupKey"], time.monotonic())
        await asyncio.sleep(0.02)
        return HttpResponse(200, {}, b"")


async def measure(pages: int, per_minute: int, folder: Path) -> dict[str, Any]:
    db = Database(f"sqlite:///{folder / 'state.db'}")
    metadata.create_all(db.engine)
    places = tuple(Destination("webhook", {"url": f"{HOOK_URL}/{n}"}, index=n) for n in range(4))
    people = directory(destinations=places)
    sink, clock, random = Sink(), SystemClock(), SeededRandom()

    def changed(topic: str, subject: str = "") -> None:
        return None

    settings = ChannelSettings({}, {}, people.receivers, "https://t.example", "t.example")
    escalator = Escalator(
        db=db, clock=clock, changed=changed, wake_notify=lambda: deliverer.wake(), random=random, directory=people
    )
    deliverer = Deliverer(
        db=db, clock=clock, http=sink, smtp=FakeSmtp(), random=random, changed=changed, undelivered=escalator.undelivered,
        settings=settings,
    )  # fmt: skip
    tasks = [asyncio.create_task(escalator.run()), asyncio.create_task(deliverer.run())]
    decided: dict[str, float] = {}
    begun = time.monotonic()
    for n in range(pages):
        await asyncio.sleep(max(begun + n * 60 / per_minute - time.monotonic(), 0))
        given = page(alert(f"A{n}", service=f"s{n}"), group=f"g{n}")
        decided[given.group_key] = time.monotonic()
        await db.write(lambda tx, given=given: escalator.receive_page(tx, given, clock.now_ms()))
        escalator.wake()
    for _ in range(100):
        if len(sink.seen) == pages:
            break
        await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    db.close()
    waits = sorted(sink.seen[key] - at for key, at in decided.items() if key in sink.seen)
    rank = lambda share: round(waits[min(int(len(waits) * share), len(waits) - 1)] * 1000, 1)  # noqa: E731
    return {
        "pages": pages,
        "deliveries": pages * len(places),
        "per_minute": per_minute * len(places),
        "not_sent": pages - len(waits),
        "p50_ms": rank(0.5),
        "p99_ms": rank(0.99),
        "max_ms": round(waits[-1] * 1000, 1),
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=250)
    parser.add_argument("--per-minute", type=int, default=250, help="pages a minute; each is four deliveries")
    parser.add_argument("--dir", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        print(json.dumps(asyncio.run(measure(options.pages, options.per_minute, Path(folder)))))


if __name__ == "__main__":
    main()
