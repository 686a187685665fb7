"""A post to a visitor's webhook: what it says, that it is signed, and that it leads to the public internet only."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest
from tests.fakes.ports import FakeHttp

from tocsin.model.egress import EgressRules, parse_networks
from tocsin.model.notification import DeliveryOutcome, Notification, NotificationKind
from tocsin.model.ports import HttpError, HttpResponse, Way
from tocsin.notify.channel import Io
from tocsin.notify.http import RealHttp
from tocsin.notify.links import visitor_secret, visitor_urls
from tocsin.notify.render import message
from tocsin.notify.settings import ChannelSettings
from tocsin.notify.spoken import text_of

URL = "https://hooks.example.com/a"
NOW = 1_767_225_600_000
VISITOR = {"page": "shop", "page_title": "The Shop", "subscriber": 7, "update": 3}
HOOK = {"page": {"status_indicator": "minor"}, "incident": {"id": "1", "name": "Orders fail", "status": "identified"}}
MOVED = HttpResponse(302, {"location": "http://10.0.0.1/"}, b"")
OUTSIDE = Way(follow_redirects=False, outside=True, longest_body=4_096)
SETTINGS = ChannelSettings(external_url="https://status.example", hook_pages={"shop": False, "inner": True})


def post(answer: Any = None, *, visitor: dict[str, Any] = VISITOR, **payload: Any) -> tuple[Any, FakeHttp, dict[str, Any]]:
    told = {"title": "Identified: Orders fail", "lines": ["A cable."], "visitor": visitor, "hook": HOOK, **payload}
    note = Notification(
        "0" * 32, 0, NotificationKind.PUBLISHED, "webhook", "", "visitor 7 of shop", 0, 0, 1, "You get this because.", "k",
        f"visitor:{URL}", told,
    )  # fmt: skip
    http = FakeHttp(default=answer or HttpResponse(200, {}, b"thanks"))
    urls = visitor_urls(SETTINGS.external_url, b"key", visitor, 0) | {"secret": visitor_secret(b"key", "shop", 7, URL)}
    channel = SETTINGS.channel(note.settings_ref)
    delivery = asyncio.run(channel.send(message(note, visitor=urls), Io(http, None, NOW)))  # type: ignore[arg-type]
    body = orjson.loads(http.requests[-1].body) if http.requests else {}
    return delivery, http, body


def test_an_update_says_page_incident_and_how_to_stop_and_is_signed() -> None:
    delivery, http, body = post()
    assert delivery.outcome is DeliveryOutcome.ACCEPTED and http.requests[0].url == URL
    assert body["meta"]["event"] == "incident.updated" and body["meta"]["delivery"] == "0" * 32
    assert body["meta"]["unsubscribe"].startswith("https://status.example/status/shop/leave/7.0.")
    assert body["page"] == {
        "id": "shop", "name": "The Shop", "url": "https://status.example/status/shop", "status_indicator": "minor",
    }  # fmt: skip
    assert body["incident"] == HOOK["incident"] | {"shortlink": "https://status.example/status/shop#update-3"}
    headers = http.requests[0].headers
    mark = hmac.new(
        visitor_secret(b"key", "shop", 7, URL).encode(), b"%d.%s" % (NOW // 1000, http.requests[0].body), hashlib.sha256
    ).hexdigest()
    assert headers["X-Tocsin-Signature"] == f"t={NOW // 1000},v1={mark}" and headers["X-Tocsin-Delivery"] == "0" * 32
    assert "secret" not in str(body), "it was told once, with the question"


def test_the_question_tells_the_link_and_the_secret_and_the_log_neither() -> None:
    _, http, body = post(visitor={**VISITOR, "confirm": True, "update": 0}, hook=None)
    assert body["meta"]["event"] == "subscription.confirm" and "incident" not in body
    assert "/status/shop/confirm/7." in body["confirmation"]["confirm_url"]
    assert body["confirmation"]["secret"] == visitor_secret(b"key", "shop", 7, URL) != visitor_secret(b"key", "shop", 8, URL)
    kept = text_of("application/json", http.requests[0].body, whole=True)
    assert body["confirmation"]["secret"] not in kept


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (HttpResponse(204, {}, b""), DeliveryOutcome.ACCEPTED, ""),
        (MOVED, DeliveryOutcome.PERMANENT, "HTTP 302 (redirects are not followed)"),
        (HttpResponse(410, {}, b"visitor@shop.example is gone"), DeliveryOutcome.PERMANENT, "HTTP 410"),
        (HttpResponse(503, {}, b"later"), DeliveryOutcome.RETRY, "HTTP 503"),
        (HttpError("cannot connect to hooks.example.com", sent=False), DeliveryOutcome.RETRY, "cannot connect to this address"),
        (HttpError("no answer within 5 s", sent=True), DeliveryOutcome.UNKNOWN, "no answer came"),
    ],
)  # fmt: skip
def test_an_answer_is_judged_by_its_status_and_its_text_is_not_kept(answer: Any, outcome: DeliveryOutcome, reason: str) -> None:
    delivery, _, _ = post(answer)
    assert (delivery.outcome, delivery.reason) == (outcome, reason)


def test_a_long_pause_that_a_stranger_asks_for_is_cut() -> None:
    delivery, _, _ = post(HttpResponse(429, {"retry-after": "20000"}, b""))
    assert delivery.retry_after_ms == 3_600_000


def test_a_page_whose_webhooks_were_switched_off_posts_nothing() -> None:
    delivery, http, _ = post(visitor={**VISITOR, "page": "other"})
    assert delivery.outcome is DeliveryOutcome.PERMANENT and http.requests == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255",
        "224.0.0.1", "240.0.0.1", "192.0.2.1", "198.18.0.1", "168.63.129.16", "::1", "::", "fe80::1", "fd00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:192.168.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::1",
        "2001:0:7f00:1::1", "2001:db8::1", "::127.0.0.1", "fec0::1", "64:ff9b:1::a00:1",
    ],
)  # fmt: skip
def test_what_is_not_on_the_public_internet_is_out_of_a_strangers_reach(address: str) -> None:
    assert EgressRules().refusal_outside(address)
    assert EgressRules(allow=parse_networks(("0.0.0.0/0", "::/0"))).refusal_outside(address), "allow is said for our own"


def test_public_addresses_are_within_reach_unless_they_are_denied() -> None:
    for address in ("8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"):
        assert EgressRules().refusal_outside(address) == "", address
    assert EgressRules(deny=parse_networks(("8.8.8.0/24",))).refusal_outside("8.8.8.8")


@pytest.fixture
def server() -> Iterator[Any]:
    """A real one on the loopback: counts what comes, answers a redirect or a long text."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            moved = self.path == "/moved"
            self.send_response(302 if moved else 200)
            body = b"" if moved else b"x" * 100_000
            if moved:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    running.seen = seen  # type: ignore[attr-defined]
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "[::ffff:127.0.0.1]", "\u2460\u2461\u2466.0.0.1"]
)
async def test_our_own_machine_is_reached_by_no_name_of_it(server: Any, host: str) -> None:
    port = server.server_address[1]
    async with RealHttp() as http:
        # A connection that the operator's own webhook opened a moment ago is not theirs to use.
        assert (await http.request("POST", f"http://localhost:{port}/own", body=b"x")).status == 200
        with pytest.raises(HttpError) as caught:
            await http.request("POST", f"http://{host}:{port}/", body=b"x", way=OUTSIDE)
    assert "not on the public internet" in str(caught.value) or "cannot connect" in str(caught.value)
    assert not caught.value.sent and server.seen == ["/own"]


async def test_a_redirect_is_an_answer_and_a_long_answer_is_cut(server: Any) -> None:
    base, inner = f"http://127.0.0.1:{server.server_address[1]}", Way(follow_redirects=False, longest_body=4_096)
    async with RealHttp() as http:
        assert (await http.request("POST", base + "/moved", body=b"x", way=inner)).status == 302
        assert len((await http.request("POST", base + "/long", body=b"x", way=inner)).body) == 4_096
    assert server.seen == ["/moved", "/long"]
