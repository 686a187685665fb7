"""PromQL for requests: in threads, so many at a time, with a deadline, and cancelled when the client leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import Request

from tocsin.errors import QueryCanceled, QueryTimeout
from tocsin.metrics import Gauge
from tocsin.model.series import QueryResult
from tocsin.web.parts import WebParts
from tocsin.web.problem import Refused

T = TypeVar("T")
_OWN_THREADS = 2
_MOST_WAITING = 500
_AT_ONCE_S = 0.002
"""A query that took less the last time is answered on the loop: a thread would cost more than the answer."""
_SLOW_S = 0.02
_PACES = 4096
_NEVER = threading.Event()

queries_running = Gauge("tocsin_web_queries", "Queries running or waiting for a thread.")


class QueryRunner:
    """Runs queries of requests and of our own pages on a bounded pool."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self._threads = ThreadPoolExecutor(parts.settings.query_concurrency, thread_name_prefix="query")
        # Our own pages and /-/ready must not wait behind what somebody asks of Explore.
        self._own = ThreadPoolExecutor(_OWN_THREADS, thread_name_prefix="page")
        self._waiting = 0
        self._pace: dict[Hashable, float] = {}
        """Seconds that queries took the last time."""

    async def for_client(
        self, request: Request, work: Callable[[threading.Event], T], *, timeout_ms: int = 0, same: Hashable = None
    ) -> T:
        """Run `work` in a thread; the event it is given says that nobody waits any more. Work that is the `same` as some that
        took hardly any time runs at once.

        Raises QueryTimeout after the deadline and QueryCanceled when the client has left.
        """
        if self._pace.get(same, _AT_ONCE_S) < _AT_ONCE_S:
            return self._timed(same, lambda: work(_NEVER))
        longest_ms = self._parts.settings.query_timeout_ms
        limit_ms = min(timeout_ms or longest_ms, longest_ms)
        if self._waiting >= _MOST_WAITING:
            raise Refused(503, "busy", f"{self._waiting} queries are waiting already; try again in a moment")
        stop = threading.Event()
        gone = asyncio.create_task(_left(request))
        answer = asyncio.ensure_future(self._run(lambda: self._timed(same, lambda: work(stop)), self._threads))
        try:
            done, _ = await asyncio.wait({gone, answer}, timeout=limit_ms / 1000, return_when=asyncio.FIRST_COMPLETED)
            if answer in done:
                return answer.result()
            answer.add_done_callback(_forget)
            if gone in done:
                raise QueryCanceled("query was canceled in query execution")
            raise QueryTimeout("query timed out in query execution")
        finally:
            stop.set()
            gone.cancel()

    async def unless_left(self, request: Request, work: Coroutine[Any, Any, T]) -> T:
        """What another process works at for a request. Raises QueryCanceled, and stops the work, when the client has left."""
        gone, answer = asyncio.create_task(_left(request)), asyncio.create_task(work)
        try:
            await asyncio.wait({gone, answer}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            raise QueryCanceled("query was canceled in query execution")
        finally:
            answer.cancel()
            gone.cancel()

    def _timed(self, same: Hashable, work: Callable[[], T]) -> T:
        if same is None:
            return work()
        began_s = self._parts.clock.monotonic_s()
        answer = work()
        took_s = self._parts.clock.monotonic_s() - began_s
        if took_s < _SLOW_S:  # a little longer than before may be the machine's doing, not the query's
            took_s = min(took_s, 2 * self._pace.get(same, took_s))
        if len(self._pace) >= _PACES:
            self._pace.clear()
        self._pace[same] = took_s
        return answer

    async def _run(self, work: Callable[[], T], threads: ThreadPoolExecutor) -> T:
        self._waiting += 1
        queries_running.set(self._waiting)
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, work)
        finally:
            self._waiting -= 1
            queries_running.set(self._waiting)

    async def pieces(self, iterator: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Each piece made in a thread, when the client has taken the one before."""
        while piece := await self._run(lambda: next(iterator, b""), self._threads):
            yield piece

    # -- for our own pages -------------------------------------------------------------------------------------------

    async def instant(self, query: str, t_ms: int) -> QueryResult:
        return await self._run(lambda: self._parts.engine.instant(query, t_ms), self._own)

    async def range(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> QueryResult:
        return await self._run(lambda: self._parts.engine.range(query, start_ms, end_ms, step_ms), self._own)

    async def together(self, work: Callable[[], T]) -> T:
        """Several queries as one piece of work: one thread, one wait."""
        return await self._run(work, self._own)


def _forget(answer: asyncio.Future[Any]) -> None:
    """Nobody waits for this answer: its exception is not news."""
    if not answer.cancelled():
        answer.exception()


async def _left(request: Request) -> Any:
    """Return when the client has closed the connection. The body has been read before."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return None
