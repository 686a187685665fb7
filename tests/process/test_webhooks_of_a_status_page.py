"""A visitor's webhook on the real program: asked, confirmed, told, given up; and one that would lead inside unasked."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest

pytestmark = pytest.mark.process

CONFIG = """
checks: [{name: shop, http: "http://127.0.0.1:9/", every: 60s}]
status_pages:
  - {slug: inner, title: Our Shop, webhooks: {allow_private: true}, components: [{name: Website, checks: [shop]}]}
  - {slug: outer, title: The Shop, webhooks: true, components: [{name: Website, checks: [shop]}]}
  - {slug: none, title: No Shop, components: [{name: Website, checks: [shop]}]}
"""
API = "/api/tocsin/v1"


class Hook:
    """Keeps what is posted to it; answers with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                outer.posts.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.posts]


@pytest.fixture
def hook() -> Iterator[Hook]:
    running = Hook()
    yield running
    running.stop()


def form(tocsin: Any, path: str, **fields: str) -> str:
    """What a browser without JavaScript sends, with no account."""
    with urlopen(Request(tocsin.url + path, data=urlencode(fields).encode(), method="POST"), timeout=30) as answer:
        return str(answer.read().decode())


def publish(tocsin: Any, page: str, text: str, **more: Any) -> Any:
    body = {"state": "identified", "title": "Orders fail", "text": text, **more}
    return tocsin.post(f"{API}/status-pages/{page}/updates", body, status=201)


def test_a_webhook_is_asked_told_and_given_up_and_none_leads_inside_unasked(tocsin: Any, hook: Hook) -> None:
    tocsin.folder.mkdir(parents=True)
    (tocsin.folder / "tocsin.yaml").write_text(CONFIG)
    tocsin.start("--config", "tocsin.yaml")
    url = f"http://localhost:{hook.port}"
    assert "Look what your webhook got" in form(tocsin, "/status/outer/subscribe", webhook=url + "/outer")
    assert "Look what your webhook got" in form(tocsin, "/status/inner/subscribe", webhook=url + "/inner")
    [asked] = tocsin.until(hook.bodies, 30, "the question to the webhook")
    assert asked["meta"]["event"] == "subscription.confirm" and asked["page"]["name"] == "Our Shop"
    publish(tocsin, "inner", "Nobody confirmed it yet.")
    assert "You will hear from us" in form(tocsin, urlsplit(asked["confirmation"]["confirm_url"]).path)

    publish(tocsin, "inner", "A cable.", components={"Website": "down"})
    tocsin.until(lambda: len(hook.posts) > 1, 30, "the update")
    path, headers, raw = hook.posts[1]
    told = json.loads(raw)
    assert (path, told["incident"]["incident_updates"][0]["body"]) == ("/inner", "A cable.")
    assert told["page"]["status_indicator"] == "major" and told["incident"]["components"][0]["status"] == "major_outage"
    stamp, mark = (part.partition("=")[2] for part in headers["x-tocsin-signature"].split(","))
    secret = asked["confirmation"]["secret"].encode()
    assert hmac.compare_digest(mark, hmac.new(secret, stamp.encode() + b"." + raw, hashlib.sha256).hexdigest())

    # The same server by a page that keeps to the public internet: it is never called, and the log says no address.
    reason = "cannot connect to this address"
    tocsin.until(lambda: [row["state_reason"] for row in messages(tocsin, "outer")] == [reason], 30, "the refusal")
    assert "localhost" not in json.dumps(messages(tocsin)) and {post[0] for post in hook.posts} == {"/inner"}

    hook.status = 410
    for number in range(3):
        publish(tocsin, "inner", f"Still {number}.")
    given_up = tocsin.until(lambda: unsubscribed(tocsin), 30, "the webhook is given up")
    assert given_up == ["a webhook is removed: its server answered HTTP 410, 3 notices in a row"]
    assert [page["followers"] for page in tocsin.get(f"{API}/status-pages")["pages"] if page["slug"] == "inner"] == [0]
    assert tocsin.stop() == 0


def messages(tocsin: Any, page: str = "") -> list[dict[str, Any]]:
    rows = tocsin.get(f"{API}/notifications?limit=100")["notifications"]
    return [row for row in rows if row["recipient"].endswith(f"of {page}" if page else "")]


def unsubscribed(tocsin: Any) -> list[str]:
    found = tocsin.get(f"{API}/audit?limit=100")["events"]
    return [event["text"] for event in found if event["verb"] == "unsubscribed"]
