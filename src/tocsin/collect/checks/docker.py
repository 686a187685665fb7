"""A Docker container runs and is healthy."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import orjson
from pydantic import Field

from tocsin.collect.check import Check, check
from tocsin.collect.http1 import exchange, request_bytes
from tocsin.collect.io import Connection, Io
from tocsin.collect.outcome import Outcome, Sample, degraded, failed, passed, unsupported
from tocsin.model.check import CheckReason


@check("docker")
class Docker(Check):
    """A container is running, and healthy where it has a health check of its own. Reads the local Docker socket."""

    example = "{name: cache container, docker: shop-cache, max_restarts: 3}"
    evidence = "status, health, restarts, exit_code, started_at, oom_killed, image"

    file_only = True

    container: str = Field(min_length=1, description="name or id")
    socket: str = "/var/run/docker.sock"
    max_restarts: int = Field(0, ge=0, description="degraded after more restarts than this; 0 = do not count")

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return {"container": value}

    @property
    def target(self) -> str:
        return f"container {self.container}"

    async def run(self, io: Io) -> Outcome:
        try:
            with io.phase("connect", f"opening {self.socket}"):
                reader, writer = await asyncio.open_unix_connection(self.socket)
        except (FileNotFoundError, PermissionError, ConnectionRefusedError) as error:
            return unsupported(f"Docker cannot be asked at {self.socket}: {error.strerror}")
        connection = Connection(reader, writer, self.socket, 0)
        try:
            request = request_bytes("GET", f"/containers/{quote(self.container, safe='')}/json", {"host": "docker"})
            answer = await exchange(io, connection, "GET", request, most_bytes=4 << 20)
        finally:
            connection.close()
        if answer.status == 404:
            return failed(CheckReason.UNEXPECTED_ANSWER, f"there is no container {self.container}")
        if answer.status != 200:
            return failed(CheckReason.STATUS, f"Docker answered HTTP {answer.status}")
        return self._judge(orjson.loads(answer.body))

    def _judge(self, body: dict[str, Any]) -> Outcome:
        state = body.get("State", {})
        health = state.get("Health", {}).get("Status", "")
        restarts = int(body.get("RestartCount", 0))
        facts = {
            "status": state.get("Status"),
            "health": health,
            "restarts": restarts,
            "exit_code": state.get("ExitCode"),
            "started_at": state.get("StartedAt"),
            "oom_killed": state.get("OOMKilled"),
            "image": body.get("Config", {}).get("Image"),
        }
        samples: tuple[Sample, ...] = (("container_restarts", {}, float(restarts)),)
        if not state.get("Running") or state.get("Restarting") or state.get("Paused"):
            return failed(CheckReason.UNEXPECTED_ANSWER, f"the container is {state.get('Status')}", facts, samples)
        if health == "unhealthy":
            return failed(CheckReason.UNEXPECTED_ANSWER, "the container's own health check fails", facts, samples)
        if self.max_restarts and restarts > self.max_restarts:
            return degraded(CheckReason.UNEXPECTED_ANSWER, f"running, but restarted {restarts} times", facts, samples)
        return passed(f"running{f', {health}' if health else ''}", facts, samples)
