"""One target's scrapes: body to samples, the series about the scrape itself, and the end of series that vanished."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from tocsin.clock import Clock
from tocsin.collect.layout import BadExposition, Columns, Layout, LimitError, limit_checked, unpacked
from tocsin.collect.relabel import relabel
from tocsin.collect.scrape_client import Answer, ScrapeClient, ScrapeFailed
from tocsin.collect.target import ScrapeJob, Target
from tocsin.formats.exposition import Metadata, format_of
from tocsin.log import get_log
from tocsin.model.duration import format_duration
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.ports import ExemplarWriter, SampleWriter
from tocsin.model.series import STALE_NAN, Batch, Bool, Float64, Int64

log = get_log("collect.scrape")

_ACCEPT = {
    "OpenMetricsText1.0.0": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
    "OpenMetricsText0.0.1": "application/openmetrics-text;version=0.0.1",
    "PrometheusText1.0.0": "text/plain;version=1.0.0;escaping=allow-utf-8",
    "PrometheusText0.0.4": "text/plain;version=0.0.4",
}

# Parsing more than this on the event loop would hold everything else for over 5 ms.
_INLINE_BYTES = 500_000
_INLINE_FIRST_BYTES = 30_000
_REFS_AT_ONCE = 500
_REPORTED = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_body_size_bytes",
)
_NO_REFS = np.empty(0, np.int64)


class TargetScraper:
    """State of one target. `scrape` and `failed` write what belongs to one slot."""

    def __init__(
        self,
        job: ScrapeJob,
        target: Target,
        writer: SampleWriter,
        clock: Clock,
        learning: asyncio.Semaphore,
        exemplars: ExemplarWriter | None = None,
    ) -> None:
        """`learning` lets few targets at a time read a long body for the first time."""
        self._job = job
        self._learning = learning
        self._target = target
        self._writer = writer
        self._clock = clock
        self._client = ScrapeClient(
            target.url, job.http, accept_header(job.protocols), job.compression, target.timeout_ms / 1000, job.limits.body_bytes
        )
        self._exemplars = exemplars
        self._layout = Layout(self._prepare, job.honor_timestamps, job.limits.samples, exemplars is not None)
        self._refs: Int64 = _NO_REFS
        """Of the series of the last good scrape, by their places in the layout; -1 where the store refuses one."""
        self._ended = True
        """Whether those series have ended."""
        self._refusal = ""
        self._timed: dict[Labels, int] = {}
        self._report = [Labels({**target.labels, METRIC_NAME: name}) for name in _REPORTED]
        self._report_refs: Int64 = _NO_REFS
        self._written: tuple[Int64, Bool | None] | None = None
        """References that the store takes, of the series and behind them of the report, and which those are (None = all)."""
        self._kinds: dict[str, dict[str, str]] = {}
        self.health = "unknown"
        self._last_error = ""
        self.last_ms = 0
        """When it was last scraped; 0 = never."""
        self._last_s = 0.0
        self._last_samples = 0
        parts = urlsplit(target.url)
        self.shown_url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    # -- a scrape ------------------------------------------------------------------------------------------------------

    async def scrape(self, t_ms: int, grid_ms: int, start_s: float) -> None:
        """Get and store. Raises ScrapeFailed, OSError, ssl.SSLError, TimeoutError (then call `failed`)."""
        # The timeout is the target's to keep; reading what it sent is ours, and must not be cut in the middle.
        async with asyncio.timeout(self._target.timeout_ms / 1000):
            answer = await self._client.get()
        # A new label set takes 1 KB until the store has it, and what a hundred new targets take at once stays with the process.
        first = not len(self._refs) and len(answer.body) > _INLINE_FIRST_BYTES
        async with self._learning if first else contextlib.nullcontext():
            columns = await self._read(answer)
            added = 0 if columns.same_layout else await self._adopt(columns, t_ms, grid_ms)
        took_s, kept = self._clock.monotonic_s() - start_s, len(columns.values) + len(columns.timed)
        report = (1.0, took_s, columns.scraped, kept, added, len(answer.body))
        # A copy: the layout updates its array in place at the next scrape.
        self._append(np.concatenate((columns.values, report)), t_ms, grid_ms)
        self._store_aside(columns, t_ms)
        self._tell(columns.metadata)
        self.health, self._last_error, self.last_ms, self._last_s = "up", self._refusal, t_ms, took_s
        self._last_samples = columns.scraped

    async def _read(self, answer: Answer) -> Columns:
        """Raises ScrapeFailed."""
        try:
            format = format_of(answer.content_type, self._job.fallback_protocol)
            if len(answer.body) > (_INLINE_BYTES if len(self._refs) else _INLINE_FIRST_BYTES):
                return await asyncio.to_thread(self._layout.read, answer.body, format)
            return self._layout.read(answer.body, format)
        except (BadExposition, LimitError, ValueError) as error:
            self._layout.interrupt()
            raise ScrapeFailed(str(error)) from None

    def failed(self, t_ms: int, grid_ms: int, duration_s: float, error: str) -> None:
        """`up` 0, and every series of the target ends at this moment."""
        self.health, self._last_error, self.last_ms, self._last_s = "down", error, t_ms, duration_s
        self._last_samples = 0
        self._end_series(t_ms, grid_ms)
        size = -1.0 if "limit exceeded" in error else 0.0
        self._append(np.array([0.0, duration_s, 0.0, 0.0, 0.0, size]), t_ms, grid_ms)

    def unstored(self, error: str) -> None:
        """The store refused what came: nothing is known of the target until it takes samples again."""
        self.health, self._last_error, self._last_samples = "unknown", error, 0

    def end(self, t_ms: int) -> None:
        """The target is gone: its own series and those about it end."""
        self._end_series(t_ms, 0)
        self._end_refs(self._report_refs, t_ms, 0)

    def keep_exemplars(self, writer: ExemplarWriter | None) -> None:
        self._exemplars = writer
        self._layout.with_exemplars = writer is not None

    def close(self) -> None:
        self._client.close()

    # -- storing -------------------------------------------------------------------------------------------------------

    def _append(self, values: Float64, t_ms: int, grid_ms: int) -> None:
        """One record: samples of the present series, and of those about the scrape."""
        try:
            self._append_known(values, t_ms, grid_ms)
        except KeyError:
            # The store dropped some meanwhile.
            self._report_refs, self._written = _NO_REFS, None
            if not self._ended:
                self._refs = self._writer.refs(self._layout.labels())
            self._append_known(values, t_ms, grid_ms)

    def _append_known(self, values: Float64, t_ms: int, grid_ms: int) -> None:
        refs, accepted = self._written = self._written or self._join()
        if accepted is not None:
            values = values[accepted]
        if len(refs):
            self._writer.append_refs(refs, t_ms, values, grid_ms=grid_ms)

    def _join(self) -> tuple[Int64, Bool | None]:
        if not len(self._report_refs):
            self._report_refs = self._writer.refs(self._report)
        refs = np.concatenate((_NO_REFS if self._ended else self._refs, self._report_refs))
        accepted = refs >= 0
        taken = refs[accepted]
        taken.flags.writeable = False  # The store knows such an array again at a glance.
        if not accepted.all():
            return taken, accepted
        if not self._ended:
            self._refs = taken[: len(self._refs)]  # the same, not held twice
        return taken, None

    def _store_aside(self, columns: Columns, t_ms: int) -> None:
        """Samples with times of their own, and exemplars."""
        self._store_timed(columns)
        if columns.exemplars and self._exemplars is not None:
            # Without a time of its own, and on a sample without one, an exemplar is of the scrape.
            self._exemplars.append_exemplars(
                [
                    (labels, one if one.timed or one.t_ms else dataclasses.replace(one, t_ms=t_ms))
                    for labels, one in columns.exemplars
                ]
            )

    async def _adopt(self, columns: Columns, t_ms: int, grid_ms: int) -> int:
        """Learn the references of a new layout; series that are not in it end. Answers how many are new."""
        try:
            fresh = await self._resolved(columns.fresh)
        except BaseException:
            self._layout.forget()  # its places and our references are not of the same layout now
            raise
        refs = np.empty(len(columns.origin), np.int64)
        new = columns.origin < 0
        refs[~new], refs[new] = self._refs[columns.origin[~new]], fresh[-1 - columns.origin[new]]
        gone = _NO_REFS if self._ended else self._refs[~np.isin(self._refs, refs)]
        self._refs, self._written, self._ended = refs, None, False
        self._end_refs(gone, t_ms, grid_ms)
        self._note_refused()
        return len(fresh)

    async def _resolved(self, series: list[bytes]) -> Int64:
        """References of new series, in pieces: creating one costs some 5 us."""
        found = [_NO_REFS]
        for start in range(0, len(series), _REFS_AT_ONCE):
            found.append(self._writer.refs([unpacked(one) for one in series[start : start + _REFS_AT_ONCE]]))
            if len(series) > _REFS_AT_ONCE:
                await asyncio.sleep(0)
        return np.concatenate(found)

    def _note_refused(self) -> None:
        """The rest of the target is watched as ever: its health is as it is, and people are told what is missing."""
        refused = np.flatnonzero(self._refs < 0)
        before, self._refusal = self._refusal, ""
        if len(refused):
            name = self._layout.labels()[int(refused[0])].get(METRIC_NAME)
            text = f"{len(refused)} of {len(self._refs)} series are not stored, {name} is the first"
            self._refusal = f"{text}: too many labels, names or values too long, or `store.max_series` is reached"
        if self._refusal and not before:
            log.warning("series of a target are not stored", target=self.shown_url, error=self._refusal)

    def _store_timed(self, columns: Columns) -> None:
        fresh = [(labels, t_ms, value) for labels, t_ms, value in columns.timed if self._timed.get(labels) != t_ms]
        if fresh:
            self._writer.append(
                Batch(
                    [entry[0] for entry in fresh],
                    np.array([entry[1] for entry in fresh], np.int64),
                    np.array([entry[2] for entry in fresh], np.float64),
                )
            )
        self._timed = {labels: t_ms for labels, t_ms, _ in columns.timed}

    def _end_series(self, t_ms: int, grid_ms: int) -> None:
        if not self._ended:
            self._end_refs(self._refs, t_ms, grid_ms)
        if self._timed and self._job.track_timestamps_staleness:
            ended = list(self._timed)
            self._writer.append(Batch(ended, np.full(len(ended), t_ms, np.int64), np.full(len(ended), STALE_NAN)))
        self._timed = {}
        self._ended, self._written = True, None
        if (self._refs < 0).any():
            self._layout.forget()  # there may be room for them the next time
        else:
            self._layout.interrupt()

    def _end_refs(self, refs: Int64, t_ms: int, grid_ms: int) -> None:
        refs = refs[refs >= 0]
        if len(refs):
            try:
                self._writer.append_refs(refs, t_ms, np.full(len(refs), STALE_NAN), grid_ms=grid_ms)
            except KeyError:
                pass  # the store has ended them already

    def _tell(self, metadata: list[Metadata]) -> None:
        for entry in metadata:
            self._kinds.setdefault(entry.metric, {})[entry.field] = entry.text
        for metric in {entry.metric for entry in metadata}:
            kind = self._kinds[metric]
            self._writer.set_metadata(metric, kind.get("type", "unknown"), kind.get("help", ""), kind.get("unit", ""))
        if len(self._kinds) > 10_000:
            self._kinds.clear()

    # -- labels --------------------------------------------------------------------------------------------------------

    def _prepare(self, exposed: Labels) -> Labels | None:
        """Labels as stored: the target's added (or yielding), then metric_relabel_configs and limits."""
        job, target = self._job, self._target.labels
        if job.honor_labels:
            merged = {**target, **exposed}
        else:
            merged = {**exposed, **target}
            for name in target:
                if name in exposed:
                    merged[_free_name(f"exported_{name}", merged)] = exposed[name]
        if job.metric_relabel:
            changed = relabel(merged, job.metric_relabel)
            if changed is None:
                return None
            merged = {name: value for name, value in changed.items() if not name.startswith("__") or name == METRIC_NAME}
            if not merged.get(METRIC_NAME):
                raise ValueError("metric_relabel_configs removed the metric's name")
        limits = job.limits
        return limit_checked(
            Labels(merged), most=limits.labels, name_length=limits.label_name_length, value_length=limits.label_value_length
        )

    def state(self) -> dict[str, Any]:
        """One entry of `activeTargets`."""
        last = datetime.fromtimestamp(self.last_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "discoveredLabels": dict(self._target.discovered),
            "labels": dict(self._target.labels),
            "scrapePool": self._job.name,
            "scrapeUrl": self.shown_url,
            "globalUrl": self.shown_url,
            "lastError": self._last_error,
            "lastScrape": last if self.last_ms else "0001-01-01T00:00:00Z",
            "lastScrapeDuration": self._last_s,
            "health": self.health,
            "scrapeInterval": format_duration(self._target.interval_ms),
            "scrapeTimeout": format_duration(self._target.timeout_ms),
            "lastSamples": self._last_samples,
        }


def _free_name(name: str, taken: dict[str, str]) -> str:
    while name in taken:
        name = f"exported_{name}"
    return name


def accept_header(protocols: tuple[str, ...]) -> str:
    """The job's protocols in order of preference, falling quality, then anything."""
    quality = len(protocols) + 1
    parts = []
    for i, name in enumerate(protocols):
        if name in _ACCEPT:
            parts.append(f"{_ACCEPT[name]};q=0.{quality - i}")
    return ",".join([*parts, "*/*;q=0.1"])
