"""The live stream with its cursor, pages behind links in messages, pushed data, and static files."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest
import sqlalchemy as sa
from tests.web.conftest import START_MS

from tocsin.bus.wire import Change
from tocsin.model.event import Actor
from tocsin.notify.links import AckLink, chart_url, ensure_key, load_key, sign
from tocsin.state.schema import incident_alerts, incidents
from tocsin.web import live
from tocsin.web.api.metrics_view import text_of
from tocsin.web.corestate import CoreState
from tocsin.web.live import Hub
from tocsin.web.prometheus.search import Names, ranked

# -- live --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(house):
    return Hub(house.parts)


async def follow(hub, house, *changes):
    """Let the hub take `changes` from the core's stream."""
    task = asyncio.create_task(hub.run())
    await asyncio.sleep(0)
    for change in changes:
        house.core.stream.put_nowait(change)
    while not house.core.stream.empty():
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_a_cursor_gets_exactly_what_came_after_it(hub, house):
    task = await follow(hub, house, Change(5, "checks"), Change(6, "alerts", "alert:1"))
    cursor = hub.cursor
    assert hub.after(cursor) == []
    house.core.stream.put_nowait(Change(7, "incidents"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert [change.id for change in hub.after(cursor)] == [7]
    assert [change.id for change in hub.after(cursor - 1)] == [6, 7]
    task.cancel()


async def test_a_gap_or_a_restart_of_the_core_makes_old_cursors_start_anew(hub, house):
    task = await follow(hub, house, Change(1, "checks"), Change(2, "checks"))
    cursor = hub.cursor
    house.clock.t_ms += 1
    house.core.stream.put_nowait(Change(9, "checks"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert hub.after(cursor) is None
    assert hub.cursor > cursor
    task.cancel()


async def test_while_the_core_is_away_nobody_is_told_to_read_everything_again(hub, house):
    cursor = hub.cursor
    house.clock.t_ms += 5_000
    house.core.stream.put_nowait(None)  # the connection ends before the core has said anything
    task = asyncio.create_task(hub.run())
    for _ in range(10):
        await asyncio.sleep(0)
    assert hub.cursor == cursor
    task.cancel()


@pytest.mark.parametrize("cursor", [0, 5, 1 << 60])
async def test_a_cursor_that_is_not_ours_starts_anew(hub, cursor):
    assert hub.after(cursor) is None


async def beating():
    return {"now_ms": START_MS, "engine": {"ok": True}}


async def said(events):
    """The next event of a stream: (name, cursor, data)."""
    lines = (await anext(events)).decode().splitlines()
    found = dict(line.split(": ", 1) for line in lines if ": " in line)
    return found.get("event", ""), int(found.get("id", 0)), json.loads(found.get("data", "null"))


async def test_what_changes_while_an_event_is_being_sent_is_said_next(hub, house):
    task = await follow(hub, house, Change(5, "checks"))
    events = live._events(hub, beating, hub.cursor)
    await said(events), await said(events)
    for number, topic in ((6, "alerts"), (7, "incidents")):
        house.core.stream.put_nowait(Change(number, topic))
        for _ in range(5):
            await asyncio.sleep(0)
        if number == 6:
            name, cursor, data = await said(events)
            assert (name, data["topics"], cursor) == ("change", ["alerts"], hub.cursor)
    # The second came while the first was with the browser.
    name, cursor, data = await said(events)
    assert (name, data["topics"], cursor) == ("change", ["incidents"], hub.cursor)
    await events.aclose()
    task.cancel()


async def test_the_beat_comes_however_busy_the_changes_are(hub, house):
    task = await follow(hub, house, Change(1, "checks"))
    events = live._events(hub, beating, hub.cursor)
    await said(events), await said(events)
    seen = []
    for number in range(2, 5):
        house.core.stream.put_nowait(Change(number, "checks"))
        for _ in range(5):
            await asyncio.sleep(0)
        house.clock.t_ms += 6_000
        seen.append((await said(events))[0])
    assert seen == ["change", "change", "beat"]
    await events.aclose()
    task.cancel()


async def test_what_a_stream_would_have_said_is_told_in_one_answer(house):
    viewer = house.client.using(await house.token("viewer"))
    first = (await viewer.get("/api/tocsin/v1/changes")).json()
    assert (first["reset"], first["topics"]) == (False, [])
    again = (await viewer.get(f"/api/tocsin/v1/changes?cursor={first['cursor']}")).json()
    assert (again["reset"], again["cursor"], again["engine"]["ok"]) == (False, first["cursor"], False)
    assert (await viewer.get("/api/tocsin/v1/changes?cursor=5")).json()["reset"]


async def test_changes_end_what_is_remembered_of_the_core(house):
    state = CoreState(house.parts)
    first = await state.ask("check.list")
    house.core.answers["check.list"] = [{"id": "new"}]
    assert await state.ask("check.list") == first
    state.changed(Change(1, "checks"))
    assert await state.ask("check.list") == [{"id": "new"}]
    house.core.answers.pop("check.list")
    house.clock.t_ms += 60_000
    assert await state.ask("check.list") == [{"id": "new"}], "while the core is away the last answer stands in"


async def test_who_reads_states_elsewhere_is_not_disturbed_by_one_check_that_moves(house):
    state = CoreState(house.parts)
    await state.ask("check.list")
    house.core.answers["check.list"] = [{"id": "new"}]
    state.changed(Change(1, "checks", "shop"))
    assert await state.ask("check.list", moved=True) == []
    assert await state.ask("check.list") == [{"id": "new"}]
    state.changed(Change(2, "checks"))
    house.core.answers["check.list"] = []
    assert await state.ask("check.list", moved=True) == [], "without a subject there may be others now"


async def test_a_core_that_hangs_does_not_hang_the_pages(house):
    state = CoreState(house.parts)
    before = await state.ask("config.state")
    await state.ask("status")
    house.clock.t_ms += 60_000
    never = asyncio.Event()

    async def hangs(*_args, **_kwargs):
        await never.wait()

    answered, house.core.command = house.core.command, hangs
    waiting = asyncio.create_task(state.ask("config.state"))
    await asyncio.sleep(0)
    house.clock.t_ms += 5_000
    # By now it has hung for as long as anybody waits: this one is answered at once with what was known.
    assert await asyncio.wait_for(state.ask("config.state"), 1) == before
    assert await asyncio.wait_for(state.ask("status"), 1) is not None
    waiting.cancel()
    house.core.command = answered
    never.set()


# -- links -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def link(house):
    def write(tx):
        tx.execute(
            sa.insert(incidents).values(
                number=7, key="k", title="<b>shop</b> is down", severity="critical", urgency="high", state="triggered",
                receiver="web", service="shop", policy={}, group_labels={}, created_ms=START_MS - 60_000, remediation={},
                extra={},
            )
        )  # fmt: skip
        return ensure_key(tx, house.parts.random)

    key = house.db.write_now(write)
    return "/ack/" + sign(key, AckLink(7, "ana", START_MS + 3_600_000))


async def test_looking_at_an_acknowledge_link_does_nothing_and_pressing_the_button_acknowledges(house, link):
    house.core.answers["incident.acknowledge"] = {}
    page = await house.client.get(link)
    assert page.status == 200 and "Acknowledge as ana" in page.text
    assert "&lt;b&gt;shop" in page.text and "<b>shop" not in page.text and "<script" not in page.text
    assert house.core.commanded("incident.acknowledge") == []
    assert (await house.client.request("HEAD", link)).status == 200
    assert house.core.commanded("incident.acknowledge") == []
    assert (await house.client.post(link)).status == 200
    assert house.core.seen[-1] == ("incident.acknowledge", {"number": 7}, Actor("user", "ana", "link", "127.0.0.1"))


async def test_a_forged_or_old_link_says_so_and_guessing_is_limited(house, link):
    assert (await house.client.get(link[:-2] + "xx")).status == 404
    statuses = {(await house.client.get("/ack/7.zzz.YW5h.AAAA")).status for _ in range(25)}
    assert statuses == {404, 429}
    house.clock.t_ms += 3_700_000
    assert (await house.client.post(link)).status == 404


async def test_the_same_link_silences_resolves_and_judges_as_the_incident_allows(house, link):
    for command in ("silence", "resolve", "verdict"):
        house.core.answers[f"incident.{command}"] = {}
    assert "Silence 1 h" in (await house.client.get(link)).text
    assert "Silenced" in (await house.client.post(link, form={"answer": "silence"})).text
    assert (await house.client.post(link, form={"answer": "resolve"})).status == 200
    house.db.write_now(lambda tx: tx.execute(sa.update(incidents).where(incidents.c.number == 7).values(state="resolved")))
    page = (await house.client.get(link)).text
    assert "It was noise" in page and "Acknowledge" not in page
    assert (await house.client.post(link, form={"answer": "noise"})).status == 200
    assert (await house.client.post(link, form={"answer": "drop tables"})).status == 400
    assert [args for name, args, _ in house.core.seen if name.startswith("incident.")] == [
        {"number": 7, "duration_ms": 3_600_000},
        {"number": 7},
        {"number": 7, "verdict": "noise"},
    ]


async def test_a_chart_is_shown_to_who_has_its_address_and_to_nobody_else(house, link):
    key = house.db.read_now(load_key)
    path = chart_url("", key, incident=7, at_ms=START_MS)
    assert (await house.client.get(path)).status == 404, "this incident's alerts say nothing of a rule"
    house.db.write_now(
        lambda tx: tx.execute(
            sa.insert(incident_alerts).values(
                incident=7,
                fingerprint="f",
                labels={},
                annotations={},
                generator_url="https://t/graph?g0.expr=vector%281%29+%3E+0",
            )
        )
    )
    shown = await house.client.get(path)
    assert (shown.status, shown.headers["content-type"]) == (200, "image/png") and shown.body.startswith(b"\x89PNG")
    assert (await house.client.get(path.replace("/7.", "/8."))).status == 404


async def test_short_addresses_lead_to_the_incident_after_sign_in(house):
    assert (await house.client.get("/i/7")).headers["location"] == "/login?next=/i/7"
    viewer = await house.as_role("viewer")
    assert (await viewer.get("/i/7")).headers["location"] == "/incidents/7"
    asked = {"at": "2026-11-22T20:00:00Z", "theme": "dark"}
    assert (await viewer.get("/i/7", query=asked)).headers["location"] == "/incidents/7?at=2026-11-22T20%3A00%3A00Z&theme=dark"


# -- pushed ------------------------------------------------------------------------------------------------------------


async def test_remote_write_goes_to_the_core_as_it_came(house):
    headers = {"content-encoding": "snappy", "content-type": "application/x-protobuf", "cookie": "secret=1"}
    assert (await house.client.post("/api/v1/write", body=b"\x01\x02", headers=headers)).status == 204
    kind, sent = house.core.ingested[0]
    assert (kind, sent.body, sent.headers["content-encoding"]) == ("write", b"\x01\x02", "snappy")
    assert "cookie" not in sent.headers


async def test_a_heartbeat_answers_the_same_whether_its_token_exists_or_not(house):
    from tocsin.errors import CommandError

    def ping(args, actor):
        if args["token"] != "known":
            raise CommandError(404, "unknown", "no such heartbeat")

    house.core.answers["heartbeat.ping"] = ping
    known, unknown = await house.client.get("/hb/known/start"), await house.client.post("/hb/other", body=b"log")
    assert (known.status, known.body) == (unknown.status, unknown.body) == (200, b"OK\n")
    assert (await house.client.get("/hb/known/nonsense")).status == 400
    assert (await house.client.get("/hb/known/1")).status == 200
    assert [args["kind"] for args in house.core.commanded("heartbeat.ping")] == ["start", "success", "fail"]


async def test_a_callback_of_a_chat_service_reaches_the_core_raw_with_its_signature(house):
    house.core.answers["inbound"] = {"text": "acknowledged"}
    answer = await house.client.post("/in/slack", body=b"payload=%7B%7D", headers={"x-slack-signature": "v0=1", "cookie": "a=b"})
    assert answer.json() == {"text": "acknowledged"}
    sent = house.core.commanded("inbound")[0]
    assert (sent["channel"], sent["body"]) == ("slack", "payload=%7B%7D")
    assert "x-slack-signature" in sent["headers"] and "cookie" not in sent["headers"]


# -- static ------------------------------------------------------------------------------------------------------------


async def test_only_pages_of_the_url_grammar_serve_the_dashboard_and_files_cannot_be_climbed(house):
    viewer = await house.as_role("viewer")
    assert "has not been built" in (await viewer.get("/alerts/rules/g/r")).text
    for path in (
        "/assets/../../../etc/passwd",
        "/assets/..%2f..%2fetc/passwd",
        "/assets/",
        "/static/../parts.py",
        "/alertmanager",
    ):
        assert (await viewer.get(path)).status == 404
    assert (await house.client.get("/static/pages.css")).headers["content-type"].startswith("text/css")


async def test_a_built_dashboard_is_sent_compressed_and_hashed_files_for_ever(house, tmp_path):
    from tests.web.conftest import Client

    from tocsin.web.server import create_app

    root = tmp_path / "ui"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html>")
    (root / "assets" / "app-1a2b.js").write_text("js")
    (root / "assets" / "app-1a2b.js.gz").write_bytes(b"gz")
    house.parts.static = root
    client = Client(create_app(house.parts))
    script = await client.get("/assets/app-1a2b.js", headers={"accept-encoding": "gzip, br"})
    assert (script.body, script.headers["content-encoding"]) == (b"gz", "gzip")
    assert "immutable" in script.headers["cache-control"]
    assert (await client.get("/assets/app-1a2b.js")).body == b"js"
    viewer = client.using(await house.token("viewer"))
    index = await viewer.get("/incidents/7")
    assert index.headers["cache-control"] == "no-cache"
    again = await viewer.get("/", headers={"if-none-match": index.headers["etag"]})
    assert again.status == 304
    # The browser asks for these while the program is still on its way; for nothing that the page will not use.
    session = "</api/tocsin/v1/session>; rel=preload; as=fetch; crossorigin"
    assert index.headers["link"] == session
    assert again.headers["link"] == f"{session}, {session.replace('session', 'overview')}"
    assert (await viewer.get("/?at=2026-01-01T00:00:00Z")).headers["link"] == session
    assert (await viewer.get("/?scope=env=prod")).headers["link"] == session


async def test_behind_a_route_prefix_the_page_asks_for_its_files_under_the_prefix(house, tmp_path):
    from tests.web.conftest import Client

    from tocsin.web.server import create_app

    root = tmp_path / "ui"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text('<link href="/favicon.svg"><script src="/assets/app-1a2b.js"></script>')
    (root / "index.html.gz").write_bytes(b"gz")
    (root / "favicon.svg").write_text("<svg/>")
    (root / "assets" / "app-1a2b.js").write_text("js")
    house.parts.static = root
    house.parts.settings = dataclasses.replace(house.parts.settings, route_prefix="/tocsin")
    client = Client(create_app(house.parts))
    viewer = client.using(await house.token("viewer"))
    index = await viewer.get("/tocsin/incidents/7", headers={"accept-encoding": "gzip"})
    assert index.text == '<link href="/tocsin/favicon.svg"><script src="/tocsin/assets/app-1a2b.js"></script>'
    assert "content-encoding" not in index.headers
    assert index.headers["link"].startswith("</tocsin/api/tocsin/v1/session>")
    assert (await viewer.get("/tocsin/", headers={"if-none-match": index.headers["etag"]})).status == 304
    assert (await client.get("/tocsin/assets/app-1a2b.js")).text == "js"
    assert (await client.get("/tocsin/favicon.svg")).status == 200


# -- small decisions ---------------------------------------------------------------------------------------------------


def test_completion_prefers_equal_then_beginning_then_word_then_inside_then_letters():
    names = Names.of(["xhttp", "node_http_total", "http", "http_requests", "my_http", "h_t_t_p", "other"])
    best, more = ranked("http", names, 4)
    assert [fit.name for fit in best] == ["http", "http_requests", "my_http", "node_http_total"]
    assert more
    assert [fit.name for fit in ranked("http", names, 9, fuzzy=False)[0]][-1] == "xhttp"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.971, "ratio", "97.1 %"), (0.412, "s", "412 ms"), (1.9, "s", "1.9 s"), (1284, "1/s", "1,284 /s")],
)
def test_figures_for_people(value, unit, text):
    assert text_of(value, unit) == text
