"""The web process: the public port. Reads the state database and follows the store; every change is a command to the core."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import socket
from collections.abc import Mapping
from typing import Any

import uvicorn

from tocsin import __version__
from tocsin.app.metricspush import push_metrics
from tocsin.app.pulse import Pulse
from tocsin.app.settings import ServeSettings
from tocsin.app.supervise import supervise
from tocsin.bus.client import CoreClient
from tocsin.bus.server import EmbeddedServer
from tocsin.clock import SystemClock
from tocsin.errors import CommandError
from tocsin.heap import keep_pages
from tocsin.promql.engine import Engine, EngineOptions
from tocsin.random import SystemRandom
from tocsin.state.sql import Database, sqlite_url
from tocsin.tsdb.follower import Follower
from tocsin.web.oidc import OidcSettings
from tocsin.web.parts import WebParts, WebSettings, frame_policy
from tocsin.web.protocol import PatientProtocol
from tocsin.web.server import create_app


async def run_web(settings: ServeSettings, pulse: Pulse, listener: socket.socket) -> None:
    """Serve on the parent's listening socket until SIGTERM."""
    keep_pages()
    core, clock = CoreClient(settings.core_socket, timeout_s=100), SystemClock()
    state = await _core_state(core)
    follower = Follower(path=settings.store_path, clock=clock)
    parts = WebParts(
        core=core,
        database=Database(sqlite_url(settings.state_path), read_only=True, readers=4),
        reader=follower,
        engine=Engine(follower, EngineOptions(features=frozenset(state["features"]))),
        clock=clock,
        random=SystemRandom(),
        settings=_web_settings(WebSettings(listen=(settings.listen,), query_features=state["features"]), state),
        lag_ms=follower.lag_ms,
        version=__version__,
        started_ms=clock.now_ms(),
    )
    config = uvicorn.Config(
        create_app(parts),
        log_level="warning",
        access_log=False,
        http=PatientProtocol,
        ws="none",
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
    )
    server = EmbeddedServer(config)
    tasks = [
        asyncio.create_task(supervise("follow", follower.run)),
        asyncio.create_task(supervise("settings", lambda: _follow_settings(core, parts))),
        asyncio.create_task(supervise("metrics", lambda: push_metrics(core, "web", pulse.restarts))),
    ]
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: setattr(server, "should_exit", True))
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the parent decides
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    pulse.ready()
    await serving
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await core.close()


async def _core_state(core: CoreClient) -> Mapping[str, Any]:
    """What the configuration says to the web; waits while the core starts."""
    while True:
        try:
            state: Mapping[str, Any] = await core.command("config.state")
            return state
        except CommandError:
            await asyncio.sleep(0.2)


async def _follow_settings(core: CoreClient, parts: WebParts) -> None:
    """Take over what a reload changed."""
    while True:
        async for change in core.changes(0):
            if change is not None and change.topic == "config":
                state = await _core_state(core)
                parts.settings = _web_settings(parts.settings, state)
        await asyncio.sleep(0.5)


def _web_settings(before: WebSettings, state: Mapping[str, Any]) -> WebSettings:
    """The settings with what the configuration says now."""
    return dataclasses.replace(
        before,
        external_url=state["external_url"],
        severities=tuple(state["severities"]),
        route_prefix=state["web"]["route_prefix"],
        trusted_proxies=tuple(state["web"]["trusted_proxies"]),
        allowed_hosts=tuple(state["web"]["allowed_hosts"]),
        frame_ancestors=frame_policy(state["web"].get("frame_ancestors", ())),
        admin_api=state["web"]["admin_api"],
        read_samples=state["web"]["remote_read_samples"],
        external_labels=state["external_labels"],
        status_pages=state["status_pages"],
        oidc=OidcSettings(**oidc) if (oidc := state["web"].get("oidc")) else None,
    )
