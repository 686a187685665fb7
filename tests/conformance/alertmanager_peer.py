"""A real Alertmanager and our own API side by side, for differential tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import uvicorn
from starlette.applications import Starlette

from tocsin.alerts.dispatch import Dispatcher
from tocsin.clock import SystemClock
from tocsin.config.alertmanager import build_routing, read_alertmanager
from tocsin.formats.alertmanager_json import alerts_from_command
from tocsin.formats.yaml_tree import parse_yaml
from tocsin.model.event import SYSTEM, Actor
from tocsin.model.route import Routing
from tocsin.state.schema import metadata
from tocsin.state.sql import Database, sqlite_url
from tocsin.web.api_alertmanager import routes


def peer(name: str) -> str:
    """Path of a real binary; skips the test, naming it, where it is not installed."""
    path = Path(os.environ.get("TOCSIN_PEERS", "/opt/peers")) / "bin" / name
    if not path.exists():
        pytest.skip(f"the real {name} is not installed at {path}")
    return str(path)


def shared_data(name: str) -> Path:
    base = Path(os.environ.get("TOCSIN_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    path = base / "data" / name
    if not path.exists():
        pytest.skip(f"there is no {path}")
    return path


def routing_of(text: str) -> Routing:
    """Our reading of an alertmanager.yml that is right."""
    tree = parse_yaml(text, "alertmanager.yml")
    config, problems = read_alertmanager(tree.value, tree)
    assert config is not None, [str(problem) for problem in problems]
    assert not problems, [str(problem) for problem in problems]
    routing, _ = build_routing(config, tree, read_file=lambda name: "x", original=text)
    return routing


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Api:
    """A client of either side."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> tuple[int, Any]:
        """Status and the JSON answer (bytes when it is not JSON)."""
        data = raw if raw is not None else None if body is None else orjson.dumps(body)
        request = urllib.request.Request(self.url + path, data=data, method=method, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                status, answer = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, answer = error.code, error.read()
        try:
            return status, orjson.loads(answer)
        except orjson.JSONDecodeError:
            return status, answer

    def get(self, path: str, **query: Any) -> tuple[int, Any]:
        text = urllib.parse.urlencode(query, doseq=True)
        return self.call("GET", f"{path}?{text}" if text else path)

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        return self.call("POST", path, body)


@contextlib.contextmanager
def real_alertmanager(folder: Path, config: str, *flags: str) -> Iterator[Api]:
    """A running Alertmanager with this configuration."""
    binary = peer("prometheus-alertmanager")
    file = folder / "alertmanager.yml"
    file.write_text(config)
    port = free_port()
    process = subprocess.Popen(
        [
            binary,
            f"--config.file={file}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--log.level=error",
            *flags,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    api = Api(f"http://127.0.0.1:{port}")
    try:
        _wait_ready(api, process)
        yield api
    finally:
        process.kill()
        process.wait()


def _wait_ready(api: Api, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the real Alertmanager ended at once"
        with contextlib.suppress(OSError):
            if api.get("/-/ready")[0] == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the real Alertmanager did not get ready")


class _DirectCore:
    """Commands answered by a dispatcher in the same process."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def command(self, name: str, args: Any = None, actor: Actor = SYSTEM) -> Any:
        match name:
            case "alerts.post":
                await self._dispatcher.post(alerts_from_command(args["alerts"]), actor)
                await self._dispatcher.step()
                return {}
            case "alerts.routing":
                return await self._dispatcher.command_routing(args, actor)
            case "silence.set":
                return await self._dispatcher.command_set_silence(args, actor)
            case "silence.expire":
                return await self._dispatcher.command_expire_silence(args, actor)
            case _:
                raise AssertionError(f"the API asked for {name}")


@contextlib.contextmanager
def our_api(folder: Path, routing: Routing) -> Iterator[Api]:
    """Our Alertmanager API over a dispatcher and a database of its own, on a real socket."""
    port = free_port()
    started = threading.Event()
    server_box: list[uvicorn.Server] = []

    async def serve() -> None:
        clock = SystemClock()
        db = Database(sqlite_url(folder / "tocsin.db"), inline=True)
        metadata.create_all(db.engine)
        dispatcher = Dispatcher(db=db, sink=lambda tx, page, now_ms: None, clock=clock, changed=lambda topic, subject="": None)
        dispatcher.apply(routing)
        await dispatcher.step()
        parts: Any = SimpleNamespace(
            core=_DirectCore(dispatcher), database=db, clock=clock, version="0", revision="", started_ms=clock.now_ms()
        )
        app = Starlette(routes=routes(parts))
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off"))
        server_box.append(server)
        serving = asyncio.create_task(server.serve())
        stepping = asyncio.create_task(dispatcher.run())
        while not server.started:
            await asyncio.sleep(0.01)
        started.set()
        await serving
        stepping.cancel()
        await asyncio.gather(stepping, return_exceptions=True)
        db.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(20), "our API did not start"
    try:
        yield Api(f"http://127.0.0.1:{port}")
    finally:
        server_box[0].should_exit = True
        thread.join(10)


def amtool(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [peer("amtool"), f"--alertmanager.url={url}", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
