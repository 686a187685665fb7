"""Many new targets: their label sets exist only while the store learns them, a few targets at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.collect.fakes import ManualClock, MemoryWriter, Servers, http_answer

from tocsin.collect.scrape_target import TargetScraper
from tocsin.collect.target import ScrapeJob, target_of
from tocsin.model.labels import Labels
from tocsin.model.series import Int64

_TARGETS, _SERIES = 8, 1200


class Learner(MemoryWriter):
    """Remembers whose series it is asked for, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def refs(self, labels: Sequence[Labels]) -> Int64:
        self.asked += {one["job"] for one in labels if one["__name__"].startswith("some")}
        return super().refs(labels)


async def test_two_targets_at_a_time_are_learned(servers: Servers, clock: ManualClock) -> None:
    body = b"".join(b"some_requests_total_%d 1\n" % i for i in range(_SERIES)) + b"# " + b"-" * 10_000 + b"\n"
    port = await servers.start(http_answer(body, headers=["Content-Type: text/plain"]))
    writer, learning = Learner(), asyncio.Semaphore(2)
    scrapers = []
    for number in range(_TARGETS):
        job = ScrapeJob(name=f"job{number}", interval_ms=15_000)
        target, _ = target_of(job, Labels({}), f"127.0.0.1:{port}")
        assert target is not None
        scrapers.append(TargetScraper(job, target, writer, clock, learning))
    await asyncio.gather(*(scraper.scrape(15_000, 15_000, 0.0) for scraper in scrapers))
    assert sum(one["__name__"] == "up" for one in writer.samples) == _TARGETS
    first = {job: writer.asked.index(job) for job in set(writer.asked)}
    last = {job: len(writer.asked) - 1 - writer.asked[::-1].index(job) for job in first}
    assert len(first) == _TARGETS
    at_once = [sum(first[job] <= at <= last[job] for job in first) for at in range(len(writer.asked))]
    assert max(at_once) <= 2, "more label sets than those of two targets were alive"
