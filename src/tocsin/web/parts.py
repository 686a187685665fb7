"""What the web process is built from. `app/web.py` fills it in; tests fill in other parts."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from tocsin.bus.wire import Change, IngestAnswer, IngestRequest
from tocsin.clock import Clock
from tocsin.model.event import SYSTEM, Actor
from tocsin.model.ports import Random, SampleReader
from tocsin.promql.engine import Engine
from tocsin.state.sql import Database
from tocsin.web.oidc import OidcSettings


class Core(Protocol):
    """The way to the core; `bus.client.CoreClient` is one."""

    async def command(
        self, name: str, args: Mapping[str, Any] | None = None, actor: Actor = SYSTEM, *, timeout_s: float | None = None
    ) -> Any:
        """`timeout_s`: for commands that take their time; None = as every request."""
        ...

    async def ingest(self, kind: str, request: IngestRequest) -> IngestAnswer: ...

    def changes(self, after: int = 0) -> AsyncIterator[Change | None]: ...


@dataclass(frozen=True, slots=True)
class WebSettings:
    """What the operator may set of the web process. Durations in ms, sizes in bytes."""

    listen: Sequence[str] = ("127.0.0.1:8911",)
    external_url: str = ""
    """As people reach us; empty = the first listen address."""
    route_prefix: str = ""
    """Path prefix under which everything is served, such as `/tocsin`; no slash at the end."""
    trusted_proxies: Sequence[str] = ()
    """Addresses or networks whose X-Forwarded-For and -Proto are believed."""
    allowed_hosts: Sequence[str] = ()
    """Further Host header values that are ours (external_url's and loopback names always are)."""
    severities: Sequence[str] = ("info", "warning", "critical")
    session_idle_ms: int = 7 * 86_400_000
    session_longest_ms: int = 30 * 86_400_000
    password_memory_kib: int = 65_536
    password_passes: int = 3
    """Cost of one argon2id hash (RFC 9106's second recommendation by default)."""
    query_timeout_ms: int = 120_000
    query_concurrency: int = 4
    query_longest_text: int = 1024 * 1024
    light_samples: int = 5_000_000
    """A query that would hold more samples than this goes to the worker process."""
    worker_memory: int = 2 * 1024**3
    """What the worker may allocate; a query that needs more is refused."""
    lookback_ms: int = 300_000
    read_samples: int = 50_000_000
    """A remote-read answer of plain samples with more than this is refused; streamed chunks have no such limit."""
    admin_api: bool = False
    """Whether `/api/v1/admin/tsdb/*` is answered."""
    external_labels: Mapping[str, str] = field(default_factory=dict)
    """What this Tocsin is called from outside: `global.external_labels`."""
    ingest_limit: int = 32 * 1024 * 1024
    """Largest pushed body as sent; the core limits the decompressed size."""
    body_timeout_s: float = 30.0
    """A request body must have arrived within this time."""
    query_features: Sequence[str] = ()
    """PromQL features switched on, by Prometheus's flag names."""
    page_title: str = "Tocsin"
    status_pages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """slug -> {title, components: [{name, checks: [id]}]}: explicit mapping only, nothing else is ever shown."""
    frame_ancestors: str = "'none'"
    """Whose pages may show shared panels (`/embed/panel`) in a frame, as a policy writes it; nothing else is ever framed."""
    oidc: OidcSettings | None = None
    """The identity provider people sign in with; None = only passwords and links."""

    @property
    def loopback_only(self) -> bool:
        """We listen on loopback alone and people reach us by a loopback URL."""
        return all(_is_loopback(address) for address in self.listen) and (
            not self.external_url or is_loopback_name(urlsplit(self.external_url).hostname or "")
        )

    @property
    def base_url(self) -> str:
        """Without a slash at the end."""
        return (self.external_url or f"http://{self.listen[0]}{self.route_prefix}").rstrip("/")

    @property
    def secure(self) -> bool:
        return self.base_url.startswith("https:")


@lru_cache(maxsize=64)
def _is_loopback(listen: str) -> bool:
    """`127.0.0.1:8911`, `[::1]:8911`, `localhost:8911`, or the path of a Unix socket."""
    return listen.startswith("/") or is_loopback_name(urlsplit(f"//{listen}").hostname or "")


@lru_cache(maxsize=1024)
def is_loopback_name(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def frame_policy(sites: Sequence[str]) -> str:
    """`frame-ancestors` of a content security policy; nobody without a site."""
    return " ".join("'self'" if site == "self" else site for site in sites) or "'none'"


@dataclass(kw_only=True)
class WebParts:
    """Everything that requests need. `database` is read-only: every write is a command to the core."""

    core: Core
    database: Database
    reader: SampleReader
    engine: Engine
    clock: Clock
    random: Random
    settings: WebSettings = field(default_factory=WebSettings)
    lag_ms: Callable[[], int] = lambda: 0
    """How far the follower is behind the core's store."""
    store: Path | None = None
    """The folder of the metric store, for the worker that runs heavy queries; None = that of a following reader, if it is one."""
    static: Path | None = None
    """The built dashboard; None = `tocsin/web/static`, else `ui/dist` beside the project."""
    version: str = "0.1.0"
    revision: str = ""
    started_ms: int = 0
