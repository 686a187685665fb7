"""The real program under test: starts `tocsin serve` on free ports, asks it as people and scripts do, ends it by pid."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import psutil


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Tocsin:
    """One `tocsin serve` with its own data directory and working directory."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None
        self.lines: list[str] = []
        self.token = ""

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self, *arguments: str, wait: bool = True) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tocsin", "serve", "--data-dir", str(self.data), "--listen", f"127.0.0.1:{self.port}"]
        self.lines = []
        self.process = subprocess.Popen(
            [*command, *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        if wait:
            self.until(lambda: any("is ready at" in line for line in self.lines), 60, "Tocsin says that it is ready")
            if not self.token:
                self.token = self.cli("token", "create", "--role", "admin").strip()

    def environment(self) -> dict[str, str]:
        source = str(Path(__file__).resolve().parents[2] / "src")
        return {**os.environ, "PYTHONPATH": source, "PYTHONUNBUFFERED": "1", "TOCSIN_DATA_DIR": str(self.data)}

    def _read(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill_all()
            raise AssertionError("Tocsin did not stop within 40 s of SIGTERM:\n" + self.log()) from None

    def kill_all(self) -> None:
        for process in [*self.children().values(), self.process]:
            with contextlib.suppress(psutil.Error, ProcessLookupError, AttributeError):
                process.kill()  # type: ignore[union-attr]

    def children(self) -> dict[str, psutil.Process]:
        """core, probe, web by name."""
        assert self.process is not None
        found = {}
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children():
                with contextlib.suppress(psutil.Error):
                    found[Path(f"/proc/{child.pid}/comm").read_text().strip().removeprefix("tocsin-")] = child
        return found

    def kill(self, name: str) -> int:
        """kill -9 one child; returns its pid."""
        child = self.children()[name]
        os.kill(child.pid, signal.SIGKILL)
        return child.pid

    @property
    def link(self) -> str:
        """The sign-in link that the console shows."""
        return next(match[0] for line in self.lines if (match := re.search(r"http://\S+/signin\?t=\S+", line)))

    def log(self) -> str:
        return "\n".join(self.lines[-60:])

    # -- asking -------------------------------------------------------------------------------------------------------

    def cli(self, *arguments: str, status: int | None = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tocsin", *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if status is not None:
            assert done.returncode == status, (
                f"tocsin {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()}"
            )
        return done.stdout + (done.stderr if status != 0 else "")

    def get(self, path: str, *, status: int = 200, headers: dict[str, str] | None = None) -> Any:
        return self.request("GET", path, status=status, headers=headers)

    def post(self, path: str, body: Any = None, *, status: int = 200) -> Any:
        return self.request("POST", path, body=body, status=status)

    def request(
        self, method: str, path: str, *, body: Any = None, status: int = 200, headers: dict[str, str] | None = None
    ) -> Any:
        async def ask() -> tuple[int, str, bytes]:
            sent = {"Authorization": f"Bearer {self.token}", **(headers or {})} if self.token else dict(headers or {})
            async with (
                aiohttp.ClientSession() as session,
                session.request(method, self.url + path, json=body, headers=sent, allow_redirects=False) as answer,
            ):
                return answer.status, answer.content_type, await answer.read()

        # In a thread of its own: a browser test before this one may have left an event loop in ours.
        with ThreadPoolExecutor(1) as thread:
            got, kind, data = thread.submit(asyncio.run, ask()).result()
        assert got == status, f"{method} {path}: {got} instead of {status}: {data[:2000]!r}\n{self.log()}"
        if "json" in kind:
            import orjson

            return orjson.loads(data) if data else None
        return data.decode()

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        from urllib.parse import quote

        answer = self.get(f"/api/v1/query?query={quote(expression)}")
        return [(row["metric"], float(row["value"][1])) for row in answer["data"]["result"]]

    def until(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:
        """Look every 0.1 s until `condition()` is true; its value."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, KeyError, IndexError):
                if found := condition():
                    return found
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"Tocsin ended with {self.process.returncode} before: {what}\n{self.log()}")
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.log()}")
