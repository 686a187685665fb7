"""http_sd: target groups as JSON from a URL."""

from __future__ import annotations

import asyncio
import ssl

import orjson

from tocsin.collect.discover import DiscoveryFailed, groups_of
from tocsin.collect.scrape_client import ScrapeClient, ScrapeFailed
from tocsin.collect.target import HttpDiscovery, TargetGroup

_TIMEOUT_S = 30.0
_MOST_BYTES = 32 << 20


async def http_groups(discovery: HttpDiscovery) -> tuple[TargetGroup, ...]:
    """Ask once. Raises DiscoveryFailed: an error, a wrong type and bad JSON all leave the targets as they were."""
    client = ScrapeClient(discovery.url, discovery.http, "application/json", True, _TIMEOUT_S, _MOST_BYTES)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            answer = await client.get()
        if answer.content_type.partition(";")[0].strip().lower() != "application/json":
            raise DiscoveryFailed(f"{discovery.url}: unsupported content type {answer.content_type!r}, expected application/json")
        return groups_of(orjson.loads(answer.body), source=discovery.url, origin={"__meta_url": discovery.url})
    except TimeoutError:
        raise DiscoveryFailed(f"{discovery.url}: no answer within {_TIMEOUT_S:.0f} s") from None
    except (ScrapeFailed, ssl.SSLError, OSError, ValueError) as error:
        raise DiscoveryFailed(f"{discovery.url}: {error}") from None
    finally:
        client.close()
