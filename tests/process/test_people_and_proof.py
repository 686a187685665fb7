"""People prove their contacts, channels prove themselves, and somebody elsewhere would notice: on the real program."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import aiohttp
import pytest

pytestmark = pytest.mark.process

CONFIG = """
global: {{smtp_smarthost: "127.0.0.1:{mail}", smtp_from: tocsin@shop.example, smtp_require_tls: false}}
users:
  - {{name: ana, email: ana@shop.example}}
  - {{name: ben, contact: [{{slack: "{chat}", verified: false}}]}}
policies: [{{name: default, steps: [{{notify: "schedule:web"}}]}}]
schedules: [{{name: web, tz: Europe/Berlin, layers: [{{users: [ana, ben], anchor: "2026-01-05T09:00"}}]}}]
dead_man: {{url: "{ping}", every: 10s}}
drill: {{at: "03:00"}}
kpis: [{{name: load, expr: "avg(avg_over_time(node_load1[$window]))", target: "<= 1000", owner: ana}}]
report: [{{name: weekly, to: [ana]}}]
"""


@pytest.fixture
def elsewhere() -> Any:
    """What a service for dead man's switches is: something that counts calls."""
    calls: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            calls.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/ping/0123", calls
    server.shutdown()
    server.server_close()


def test_contacts_selftest_drill_dead_man_feed_and_report(tocsin: Any, mail: Any, chat: Any, elsewhere: Any) -> None:
    url, calls = elsewhere
    tocsin.folder.mkdir(parents=True)
    (tocsin.folder / "tocsin.yaml").write_text(CONFIG.format(mail=mail.port, chat=chat.url, ping=url))
    tocsin.cli("config", "check", "-c", "tocsin.yaml")
    tocsin.start("--config", "tocsin.yaml")

    # A contact that Ana adds is not used before she has entered its code.
    tocsin.post("/api/tocsin/v1/accounts", {"name": "ana", "role": "responder"}, status=201)
    _sign_in_and_verify(tocsin, mail)
    people = {person["name"]: person for person in tocsin.get("/api/tocsin/v1/oncall")["people"]}
    assert {m["id"]: m["verified"] for m in people["ana"]["methods"]} == {"email": True, "second": True}
    assert [m["verified"] for m in people["ben"]["methods"]] == [False]
    tocsin.cli("contact", "code", "ben", "slack")
    [code] = re.findall(r"(\d{6}) is your code", tocsin.until(lambda: " ".join(chat.texts()), 10, "the code in the chat"))
    assert "NOT VERIFIED" not in tocsin.cli("contact", "verify", "ben", "slack", code)

    # One alert all the way, by the console; each hop with its time.
    said = tocsin.cli("selftest", "--to", "ana")
    assert [line.split()[:2] for line in said.splitlines()[:6]] == [
        ["ok", name] for name in ("sample", "rule", "alert", "incident", "outbox", "channel")
    ], said
    assert "arrives" in said and sum("Self-test" in subject for subject in mail.subjects()) >= 2
    assert not [g for g in tocsin.get("/api/v1/rules")["data"]["groups"] if g["name"] == "tocsin-selftest"], (
        "nothing is left of it"
    )

    # Every way out is tried; status says what is known of each, and that somebody elsewhere is called.
    tocsin.cli("notify", "drill")
    tocsin.until(lambda: calls, 40, "the dead man's switch is called")
    status = tocsin.until(lambda: _proven(tocsin), 15, "both ways are proven")
    assert all(hop["ok"] for hop in status["path"]) and status["dead_man"]["called_ms"]

    # A calendar address works without signing in until it is revoked.
    feed = tocsin.post("/api/tocsin/v1/oncall/feeds", {"schedule": "web"}, status=201)
    path, token = feed["url"].removeprefix(tocsin.url), tocsin.token
    tocsin.token = ""
    assert "BEGIN:VEVENT" in tocsin.get(path)
    tocsin.get(path.replace(".ics", "x.ics"), status=404)
    tocsin.token = token
    tocsin.request("DELETE", f"/api/tocsin/v1/oncall/feeds/{feed['id']}", status=204)
    tocsin.get(path, status=404)

    # A report of what is stored: as text, kept, as JSON, as a page.
    assert "The target of load is met." in tocsin.cli("report", "--keep", "--title", "First week")
    [row] = tocsin.get("/api/tocsin/v1/reports")["reports"]
    assert tocsin.get(f"/api/tocsin/v1/reports/{row['id']}")["kpis"][0]["met"] is True
    assert "<h1>First week</h1>" in tocsin.get(f"/reports/{row['id']}")
    tocsin.get("/api/tocsin/v1/reports/preview?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", status=422)


def _proven(tocsin: Any) -> Any:

    status = json.loads(tocsin.cli("status", "--json"))
    return status if len(status["ways"]) == 2 and all(way["proven_ms"] for way in status["ways"]) else None


def _sign_in_and_verify(tocsin: Any, mail: Any) -> None:
    """As the dashboard does: a session, its CSRF token, a contact, its code."""
    link = re.findall(r"http://\S+", tocsin.cli("signin", "ana"))[0]

    async def session() -> None:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as web:
            await web.get(link, allow_redirects=False)
            csrf = (await (await web.get(f"{tocsin.url}/api/tocsin/v1/session")).json())["csrf"]
            contacts, headers = f"{tocsin.url}/api/tocsin/v1/me/contacts", {"X-CSRF-Token": csrf}
            new = {"channel": "email", "address": "ana2@shop.example", "name": "second"}
            added = await web.post(contacts, json=new, headers=headers)
            assert added.status == 201, await added.text()
            code = await asyncio.to_thread(tocsin.until, lambda: _code(mail), 15, "the code in the mailbox")
            wrong = await web.post(
                f"{contacts}/second/verify", json={"code": "000000" if code != "000000" else "1"}, headers=headers
            )
            assert wrong.status == 422 and "4 tries left" in await wrong.text()
            right = await web.post(f"{contacts}/second/verify", json={"code": code}, headers=headers)
            assert right.status == 200 and (await right.json())["verified"]
            again = await web.post(f"{contacts}/second/code", headers=headers)
            assert again.status == 409

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, session()).result()


def _code(mail: Any) -> str:
    for message in mail.messages:
        if message["To"] == "ana2@shop.example":
            return re.findall(r"\d{6}", message.get_body(("plain",)).get_content())[0]
    return ""


NIGHT = """
global: {{smtp_smarthost: "127.0.0.1:{mail}", smtp_from: tocsin@shop.example, smtp_require_tls: false}}
users:
  - {{name: ana, email: ana@shop.example}}
  - {{name: ben, email: ben@shop.example}}
policies: [{{name: default, steps: [{{notify: "schedule:web"}}]}}]
schedules: [{{name: web, layers: [{{users: [ana], anchor: "2026-01-05T09:00"}}]}}]
drill: {{at: "03:00"}}
report: [{{name: weekly, to: [ana]}}]
"""


def test_the_calendar_is_kept_by_itself_and_what_fell_due_while_it_was_down_comes_after_the_start(tocsin: Any, mail: Any) -> None:
    tocsin.folder.mkdir(parents=True)
    (tocsin.folder / "tocsin.yaml").write_text(NIGHT.format(mail=mail.port))
    tocsin.start("--config", "tocsin.yaml")
    # In two seconds Ben has the pager: both hear of it at that moment, nobody asks for it.
    begins_ms = round(time.time() * 1000) + 2_000
    change = {"schedule": "web", "start_ms": begins_ms, "end_ms": begins_ms + 3_600_000, "users": ["ben"]}
    tocsin.post("/api/tocsin/v1/oncall/overrides", change, status=201)
    tocsin.until(lambda: _told(mail, "ben@shop.example", "web"), 20, "Ben hears that he has the pager")
    assert time.time() * 1000 >= begins_ms
    tocsin.until(lambda: _told(mail, "ana@shop.example", "web"), 20, "Ana hears that she is relieved")
    # The hour of drill and report passes while Tocsin is stopped.
    tocsin.stop()
    assert not _told(mail, "", "Drill") and not _told(mail, "", "weekly")
    with closing(sqlite3.connect(tocsin.data / "state.db")) as state, state:
        moved = state.execute("update timers set due_at_ms = ? where kind in ('drill', 'report')", (begins_ms,))
        assert moved.rowcount == 2
    tocsin.start("--config", "tocsin.yaml")
    tocsin.until(lambda: _told(mail, "", "Drill"), 20, "the drill is made up for")
    tocsin.until(lambda: _told(mail, "ana@shop.example", "weekly: last week"), 20, "the report is made up for")
    assert len(_told(mail, "", "Drill")) == 1, "once"


def _told(mail: Any, address: str, words: str) -> list[str]:
    """Subjects of mails to an address (any, where empty) with these words."""
    return [
        str(one["Subject"]) for one in list(mail.messages) if words in str(one["Subject"]) and address in ("", str(one["To"]))
    ]
