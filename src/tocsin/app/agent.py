"""`tocsin probe`: the same prober in another place. It asks the core's public port for its plan and reports there.

While the core is away the checks run on by the last plan, and what they saw waits (a hundred thousand results) and is told later.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tocsin import __version__
from tocsin.app.probe import follow_plan, reporting
from tocsin.app.supervise import supervise
from tocsin.bus.wire import to_json
from tocsin.clock import SystemClock
from tocsin.collect.network import Network
from tocsin.collect.probe import Prober
from tocsin.errors import CommandError
from tocsin.log import get_log
from tocsin.random import SystemRandom

log = get_log("agent")

_TIMEOUT = aiohttp.ClientTimeout(total=40, connect=10)
"""A plan is held back for up to 20 s while nothing is new."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Flags of `tocsin probe`."""

    core: str
    """The public URL of Tocsin, with its route prefix."""
    token: str
    location: str
    ca_file: Path | None = None


class RemoteCore:
    """The core behind its public port. Says once when it cannot be reached, and once when it is back."""

    def __init__(self, settings: AgentSettings) -> None:
        self._url = settings.core.rstrip("/")
        self._token = settings.token
        self._tls = ssl.create_default_context(cafile=settings.ca_file)
        self._session: aiohttp.ClientSession | None = None
        self._trouble = ""

    async def command(self, name: str, args: Mapping[str, Any] | None = None) -> Any:
        """`probe.plan` or `probe.report`. Raises CommandError: 503 `core_away` while it cannot be reached."""
        try:
            answer = await self._post(f"{self._url}/api/tocsin/v1/{name.replace('.', '/')}", to_json(dict(args or {})))
        except CommandError as error:
            if str(error) != self._trouble:
                log.warning("the core does not answer as it should; checks run on and their results wait", error=str(error))
            self._trouble = str(error)
            raise
        if self._trouble:
            log.warning("the core answers again")
            self._trouble = ""
        return answer

    async def _post(self, url: str, body: bytes) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            async with self._http().post(url, data=body, headers=headers, allow_redirects=False) as response:
                status, text = response.status, await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise CommandError(503, "core_away", f"{self._url}: {error or type(error).__name__}") from None
        if status != 200:
            raise CommandError(status, "refused", f"{self._url} answers {status}: {text[:300].decode(errors='replace')}")
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            raise CommandError(502, "not_tocsin", f"{self._url} does not answer as Tocsin does") from None

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls),
                timeout=_TIMEOUT,
                trust_env=True,
                headers={"User-Agent": f"tocsin-probe/{__version__}"},
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


async def run_agent(settings: AgentSettings) -> None:
    """Run until SIGTERM or Ctrl-C."""
    core, clock = RemoteCore(settings), SystemClock()
    network, running, random = Network(clock=clock), set[asyncio.Task[object]](), SystemRandom()
    prober = Prober(
        clock=clock,
        random=random,
        io=network,
        report=reporting(core, settings.location, clock, random.randbytes(16).hex()),
        location=settings.location,
    )
    tasks = [
        asyncio.create_task(supervise("prober", prober.run)),
        asyncio.create_task(supervise("plan", lambda: follow_plan(core, prober, network, running, settings.location))),
    ]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await core.close()
