"""The web's side of the worker for heavy queries: start it when needed, one query at a time, kill it when it must stop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import struct
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from pathlib import Path

import orjson

from tocsin.errors import ExecutionError, QueryCanceled, QueryError, QueryTimeout
from tocsin.log import get_log
from tocsin.metrics import Counter
from tocsin.web.prometheus.job import QueryJob
from tocsin.web.trial_job import TrialJob

log = get_log("web.heavy")

heavy_total = Counter("tocsin_web_heavy_queries_total", "Queries that went to the worker process.", ["outcome"])

_IDLE_S = 300.0
"""A worker that nobody needed for so long gives its memory back."""
_GRACE_S = 3.0
"""A query that nobody waits for any more may go on for so long: starting another worker takes about as much."""
_ERRORS: dict[str, type[QueryError]] = {"timeout": QueryTimeout, "canceled": QueryCanceled}


class HeavyQueries:
    """One worker process, one query at a time."""

    def __init__(self, store: Path, *, memory_limit: int, features: Iterable[str] = ()) -> None:
        self._command = [sys.executable, "-m", "tocsin.web.worker", str(store), str(memory_limit), ",".join(features)]
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._rest: asyncio.TimerHandle | None = None

    async def answer(self, job: QueryJob | TrialJob, *, timeout_s: float) -> Begun:
        """The pieces of the answer's body; the first one is there when this returns.

        Raises QueryError. Closing the iterator before its end kills the worker, if the query does not end in a moment.
        """
        pieces = self._pieces(job, timeout_s)
        try:
            first = await anext(pieces)
        except StopAsyncIteration:
            raise ExecutionError("the worker for heavy queries gave no answer") from None
        return Begun(first, pieces)

    async def _pieces(self, job: QueryJob | TrialJob, timeout_s: float) -> AsyncGenerator[bytes, None]:
        async with self._turn:
            if self._rest is not None:
                self._rest.cancel()
            outcome = "stopped"
            process = await self._started()
            frames = _Frames(process)
            loop = asyncio.get_running_loop()
            deadline = loop.time() + timeout_s

            async def frame() -> bytes:
                # Not one timeout around it all: the reader may go on in another task than the one that began.
                return await frames.next(deadline - loop.time())

            try:
                assert process.stdin is not None
                process.stdin.write(orjson.dumps(dataclasses.asdict(job)) + b"\n")
                await process.stdin.drain()
                header = orjson.loads(await frame())
                if "error" in header:
                    await frame()
                    outcome = "failed"
                    raise _ERRORS.get(header["error_type"], ExecutionError)(header["error"])
                while piece := await frame():
                    yield piece
                outcome = "ok"
            except TimeoutError:
                outcome = "late"
                raise QueryTimeout("query timed out in the worker for heavy queries") from None
            except (asyncio.IncompleteReadError, ConnectionError):
                outcome = "lost"
                raise ExecutionError("the worker for heavy queries ended: the query needed more than it may use") from None
            finally:
                heavy_total.inc(outcome)
                if outcome in ("late", "lost") or (outcome == "stopped" and not await frames.skipped()):
                    frames.forget()
                    self._kill()
                else:
                    self._rest = loop.call_later(_IDLE_S, self._kill)

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            log.info("starting the worker for heavy queries")
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
        return self._process

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        self._process = None

    async def close(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        process = self._process
        self._kill()
        if process is not None:
            await process.wait()


class _Frames:
    """Frames of one answer. One that nobody waits for any more is still read whole, by who comes next."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._reading: asyncio.Task[bytes] | None = None

    async def next(self, timeout_s: float) -> bytes:
        self._reading = self._reading or asyncio.create_task(_frame(self._process))
        frame = await asyncio.wait_for(asyncio.shield(self._reading), timeout_s)
        self._reading = None
        return frame

    async def skipped(self) -> bool:
        """Whether the answer came to its end in a moment: then the worker, which took its time to start, can stay."""
        try:
            async with asyncio.timeout(_GRACE_S):
                while await self.next(_GRACE_S):
                    pass
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            return False
        return True

    def forget(self) -> None:
        if self._reading is not None:
            self._reading.add_done_callback(lambda done: done.cancelled() or done.exception())


async def _frame(process: asyncio.subprocess.Process) -> bytes:
    """One frame; raises IncompleteReadError when the worker is gone."""
    assert process.stdout is not None
    (length,) = struct.unpack(">I", await process.stdout.readexactly(4))
    return await process.stdout.readexactly(length)


class Begun:
    """The first piece of an answer, then the rest. Not a generator: of one that nobody began nothing is closed."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        self._first: bytes | None = first
        self._rest = rest

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._first is None:
            return await anext(self._rest)
        first, self._first = self._first, None
        return first

    async def aclose(self) -> None:
        await self._rest.aclose()
