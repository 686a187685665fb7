"""What stages need from outside, as protocols. `app/` hands the real parts in; tests hand in others."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from tocsin.model.alert import Page
from tocsin.model.exemplar import Exemplar
from tocsin.model.labels import Labels, Matcher
from tocsin.model.series import Batch, Float64, Int64, QueryResult, Selection


@dataclass(frozen=True, slots=True)
class SelectHints:
    """What the engine will do with the answer; a store may use it to read less. All optional."""

    func: str = ""
    step_ms: int = 0
    range_ms: int = 0
    limit: int = 0
    by: tuple[str, ...] | None = None
    """The only labels that will be looked at, besides the name; a store may leave out others, so that rows have the same labels.
    Asked for one metric only, and never kept to where series would be the same without their name."""


@dataclass(frozen=True, slots=True)
class AppendResult:
    """What became of a batch: accepted samples, and the refused ones with reasons (counts per reason)."""

    accepted: int
    refused: Mapping[str, int]


class SampleReader(Protocol):
    """A store that can be asked. All instants are ms; ranges are closed [start, end]."""

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: SelectHints = ...) -> Selection: ...

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[str]: ...

    def label_values(
        self, name: str, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0
    ) -> list[str]: ...

    def series(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[Labels]: ...

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        """metric -> (type, help, unit)."""


class SampleWriter(Protocol):
    """The store's door. Calls come from the core's loop thread; they return when the samples are in the head and the WAL buffer.

    A scrape resolves its series once with `refs` and appends by reference from then on; pushed samples come as a `Batch`.
    """

    def refs(self, labels: Sequence[Labels]) -> Int64:
        """References of series, created where new; -1 where a limit refuses the series. int64 [n]."""

    def append_refs(self, refs: Int64, t_ms: int, values: Float64, *, grid_ms: int = 0) -> AppendResult:
        """One scrape: n values at one instant. `grid_ms` > 0 = on the scheduled phase of that interval, 0 = at its own time.

        Raises KeyError when a reference is no longer known (the series was dropped): resolve again.
        """

    def append(self, batch: Batch) -> AppendResult: ...

    def set_metadata(self, metric: str, kind: str, help_text: str, unit: str = "") -> None:
        """Remember TYPE, HELP and UNIT of a metric; cheap when unchanged."""


class ExemplarWriter(Protocol):
    """The store's door for exemplars."""

    def append_exemplars(self, listed: Sequence[tuple[Labels, Exemplar]]) -> Mapping[str, int]:
        """Keep exemplars of series; answers the refused ones by reason."""


class Queryable(Protocol):
    """Somebody who answers PromQL: our engine or a remote Prometheus. Raises QueryError."""

    def instant(self, query: str, t_ms: int) -> QueryResult: ...

    def range(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> QueryResult: ...


class PageSink(Protocol):
    """Takes a decided page inside the dispatcher's own transaction (`tx` is a SQLAlchemy Connection)."""

    def __call__(self, tx: Any, page: Page, now_ms: int) -> None: ...


class Changed(Protocol):
    """Say THAT something changed, never what.

    Topics: overview, checks, alerts, incidents, silences, notifications, config, targets.
    """

    def __call__(self, topic: str, subject: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpError(Exception):
    """The request did not get an answer. `sent` = the body may have reached the other side."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Way:
    """How one request travels: TLS of its own, a proxy, whether redirects are followed."""

    tls: ssl.SSLContext | None = None
    server_name: str = ""
    proxy: str = field(default="", repr=False)
    proxy_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    follow_redirects: bool = True
    outside: bool = False
    """A stranger gave the address: only what is on the public internet is connected to, over connections of its own."""
    longest_body: int = 1 << 20
    """What more of the answer's body comes is not read."""


class Http(Protocol):
    """One HTTP request, as channels need it. Raises HttpError; never follows redirects across hosts."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
        way: Way | None = None,
    ) -> HttpResponse: ...


class WebSocket(Protocol):
    """Texts in and out of one connection."""

    async def receive(self) -> str | None:
        """The next text; None = the other side is gone."""

    async def send(self, text: str) -> None:
        """Raises HttpError when the other side is gone."""


@runtime_checkable
class WebSockets(Protocol):
    """Who can open a websocket."""

    def websocket(self, url: str) -> AbstractAsyncContextManager[WebSocket]:
        """Connect to a ws(s) URL; entering raises HttpError."""


class Smtp(Protocol):
    """One mail to one recipient. Raises HttpError-like SmtpError values as Delivery is the channel's business."""

    async def send(
        self,
        *,
        host: str,
        port: int,
        security: str,
        username: str,
        password: str,
        sender: str,
        recipient: str,
        message: bytes,
        timeout_s: float = 20.0,
    ) -> SmtpAnswer: ...


@dataclass(frozen=True, slots=True)
class SmtpAnswer:
    """What the mail server said. code 0 = no answer; `sent` = the message body may have been taken."""

    code: int
    text: str
    sent: bool


class Random(Protocol):
    """Randomness comes in by the door (jitter, ids)."""

    def random(self) -> float: ...

    def randbytes(self, n: int) -> bytes: ...


Log = Callable[..., None]
