"""One look at a target before anybody decides to scrape it: what it exposes, or why it cannot be read. Nothing is stored."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from tocsin.collect.scrape_client import ScrapeClient, ScrapeFailed
from tocsin.collect.scrape_target import accept_header
from tocsin.collect.target import ScrapeJob, Target, target_of
from tocsin.formats.exposition import Exposition, format_of, parse
from tocsin.model.labels import METRIC_NAME

_PATIENCE_S = 3.0
_LARGEST_BYTES = 8 << 20
_SUFFIXES = ("_bucket", "_count", "_sum", "_total", "_created", "_info")


@dataclass(frozen=True, slots=True)
class Look:
    """What one target answered."""

    url: str
    error: str = ""
    samples: int = 0
    metrics: tuple[tuple[str, str, str], ...] = ()
    """(name, type, help), as the target orders them."""


async def look(job: ScrapeJob, most: int) -> list[Look]:
    """The first `most` static targets of a job, all at once. Targets that are discovered are not asked for."""
    wanted: list[Target] = []
    for group in job.static:
        for address in group.targets:
            try:
                target, _ = target_of(job, group.labels, address)
            except ValueError:
                continue  # said when the job is read
            if target is not None and len(wanted) < most:
                wanted.append(target)
    return list(await asyncio.gather(*(_one(job, target) for target in wanted)))


async def _one(job: ScrapeJob, target: Target) -> Look:
    patience_s = min(target.timeout_ms / 1000, _PATIENCE_S)
    client = ScrapeClient(target.url, job.http, accept_header(job.protocols), job.compression, patience_s, _LARGEST_BYTES)
    try:
        async with asyncio.timeout(patience_s):
            answer = await client.get()
        kind = format_of(answer.content_type, job.fallback_protocol)
        read, errors = await asyncio.to_thread(parse, answer.body, kind)
    except TimeoutError:
        return Look(target.url, f"no answer within {patience_s:.0f} s")
    except (ScrapeFailed, ssl.SSLError, OSError, UnicodeError, ValueError) as error:
        return Look(target.url, str(error) or type(error).__name__)
    finally:
        client.close()
    if not read.samples:
        return Look(target.url, str(errors[0]) if errors else "it answers, but exposes no metrics")
    return Look(target.url, "", len(read.samples), _families(read))


def _families(read: Exposition) -> tuple[tuple[str, str, str], ...]:
    """Each metric once: a histogram by its own name, not by those of its parts."""
    types = {one.metric: one.text for one in read.metadata if one.field == "type"}
    helps = {one.metric: one.text for one in read.metadata if one.field == "help"}
    names: dict[str, None] = {}
    for sample in read.samples:
        name = sample.labels.get(METRIC_NAME)
        whole = next(
            (name.removesuffix(end) for end in _SUFFIXES if name.endswith(end) and name.removesuffix(end) in types), name
        )
        names[name if name in types else whole] = None
    return tuple((name, types.get(name, ""), helps.get(name, "")) for name in names)
