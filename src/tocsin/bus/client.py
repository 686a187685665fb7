"""The other processes' way to the core."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from tocsin.bus.wire import Change, IngestAnswer, IngestRequest
from tocsin.errors import CommandError
from tocsin.model.event import SYSTEM, Actor

IDLE_S = 15
"""How long a connection is kept that nobody uses."""


class CoreClient:
    """Commands, ingest and the stream of changes. Raises CommandError: 503 `core_away` while the core restarts."""

    def __init__(self, socket: Path, *, timeout_s: float = 30.0) -> None:
        self._socket = socket
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=5)
        self._session: aiohttp.ClientSession | None = None

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = aiohttp.UnixConnector(str(self._socket), limit=256, keepalive_timeout=IDLE_S)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, auto_decompress=False)
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def command(
        self, name: str, args: Mapping[str, Any] | None = None, actor: Actor = SYSTEM, *, timeout_s: float | None = None
    ) -> Any:
        """Send a command; returns its result after the core has committed. `timeout_s`: for one that takes its time."""
        body = orjson.dumps(
            {"actor": actor, "args": dict(args or {})}, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
        )
        timeout = self._timeout if timeout_s is None else aiohttp.ClientTimeout(total=timeout_s, connect=5)
        try:
            async with self._http().post(f"http://core/command/{quote(name)}", data=body, timeout=timeout) as response:
                text = await response.read()
        except TimeoutError:
            raise CommandError(504, "core_timeout", f"the core did not answer {name} in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise CommandError(503, "core_away", f"the core is not answering ({error}); it restarts within seconds") from None
        try:
            answer = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise CommandError(500, "core_failed", f"the core failed on {name}; its log says why") from None
        if "error" in answer:
            raise CommandError(response.status, answer["error"]["code"], answer["error"]["message"])
        return answer["result"]

    async def ingest(self, kind: str, request: IngestRequest) -> IngestAnswer:
        """Hand pushed bytes to the core and return its answer."""
        headers = {f"x-sent-{name}": value for name, value in request.headers.items()}
        headers["x-actor"] = orjson.dumps(request.actor).decode()
        headers["x-path"] = quote(request.path)
        try:
            async with self._http().post(
                f"http://core/ingest/{quote(kind)}", data=request.body, headers=headers, params=dict(request.query)
            ) as response:
                return IngestAnswer(
                    response.status,
                    await response.read(),
                    response.headers.get("content-type", "text/plain"),
                    {k[7:].lower(): v for k, v in response.headers.items() if k.lower().startswith("x-sent-")},
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return IngestAnswer(503, f"the core is not answering ({error})\n".encode())

    async def changes(self, after: int = 0) -> AsyncIterator[Change | None]:
        """Changes as they happen, `None` every few seconds as a sign of life. Ends when the core goes away."""
        timeout = aiohttp.ClientTimeout(total=None, connect=5, sock_read=15)
        try:
            async with self._http().get("http://core/stream", params={"after": str(after)}, timeout=timeout) as response:
                async for line in response.content:
                    entry = orjson.loads(line)
                    yield Change(**entry) if entry else None
        except (TimeoutError, aiohttp.ClientError, OSError):
            return
