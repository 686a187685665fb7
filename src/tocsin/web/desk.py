"""What handlers work with: the parts, the core's views, the live hub and the query runner; and how a handler gets at them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from starlette.requests import Request

from tocsin.model.event import Actor
from tocsin.promql.engine import Engine
from tocsin.tsdb.follower import Follower
from tocsin.web.auth import Caller
from tocsin.web.corestate import CoreState
from tocsin.web.heavy import HeavyQueries
from tocsin.web.live import Hub
from tocsin.web.origin import Peer
from tocsin.web.parts import WebParts, WebSettings
from tocsin.web.queries import QueryRunner


@dataclass(frozen=True, slots=True)
class Desk:
    """One per web process; handlers are built with it."""

    parts: WebParts
    state: CoreState
    hub: Hub
    queries: QueryRunner
    light_engine: Engine
    """For queries of requests: refuses what would hold too many samples in this process."""
    heavy: HeavyQueries | None
    """Where those go then; None = nowhere."""

    @classmethod
    def of(cls, parts: WebParts) -> Desk:
        state, hub, settings = CoreState(parts), Hub(parts), parts.settings
        hub.on_change(state.changed)
        light, heavy = parts.engine, None
        store = parts.store or (parts.reader.path if isinstance(parts.reader, Follower) else None)
        if store is not None:
            heavy = HeavyQueries(store, memory_limit=settings.worker_memory, features=settings.query_features)
            options = replace(parts.engine.options, max_samples=settings.light_samples)
            light = Engine(parts.reader, options, clock=parts.clock)
        return cls(parts, state, hub, QueryRunner(parts), light, heavy)

    @property
    def settings(self) -> WebSettings:
        return self.parts.settings

    def now_ms(self) -> int:
        return self.parts.clock.now_ms()

    def path(self, path: str) -> str:
        """A path of ours as links need it: with the route prefix."""
        return self.settings.route_prefix + path


def caller_of(request: Request) -> Caller:
    """Who asks; only for routes that need somebody."""
    caller = request.state.caller
    assert isinstance(caller, Caller), "this route's permission lets nobody in anonymously"
    return caller


def actor_of(request: Request) -> Actor:
    return caller_of(request).actor


def peer_address(request: Request) -> str:
    peer = request.state.peer
    assert isinstance(peer, Peer)
    return peer.address
