"""Pictures for messages, which no message waits for: drawn once per incident and minute, in a thread of their own.

A channel that wants one inside the message asks with a budget and goes without when that has passed; others add it later.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from tocsin.log import get_log
from tocsin.metrics import Counter
from tocsin.model.notification import Notification

log = get_log("notify.pictures")

pictures_total = Counter("tocsin_notification_pictures_total", "Charts for messages.", ["outcome"])

_MOST_WAITING = 4
_MOST_PER_MINUTE = 20
"""A chart costs a tenth of a second of processor time: in a storm, messages carry the link only."""
_KEPT = 32
Draw = Callable[[Notification], bytes]


@dataclass(frozen=True, slots=True)
class Picture:
    """The chart of one message."""

    url: str
    """Signed; whoever has it sees the chart, drawn when it is asked for. Empty without an external URL."""
    drawing: Future[bytes] | None

    async def png(self, within_s: float) -> bytes:
        """The image, or nothing when it is not ready in time, failed, or is not to be."""
        if self.drawing is None:
            return b""
        done, _ = await asyncio.wait([asyncio.wrap_future(self.drawing)], timeout=within_s)
        return self.drawing.result() if done else b""


NO_PICTURE = Picture("", None)


class Pictures:
    """Draws with one thread. `draw(note)` blocks; empty bytes = there is nothing to show."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._drawings: OrderedDict[tuple[int, int], Future[bytes]] = OrderedDict()
        self._begun: deque[float] = deque(maxlen=_MOST_PER_MINUTE)

    def of(self, note: Notification, url: str) -> Picture:
        """Begin to draw the chart of a message, if there is anything to draw and time for it."""
        key = (note.incident, note.created_ms // 60_000)
        if key not in self._drawings and self._has_room():
            self._drawings[key] = self._thread.submit(self._drawn, note)
            while len(self._drawings) > _KEPT:
                self._drawings.popitem(last=False)
        return Picture(url, self._drawings.get(key))

    def _has_room(self) -> bool:
        now_s = time.monotonic()
        full = len(self._begun) == _MOST_PER_MINUTE and now_s - self._begun[0] < 60
        if full or sum(not drawing.done() for drawing in self._drawings.values()) >= _MOST_WAITING:
            pictures_total.inc("skipped")
            return False
        self._begun.append(now_s)
        return True

    def _drawn(self, note: Notification) -> bytes:
        try:
            image = self._draw(note)
        except Exception as error:  # a picture never stops a message
            pictures_total.inc("failed")
            log.warning("could not draw a chart", problem=repr(error))
            return b""
        pictures_total.inc("drawn" if image else "nothing")
        return image


def expression_of(generator_url: str) -> str:
    """The expression in a rule's link, `.../graph?g0.expr=...`; empty = none."""
    try:
        return parse_qs(urlsplit(generator_url).query).get("g0.expr", [""])[0]
    except ValueError:
        return ""


def has_evidence(note: Notification, external_url: str) -> bool:
    """Whether a rule of ours fired, whose samples lie here: another Prometheus keeps its own."""
    alerts = note.payload.get("alerts") or ()
    url = str(alerts[0].get("generator_url", "")) if alerts else ""
    return bool(external_url) and url.startswith(external_url.rstrip("/") + "/") and bool(expression_of(url))
