"""Scrapes targets on shared phases of their interval and writes what they expose.

    discovery ──groups──▶ targets ──one loop each──▶ wait for the slot ──▶ get ──▶ layout ──▶ store
                                                       └── fails ──▶ up 0, every series of the target ends

A target's slot is one of 30 phases of its interval, so that many series share one time grid. A scrape that begins in time
is stored at its scheduled time, a late one at its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tocsin.clock import Clock
from tocsin.collect.discover import Discoverer
from tocsin.collect.scrape_client import ScrapeFailed
from tocsin.collect.scrape_target import TargetScraper
from tocsin.collect.target import ScrapeJob, Target, target_of
from tocsin.errors import StoreError
from tocsin.log import get_log
from tocsin.metrics import Counter, Gauge
from tocsin.model.labels import EMPTY_LABELS, Labels
from tocsin.model.ports import Changed, ExemplarWriter, Random, SampleWriter

log = get_log("collect.scrape")

scrapes_total = Counter("tocsin_collect_scrapes_total", "Scrapes by outcome.", ["outcome"])
slots_missed_total = Counter("tocsin_collect_scrapes_missed_total", "Scrapes left out because the one before took too long.")
late_total = Counter("tocsin_collect_scrapes_late_total", "Scrapes that began too late to be stored at their scheduled time.")
targets_gauge = Gauge("tocsin_collect_targets", "Targets being scraped.")

PHASES = 30
_LATEST_MS = 100
_LEARNERS = 2


@dataclass(slots=True)
class _Pool:
    """One job and what runs for it."""

    job: ScrapeJob
    discoverer: Discoverer
    active: dict[Target, TargetScraper] = field(default_factory=dict)
    tasks: dict[Target, asyncio.Task[None]] = field(default_factory=dict)
    dropped: list[Labels] = field(default_factory=list)
    error: str = ""


class Scraper:
    """Runs every scrape job. `apply` may be called at any time; unchanged targets go on undisturbed."""

    def __init__(
        self,
        *,
        writer: SampleWriter,
        clock: Clock,
        random: Random,
        changed: Changed,
        exemplars: ExemplarWriter | None = None,
    ) -> None:
        """`exemplars` None = they are passed over."""
        self._writer = writer
        self._exemplars = exemplars
        self._clock = clock
        self._random = random
        self._changed = changed
        self._jobs: list[ScrapeJob] = []
        self._pools: dict[str, _Pool] = {}
        self._applied = asyncio.Event()
        self._learning = asyncio.Semaphore(_LEARNERS)

    def apply(self, jobs: Sequence[ScrapeJob]) -> None:
        """Scrape these jobs from now on (`run` does the rest)."""
        self._jobs = list(jobs)
        self._applied.set()

    def keep_exemplars(self, writer: ExemplarWriter | None) -> None:
        """From now on exemplars go there; None = they are passed over."""
        self._exemplars = writer
        for pool in self._pools.values():
            for scraper in pool.active.values():
                scraper.keep_exemplars(writer)

    async def run(self) -> None:
        """Until cancelled. Series of running targets are left open: after a restart they go on."""
        self._pools.clear()  # Run again, it starts every target again.
        try:
            while True:
                self._applied.clear()
                await self._update_pools()
                await self._discover()
                timer = asyncio.ensure_future(self._clock.sleep_until_ms(self._next_discovery_ms()))
                wake = asyncio.ensure_future(self._applied.wait())
                await asyncio.wait((timer, wake), return_when=asyncio.FIRST_COMPLETED)
                timer.cancel()
                wake.cancel()
        finally:
            tasks = [task for pool in self._pools.values() for task in pool.tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for pool in self._pools.values():
                for scraper in pool.active.values():
                    scraper.close()
                pool.tasks.clear()
                await pool.discoverer.close()

    # -- jobs and targets ----------------------------------------------------------------------------------------------

    async def _update_pools(self) -> None:
        jobs = {job.name: job for job in self._jobs}
        for name in [name for name, pool in self._pools.items() if jobs.get(name) != pool.job]:
            pool = self._pools.pop(name)
            for target in list(pool.active):
                self._stop(pool, target)
            await pool.discoverer.close()
        for name, job in jobs.items():
            if name not in self._pools:
                self._pools[name] = _Pool(job, Discoverer(job, self._clock))

    def _next_discovery_ms(self) -> int:
        far = self._clock.now_ms() + 3_600_000
        return min((pool.discoverer.next_ms() for pool in self._pools.values()), default=far)

    async def _discover(self) -> None:
        """Look at every discovery that is due; a failed one leaves its last good targets."""
        pools = [pool for pool in self._pools.values() if pool.discoverer.next_ms() <= self._clock.now_ms()]
        await asyncio.gather(*(pool.discoverer.refresh() for pool in pools))
        for pool in pools:
            if self._pools.get(pool.job.name) is pool:
                self._sync(pool)
        if pools:
            self._changed("targets")

    def _sync(self, pool: _Pool) -> None:
        wanted, pool.dropped, pool.error = self._targets_of(pool)
        for target in [target for target in pool.active if target not in wanted]:
            self._stop(pool, target)
        for target in wanted:
            if target not in pool.active:
                self._start(pool, target)
        targets_gauge.set(float(sum(len(p.active) for p in self._pools.values())))

    def _targets_of(self, pool: _Pool) -> tuple[dict[Target, None], list[Labels], str]:
        """Targets in order, labels of the dropped ones, and what is wrong with the job."""
        wanted: dict[Target, None] = {}
        dropped: list[Labels] = []
        error = ""
        for group in pool.discoverer.groups():
            for address in group.targets or ([""] if group.labels.get("__address__") else []):
                try:
                    target, discovered = target_of(pool.job, group.labels, address)
                except ValueError as problem:
                    error = f"target {address or group.labels}: {problem}"
                    log.warning("a target cannot be scraped", job=pool.job.name, target=address, error=str(problem))
                    continue
                if target is None:
                    dropped.append(discovered)
                else:
                    wanted[target] = None
        limit = pool.job.limits.targets
        if limit and len(wanted) > limit:
            error = f"target_limit exceeded (number of targets: {len(wanted)}, limit: {limit})"
            log.error("a scrape job has too many targets: none is scraped", job=pool.job.name, error=error)
        return wanted, dropped, error

    def _start(self, pool: _Pool, target: Target) -> None:
        scraper = TargetScraper(pool.job, target, self._writer, self._clock, self._learning, self._exemplars)
        pool.active[target] = scraper
        pool.tasks[target] = asyncio.create_task(self._loop(pool, target, scraper), name=f"scrape-{target.url}")

    def _stop(self, pool: _Pool, target: Target) -> None:
        """End a target that is gone: its loop and its series."""
        pool.tasks.pop(target).cancel()
        scraper = pool.active.pop(target)
        scraper.close()
        try:
            scraper.end(self._clock.now_ms())
        except StoreError as error:
            log.error("the end of a target was not stored", target=scraper.shown_url, error=str(error))

    # -- one target ----------------------------------------------------------------------------------------------------

    async def _loop(self, pool: _Pool, target: Target, scraper: TargetScraper) -> None:
        slot_ms = next_slot(target, self._clock.now_ms())
        while True:
            await self._clock.sleep_until_ms(slot_ms)
            started_ms = self._clock.now_ms()
            in_time = started_ms - slot_ms <= min(target.interval_ms // 100, _LATEST_MS)
            if not in_time:
                late_total.inc()
            await self._scrape(pool, target, scraper, slot_ms if in_time else started_ms, in_time=in_time)
            now_ms = self._clock.now_ms()
            slot_ms += target.interval_ms
            # A clock that was set back would leave us waiting, one set forward racing: start over from now.
            if slot_ms <= now_ms or slot_ms > now_ms + target.interval_ms:
                missed = max((now_ms - slot_ms) // target.interval_ms + 1, 0)
                slots_missed_total.inc(by=float(missed))
                slot_ms = next_slot(target, now_ms)

    async def _scrape(self, pool: _Pool, target: Target, scraper: TargetScraper, t_ms: int, *, in_time: bool) -> None:
        grid_ms = target.interval_ms if in_time else 0
        if pool.error and "target_limit" in pool.error:
            scraper.failed(t_ms, grid_ms, 0.0, pool.error)
            return
        start_s = self._clock.monotonic_s()
        was = scraper.health
        try:
            await scraper.scrape(t_ms, grid_ms, start_s)
            scrapes_total.inc("ok")
        except TimeoutError:
            self._failed(scraper, t_ms, grid_ms, start_s, f'Get "{scraper.shown_url}": context deadline exceeded')
        except (ScrapeFailed, ssl.SSLError, OSError, UnicodeError) as error:
            self._failed(scraper, t_ms, grid_ms, start_s, str(error) or type(error).__name__)
        except StoreError as error:
            self._unstored(scraper, str(error))
        if scraper.health != was:
            self._changed("targets", pool.job.name)

    def _failed(self, scraper: TargetScraper, t_ms: int, grid_ms: int, start_s: float, text: str) -> None:
        scrapes_total.inc("failed")
        if scraper.health != "down":
            log.warning("scrape failed", target=scraper.shown_url, error=text)
        try:
            scraper.failed(t_ms, grid_ms, self._clock.monotonic_s() - start_s, text)
        except StoreError as error:
            self._unstored(scraper, str(error))

    def _unstored(self, scraper: TargetScraper, text: str) -> None:
        """The disk is full: the target is asked again at its next moment. An error here would end its loop for good."""
        scrapes_total.inc("unstored")
        if scraper.health != "unknown":
            log.error("a scrape was not stored", target=scraper.shown_url, error=text)
        scraper.unstored(text)

    # -- for people ----------------------------------------------------------------------------------------------------

    def targets(self) -> dict[str, Any]:
        """The `data` of Prometheus's /api/v1/targets."""
        pools = [pool for _, pool in sorted(self._pools.items())]
        return {
            "activeTargets": [scraper.state() for pool in pools for scraper in pool.active.values()],
            "droppedTargets": [
                {"discoveredLabels": dict(labels), "scrapePool": pool.job.name}
                for pool in pools
                for labels in pool.dropped[: pool.job.limits.keep_dropped_targets or None]
            ],
            "droppedTargetCounts": {pool.job.name: len(pool.dropped) for pool in pools},
        }

    def last_ms(self) -> int:
        """When any target was last scraped; 0 = never."""
        return max((scraper.last_ms for pool in self._pools.values() for scraper in pool.active.values()), default=0)

    def problems(self) -> dict[str, str]:
        """What keeps a job from being scraped as configured, by job: failed discoveries, bad targets, limits."""
        return {pool.job.name: text for pool in self._pools.values() if (text := pool.error or pool.discoverer.error)}


def next_slot(target: Target, now_ms: int) -> int:
    """The target's next moment after now: its phase is one of 30 of the interval, by hash of URL and labels."""
    text = f"{target.url}\xff{target.labels if target.labels else EMPTY_LABELS}"
    phase = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % PHASES
    offset_ms = phase * target.interval_ms // PHASES
    return now_ms - (now_ms - offset_ms) % target.interval_ms + target.interval_ms
