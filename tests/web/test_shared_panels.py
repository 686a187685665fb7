"""Panels for people who are not signed in: what was signed is shown, until it ends, and nothing else."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import sqlalchemy as sa
from tests.web.conftest import START_MS

from tocsin.state.schema import events
from tocsin.web.panel_link import Expired, Forged, SharedPanel, address, instant_ms, opened
from tocsin.web.parts import WebSettings, frame_policy

API = "/api/tocsin/v1"
PNG = b"\x89PNG"
DAY_MS = 86_400_000


async def shared(house: Any, **more: Any) -> dict[str, Any]:
    responder = await house.as_role("responder")
    answer = await responder.post(f"{API}/panels", json={"queries": [{"query": "requests_total"}], **more})
    assert answer.status == 201, answer.text
    return dict(answer.json())


def own(url: str) -> str:
    """As our test client asks: path and query."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def fill(house: Any) -> None:
    house.add(
        {"__name__='requests_total',route='/pay'": [1.0, 2.0, 4.0], "__name__='requests_total',route='/<b>'": [7.0, 7.0, 7.5]}
    )


async def test_nobody_signed_in_sees_a_shared_panel_as_a_picture_and_as_a_page(house: Any) -> None:
    pytest.importorskip("resvg_py", reason="the extra 'charts' is not installed")
    fill(house)
    made = await shared(house, title="Requests <now>", unit="s", limits=[5.0])
    picture = await house.client.get(own(made["picture"]))
    assert (picture.status, picture.headers["content-type"], picture.body[:4]) == (200, "image/png", PNG)
    page = await house.client.get(own(made["page"]))
    assert page.status == 200 and page.headers["refresh"] == "60", "what follows the time is asked for again"
    assert "Requests &lt;now&gt;" in page.text and "route=/pay" in page.text and "route=/&lt;b&gt;" in page.text
    assert "limit 5 s" in page.text and "<b>" not in page.text and "<script" not in page.text
    assert page.text.count("<path ") == 2


@pytest.mark.parametrize("kind", ["stat", "table"])
async def test_a_figure_and_rows_are_drawn_too(house: Any, kind: str) -> None:
    pytest.importorskip("resvg_py", reason="the extra 'charts' is not installed")
    fill(house)
    made = await shared(
        house, kind=kind, unit="bytes", queries=[{"query": "max by (route) (requests_total)", "name": "{{route}}"}]
    )
    assert (await house.client.get(own(made["picture"]))).body.startswith(PNG)
    page = (await house.client.get(own(made["page"]))).text
    assert "7.5 B" in page and "/pay" in page


async def test_only_what_was_signed_is_shown(house: Any) -> None:
    made = await shared(house)
    pairs = parse_qsl(urlsplit(made["page"]).query, keep_blank_values=True)

    async def status(changed: list[tuple[str, str]]) -> int:
        return int((await house.client.get(f"/embed/panel?{urlencode(changed)}")).status)

    assert await status([*pairs, ("utm_source", "mail"), ("theme", "dark"), ("width", "400")]) == 200
    assert await status(pairs[::-1]) == 200, "the order of parameters is nothing"
    for name, text in (("q", "up"), ("from", "now-30d"), ("until", "99999999999"), ("title", "All is well"), ("sig", "")):
        assert await status([(one, text if one == name else value) for one, value in pairs]) == 403, name
    assert await status([*pairs, ("q", "secret_metric"), ("name", "")]) == 403, "one more expression"
    assert await status([]) == 403


async def test_what_has_ended_says_so_in_a_picture_and_on_a_page(house: Any) -> None:
    made = await shared(house, days=1)
    house.clock.t_ms += DAY_MS + 1000
    picture = await house.client.get(own(made["picture"]))
    assert picture.status == 410 and (picture.body.startswith(PNG) or "expired" in picture.text)
    page = await house.client.get(own(made["page"]))
    assert page.status == 410 and "This link has expired." in page.text and "Share" in page.text
    forged = await house.client.get(own(made["picture"]).replace("requests_total", "up"))
    assert forged.status == 403 and (forged.body.startswith(PNG) or "not complete" in forged.text)


async def test_an_administrator_ends_them_all_and_acknowledge_links_stay(house: Any) -> None:
    made, admin = await shared(house), await house.as_role("admin")
    assert (await (await house.as_role("responder")).request("DELETE", f"{API}/panels")).status == 403
    assert (await admin.request("DELETE", f"{API}/panels")).status == 204
    assert (await house.client.get(own(made["page"]))).status == 403
    again = await shared(house)
    assert (await house.client.get(own(again["page"]))).status == 200
    rows = await house.db.read(lambda tx: list(tx.execute(sa.select(events.c.verb, events.c.data).order_by(events.c.id))))
    told = [(row.verb, row.data.get("queries")) for row in rows if row.verb in ("shared", "unshared")]
    assert told == [("shared", ["requests_total"]), ("unshared", None), ("shared", ["requests_total"])]


async def test_what_cannot_be_signed_is_refused_with_its_place(house: Any) -> None:
    responder = await house.as_role("responder")
    for body, said in (
        ({"queries": [{"query": "up"}, {"query": "rate(up"}]}, "queries.1.query"),
        ({"queries": []}, "queries"),
        ({"queries": [{"query": "up"}], "from": "yesterday"}, "from, to, tz"),
        ({"queries": [{"query": "up"}], "from": "now", "to": "now-1h"}, "from, to, tz"),
        ({"queries": [{"query": "up"}], "from": "now-400d"}, "at most a year"),
        ({"queries": [{"query": "up"}], "tz": "../etc/passwd"}, "time zone"),
        ({"queries": [{"query": "up"}], "days": 1000}, "days"),
        ({"queries": [{"query": f'up{{a="{n}{"x" * 900}"}}'} for n in range(8)]}, "longer than"),
    ):
        answer = await responder.post(f"{API}/panels", json=body)
        assert answer.status == 400 and said in answer.json()["detail"], (body, answer.text)
    assert (await (await house.as_role("viewer")).post(f"{API}/panels", json={"queries": [{"query": "up"}]})).status == 403


async def test_guessing_signatures_is_slowed_down(house: Any) -> None:
    codes = [(await house.client.get("/embed/panel?q=up&sig=x")).status for _ in range(22)]
    assert codes[:20] == [403] * 20 and codes[-1] == 429


@pytest.mark.parametrize("settings", [WebSettings(frame_ancestors=frame_policy(("self", "https://wiki.example")))])
async def test_only_a_shared_panel_may_be_framed_and_only_by_whom_the_configuration_names(
    house: Any, settings: WebSettings
) -> None:
    made = await shared(house)
    assert made["framed_by"] == ["'self'", "https://wiki.example"]
    framed = (await house.client.get(own(made["page"]))).headers
    assert framed["content-security-policy"].endswith("frame-ancestors 'self' https://wiki.example")
    assert "x-frame-options" not in framed
    ended = (await house.client.get(own(made["page"]).replace("sig=", "sig=x"))).headers
    assert ended["content-security-policy"].endswith("frame-ancestors 'self' https://wiki.example"), (
        "what is wrong is read in the frame"
    )
    for path in ("/", "/login", own(made["picture"]), f"{API}/session", "/nope"):
        answer = (await house.client.get(path)).headers
        assert answer["content-security-policy"].endswith("frame-ancestors 'none'") and answer["x-frame-options"] == "DENY"


async def test_without_a_name_in_the_configuration_nobody_frames_it(house: Any) -> None:
    made = await shared(house)
    headers = (await house.client.get(own(made["page"]))).headers
    assert made["framed_by"] == [] and headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris"])
def test_an_address_comes_back_as_it_was_signed(zone: str) -> None:
    panel = SharedPanel(
        (("p95 {{route}}", 'x{a="&=+ü"}'), ("", "up")), "Ü & Co", "stat", "s", "now-6h", "now", zone, (0.1, 1234567.5), 10**9
    )
    key = b"k" * 32
    pairs = parse_qsl(address(panel, key), keep_blank_values=True)
    assert opened(pairs, key, 0) == panel
    with pytest.raises(Expired):
        opened(pairs, key, 10**12)
    for wrong in (b"", b"l" * 32):
        with pytest.raises(Forged):
            opened(pairs, wrong, 0)


def test_instants_are_written_as_in_addresses() -> None:
    assert [instant_ms(text, START_MS) for text in ("now", "now-90m", "1700000000000", "2023-11-14T22:13:20Z")] == [
        START_MS, START_MS - 5_400_000, START_MS, START_MS,
    ]  # fmt: skip
    for text in ("", "now+1h", "2023-11-14T22:13:20", "12", "now-1y"):
        with pytest.raises(ValueError):
            instant_ms(text, START_MS)
