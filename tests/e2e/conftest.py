"""A real Tocsin on a free port with an empty data directory, and Debian's Chromium signed in to it."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("TOCSIN_CHROMIUM", shutil.which("chromium") or shutil.which("chromium-browser") or "")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_S = 60.0
expect.set_options(timeout=30_000)  # what is awaited comes in a moment; on a crowded machine that is a long one
_ports = random.SystemRandom()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(item.path).parents:
            item.add_marker(pytest.mark.e2e)


def free_port() -> int:
    """A port nobody listens on, below those that the system gives to connections: none of another worker's takes it meanwhile."""
    while True:
        port = _ports.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class Tocsin:
    """One running product."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    sign_in: str = ""
    cookies: Any = None
    """What a browser holds that has signed in: the printed link works once."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        return self.folder / "tocsin.yaml"

    def start(self) -> None:
        command = [
            str(Path(sys.executable).parent / "tocsin"),
            "serve",
            "-c",
            str(self.config),
            "--data-dir",
            str(self.folder / "data"),
        ]
        log = (self.folder / "tocsin.log").open("a")
        self.process = subprocess.Popen(
            [*command, "--listen", f"127.0.0.1:{self.port}"], cwd=self.folder, stdout=log, stderr=subprocess.STDOUT, text=True
        )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            found = re.findall(r"http://\S+/signin\?t=\S+", (self.folder / "tocsin.log").read_text())
            if found:
                self.sign_in = found[-1]
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        pytest.fail(f"Tocsin did not start:\n{(self.folder / 'tocsin.log').read_text()[-4000:]}")

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=5)


@pytest.fixture(scope="session")
def _built() -> None:
    if not (ROOT / "ui" / "dist" / "index.html").is_file():
        pytest.fail("the dashboard is not built: run `make ui`")


@pytest.fixture
def start_tocsin(tmp_path: Path, _built: None) -> Iterator[Callable[..., Tocsin]]:
    """Start a Tocsin with this configuration text; stopped after the test."""
    running: list[Tocsin] = []

    def start(config: str = "{}\n") -> Tocsin:
        folder = tmp_path / f"tocsin-{len(running)}"
        folder.mkdir()
        it = Tocsin(folder)
        it.config.write_text(config)
        it.start()
        running.append(it)
        return it

    yield start
    for it in running:
        it.stop()


@pytest.fixture
def tocsin(start_tocsin: Callable[..., Tocsin]) -> Tocsin:
    """A Tocsin that knows nothing yet."""
    return start_tocsin()


@pytest.fixture(scope="session")
def calm_tocsin(tmp_path_factory: pytest.TempPathFactory, _built: None) -> Iterator[Tocsin]:
    """One for all tests (of a worker) that only look: nothing is configured in it, and nobody may change it."""
    it = Tocsin(tmp_path_factory.mktemp("calm"))
    it.config.write_text("{}\n")
    it.start()
    yield it
    it.stop()


@pytest.fixture(scope="session")
def _playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(_playwright: Playwright) -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("chromium is not installed (set TOCSIN_CHROMIUM)")
    browser = _playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
    yield browser
    browser.close()


@dataclass
class Noise:
    """What the browser complained about; a page of ours complains about nothing."""

    lines: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on(
            "console",
            lambda message: (
                self.lines.append(f"{message.type}: {message.text} {message.location.get('url', '')}".rstrip())
                if message.type in ("error", "warning")
                else None
            ),
        )
        page.on("pageerror", lambda error: self.lines.append(f"uncaught: {error}"))


@pytest.fixture
def noise() -> Noise:
    return Noise()


@pytest.fixture
def open_browser(browser: Browser, noise: Noise) -> Iterator[Callable[..., Page]]:
    """A page in a profile of its own, signed in to `tocsin` and listening: what is pressed next is heard."""
    contexts: list[BrowserContext] = []

    def open_it(
        tocsin: Tocsin, *, width: int = 1440, height: int = 900, sign_in: bool = True, state: Any = None, **options: Any
    ) -> Page:
        held = tocsin.cookies if sign_in else state
        context = browser.new_context(viewport={"width": width, "height": height}, storage_state=held, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        noise.watch(page)
        if sign_in and tocsin.cookies:
            page.goto(tocsin.url + "/")
        elif sign_in:
            page.goto(tocsin.sign_in)
            button = page.get_by_role("button", name=re.compile("sign in|continue", re.I))
            if button.count():
                button.first.click()
            page.wait_for_url(tocsin.url + "/**")
            tocsin.cookies = context.storage_state()
        if sign_in:
            page.locator("h1").first.wait_for()  # from here on the page hears keys
        return page

    yield open_it
    for context in contexts:
        context.close()


class Service:
    """A web service that can be told to fail."""

    def __init__(self) -> None:
        service = self
        self.status = 200
        self.body = b"<b>fine</b>"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(service.status)
                self.end_headers()
                self.wfile.write(service.body)

            def log_message(self, *_args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/health"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    it = Service()
    yield it
    it.stop()
