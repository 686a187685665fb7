"""A proxy that reads an answer to its end before it passes it on: no stream comes through, and the page is fresh all the same."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import expect

_NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class HoldingProxy:
    """Passes every request on to `port`; an answer that never ends never arrives."""

    def __init__(self, port: int) -> None:
        proxy = self
        self.streams_held = 0
        self.asked = 0

        class Handler(BaseHTTPRequestHandler):
            def _pass_on(self) -> None:
                proxy.streams_held += "/v1/stream" in self.path
                proxy.asked += "/v1/changes" in self.path
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                upstream = http.client.HTTPConnection("127.0.0.1", port)
                try:
                    upstream.request(self.command, self.path, body, {**self.headers, "Connection": "close"})
                    answer = upstream.getresponse()
                    whole = answer.read()  # here a stream stays
                    self.send_response(answer.status)
                    for name, value in answer.getheaders():
                        if name.lower() not in _NOT_PASSED_ON:
                            self.send_header(name, value)
                    self.send_header("content-length", str(len(whole)))
                    self.end_headers()
                    self.wfile.write(whole)
                except (OSError, http.client.HTTPException):
                    self.close_connection = True
                finally:
                    upstream.close()

            do_GET = do_POST = do_DELETE = do_PATCH = _pass_on

            def log_message(self, *_args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hold() -> Iterator[Callable[[int], HoldingProxy]]:
    running: list[HoldingProxy] = []

    def start(port: int) -> HoldingProxy:
        running.append(HoldingProxy(port))
        return running[-1]

    yield start
    for proxy in running:
        proxy.stop()


def test_a_page_behind_a_proxy_that_buffers_the_stream_stays_fresh(
    tocsin: Any, open_browser: Any, hold: Callable[[int], HoldingProxy], noise: Any
) -> None:
    proxy = hold(tocsin.port)
    through = SimpleNamespace(url=proxy.url, sign_in=tocsin.sign_in.replace(tocsin.url, proxy.url), cookies=None)
    page = open_browser(through)
    page.goto(proxy.url + "/checks")
    word = page.locator("button.live .text")
    expect(word).to_have_text("live", timeout=40_000)
    assert proxy.streams_held, "it went through the stream after all"
    csrf = page.request.get(tocsin.url + "/api/tocsin/v1/session").json()["csrf"]
    made = page.request.post(
        tocsin.url + "/api/tocsin/v1/checks",
        data={"url": "http://127.0.0.1:9/", "name": "Added behind the proxy"},
        headers={"x-csrf-token": csrf, "origin": tocsin.url},
    )
    assert made.ok, made.text()
    # Nobody touches the page, and nothing comes by the stream.
    expect(page.get_by_text("Added behind the proxy").first).to_be_visible(timeout=20_000)
    expect(word).to_have_text("live")
    expect(page.get_by_text("Data is")).to_have_count(0)
    assert proxy.asked
    assert noise.lines == []
