"""Docker, systemd, process, file and plugin checks: this machine's own state."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from tests.collect.fakes import run_once

from tocsin.collect.checks.systemd import Systemd
from tocsin.model.check import CheckReason as R


@pytest.fixture
async def docker(tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    """A socket that speaks Docker's API for one container, `web`."""
    state: dict[str, Any] = {"State": {"Running": True, "Status": "running"}, "RestartCount": 0, "Config": {"Image": "shop:1"}}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        known = head.startswith(b"GET /containers/web/json ")
        body = orjson.dumps(state) if known else b'{"message":"No such container"}'
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (b"200 OK" if known else b"404 Not Found", len(body)) + body)
        await writer.drain()
        writer.close()

    path = tmp_path / "docker.sock"
    server = await asyncio.start_unix_server(handle, str(path))
    yield {"state": state, "socket": str(path)}
    server.close()


async def test_docker_containers_run_are_healthy_or_not(docker: dict[str, Any]) -> None:
    async def ask(**settings: Any) -> Any:
        return await run_once({"docker": {"container": "web", "socket": docker["socket"], **settings}})

    assert (await ask()).ok
    docker["state"]["RestartCount"] = 7
    assert (await ask(max_restarts=3)).degraded
    docker["state"]["State"]["Health"] = {"Status": "unhealthy"}
    assert "own health check" in (await ask()).message
    docker["state"]["State"] = {"Running": False, "Status": "exited", "ExitCode": 137}
    gone = await ask()
    assert (gone.ok, gone.facts["exit_code"]) == (False, 137)
    assert "no container" in (await ask(container="nope")).message
    away = await ask(socket="/does/not/exist")
    assert (away.unknown, away.reason) == (True, R.UNSUPPORTED)


@pytest.mark.parametrize(
    ("state", "ok", "degraded"),
    [
        ({"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "NRestarts": "0"}, True, False),
        ({"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "NRestarts": "9"}, True, True),
        ({"LoadState": "loaded", "ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "1"}, False, False),
        ({"LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead"}, False, False),
        ({"LoadState": "not-found", "ActiveState": "inactive"}, False, False),
    ],
)
def test_systemd_states_are_judged(state: dict[str, str], ok: bool, degraded: bool) -> None:
    outcome = Systemd(unit="nginx.service", max_restarts=5)._judge(state)
    assert (outcome.ok, outcome.degraded) == (ok, degraded)


async def test_processes_are_counted_without_showing_their_command_lines() -> None:
    mine = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    found = await run_once({"process": mine, "timeout": "5s"})
    assert found.ok, found.message
    assert all(set(entry) == {"pid", "name", "user", "rss"} for entry in found.facts["processes"])
    assert not (await run_once({"process": "no-such-program-here", "timeout": "5s"})).ok
    assert (await run_once({"process": {"name": "no-such-program-here", "min": 0}, "timeout": "5s"})).ok
    assert not (await run_once({"process": {"command": "(?i)pytest", "min": 10_000}, "timeout": "5s"})).ok


async def test_files_are_there_young_and_large(tmp_path: Path) -> None:
    (tmp_path / "a.dump").write_bytes(b"x" * 10)
    (tmp_path / "b.dump").write_bytes(b"x" * 2000)
    os.utime(tmp_path / "a.dump", (1_600_000_000, 1_600_000_000))
    pattern = str(tmp_path / "*.dump")
    newest = await run_once({"file": {"path": pattern, "max_age": "1h", "min_size": "1KB"}})
    assert (newest.ok, newest.facts["size_bytes"]) == (True, 2000)
    assert "expected younger" in (await run_once({"file": {"path": str(tmp_path / "a.dump"), "max_age": "1h"}})).message
    assert "expected at least" in (await run_once({"file": {"path": pattern, "min_size": "1MB"}})).message
    assert not (await run_once({"file": str(tmp_path / "none")})).ok
    assert (await run_once({"file": {"path": str(tmp_path / "none"), "exists": False}})).ok


def plugin(folder: Path, text: str) -> str:
    path = folder / "plugin.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("script", "ok", "degraded", "unknown", "said"),
    [
        ("echo 'LOAD OK - 0.5|load1=0.5;5;10 used=12%'", True, False, False, "LOAD OK - 0.5"),
        ("echo WARNING; exit 1", True, True, False, "WARNING"),
        ("echo CRITICAL; exit 2", False, False, False, "CRITICAL"),
        ("echo what; exit 3", False, False, True, "what (exit code 3)"),
        ("exit 127", False, False, True, "exit code 127"),
    ],
)
async def test_nagios_plugins(tmp_path: Path, script: str, ok: bool, degraded: bool, unknown: bool, said: str) -> None:
    result = await run_once({"plugin": [plugin(tmp_path, script)], "timeout": "5s"})
    assert (result.ok, result.degraded, result.unknown) == (ok, degraded, unknown)
    assert said in result.message


async def test_a_plugin_s_figures_become_samples_and_a_hung_one_is_killed(tmp_path: Path) -> None:
    result = await run_once({"plugin": [plugin(tmp_path, "echo 'OK | load1=0.5;5;10 used=12%'")], "timeout": "5s"})
    assert ("plugin_value", {"figure": "load1", "unit": ""}, 0.5) in result.samples
    assert ("plugin_value", {"figure": "used", "unit": "%"}, 12.0) in result.samples
    mark = tmp_path / "pid"
    hung = await run_once({"plugin": [plugin(tmp_path, f"echo $$ > {mark}; sleep 60 & wait")], "timeout": "300ms"})
    assert hung.reason is R.TIMEOUT
    group = int(mark.read_text())
    left = [p for p in psutil.process_iter(["status"]) if p.info["status"] != psutil.STATUS_ZOMBIE and _group(p.pid) == group]
    assert left == [], "the program and what it started are gone"


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0
