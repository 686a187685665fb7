"""Every await of the product is a point: tasks are made by a factory whose coroutines tell where they wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from types import CodeType
from typing import Any

import sqlalchemy as sa
from tests.simulation.points import Points

from tocsin.errors import StateError

_PRODUCT = "/src/tocsin/"
_names: dict[tuple[CodeType, int], str] = {}


class Watched(Coroutine[Any, Any, Any]):
    """A coroutine of the product that passes a point whenever it is suspended."""

    def __init__(self, inner: Any, points: Points) -> None:
        self._inner = inner
        self._points = points

    def send(self, value: Any) -> Any:
        return self._waits(self._inner.send(value))

    def throw(self, *error: Any) -> Any:
        """A time-out is thrown in; whoever catches it goes on and waits again."""
        return self._waits(self._inner.throw(*error))

    def _waits(self, yielded: Any) -> Any:
        if not self._points.dead:
            self._points.visit(_place(self._inner))
        return yielded

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Any:
        return self._inner.__await__()


async def supervised(run: Callable[[], Awaitable[None]]) -> None:
    """As `app.supervise` does (which would import the whole program): a loop that ended by an error begins again a moment later.

    Only what a bad disk explains may end it; a mistake of ours ends the world.
    """
    while True:
        try:
            await run()
        except (StateError, sa.exc.SQLAlchemyError):
            await asyncio.sleep(1.0)


def task_factory(points: Points) -> Any:
    """A factory for `loop.set_task_factory`."""

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
        code = getattr(coroutine, "cr_code", None)
        if code is supervised.__code__ or _of_product(code):
            coroutine = Watched(coroutine, points)
        return asyncio.Task(coroutine, loop=loop, **more)

    return make


def _of_product(code: CodeType | None) -> bool:
    return code is not None and _PRODUCT in code.co_filename and not code.co_filename.endswith("/clock.py")


def _place(coroutine: Any) -> str:
    """The innermost line of the product that waits; one that waits for the clock is named by who asked."""
    inner = coroutine
    while (deeper := getattr(coroutine, "cr_await", None)) is not None:
        coroutine = deeper
        if _of_product(getattr(coroutine, "cr_code", None)):
            inner = coroutine
    frame = inner.cr_frame
    key = (inner.cr_code, frame.f_lineno if frame else 0)
    if key not in _names:
        _names[key] = f"await {inner.cr_code.co_qualname} line {key[1] - inner.cr_code.co_firstlineno}"
    return _names[key]
