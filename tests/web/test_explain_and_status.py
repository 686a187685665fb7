"""Explain this spike, charts of rules, public status pages, and hostile texts in every server-rendered page."""

from __future__ import annotations

import gzip
import re
from html.parser import HTMLParser

import pytest
import sqlalchemy as sa
from tests.web.conftest import START_MS

from tocsin.incidents.publish import Story, Update
from tocsin.model.check import CheckState
from tocsin.model.labels import Labels
from tocsin.notify.links import AckLink, ensure_key, sign
from tocsin.state.schema import check_changes, check_states, incidents
from tocsin.web.api.explain import without_aggregations
from tocsin.web.api.rule_graph import graph_of
from tocsin.web.html import ICON, safe_href
from tocsin.web.parts import WebSettings
from tocsin.web.statuspage import as_json
from tocsin.web.statuspage_html import BESIDE, headline, render
from tocsin.web.statuspage_view import Brand, Component, Planned, View

API = "/api/tocsin/v1"
DAY = 86_400_000


# -- explain -----------------------------------------------------------------------------------------------------------


async def test_the_route_that_broke_is_named_first_and_even_labels_are_told_apart(house):
    quiet, loud = [1.0] * 60, [1.0] * 40 + [30.0] * 20
    house.add(
        {
            f"__name__='errors', route='{route}', region='{region}', host='{route}{region}'": (loud if route == "/pay" else quiet)
            for route in ("/pay", "/list", "/item")
            for region in ("a", "b")
        }
    )
    viewer = await house.as_role("viewer")
    body = {"query": "sum(errors) > 5", "from_ms": START_MS - 19 * 15_000, "to_ms": START_MS}
    answer = (await viewer.post(f"{API}/explain", json=body)).json()
    assert answer["query"] == "errors"
    assert answer["rows"][0]["matcher"] == 'route="/pay"'
    assert answer["rows"][0]["share"] > 0.9 > 0.4 > answer["rows"][0]["base_share"]
    assert answer["rows"][0]["query"] == 'sum(errors{route="/pay"}) > 5'
    assert answer["even"] == ["region"]
    assert (await viewer.post(f"{API}/explain", json={**body, "query": "sum("})).status == 400
    assert (await viewer.post(f"{API}/explain", json={**body, "to_ms": 0})).status == 400


async def test_a_quantile_is_explained_by_who_is_slow_not_by_who_is_many(house):
    """/list has most requests, all fast; /pay became slow: its requests left the low buckets."""
    rates = {("/list", "0.1"): 90.0, ("/list", "1"): 90.0, ("/list", "+Inf"): 90.0, ("/pay", "1"): 10.0, ("/pay", "+Inf"): 10.0}
    series = {f"__name__='h_bucket', route='{route}', le='{le}'": [rate] * 60 for (route, le), rate in rates.items()}
    house.add({**series, "__name__='h_bucket', route='/pay', le='0.1'": [10.0] * 40 + [0.0] * 20})
    viewer = await house.as_role("viewer")
    body = {"query": "histogram_quantile(0.95, sum by (le) (h_bucket))", "from_ms": START_MS - 19 * 15_000, "to_ms": START_MS}
    answer = (await viewer.post(f"{API}/explain", json=body)).json()
    assert answer["rows"][0]["matcher"] == 'route="/pay"'
    assert answer["rows"][0]["share"] == 1.0


@pytest.mark.parametrize(
    ("query", "narrow"),
    [
        ("sum(a) / sum(b)", 'sum(a{x="1"}) / sum(b{x="1"})'),
        ('a{x="2"} + b', 'a{x="2"} + b{x="1"}'),
        ("max_over_time(rate(a[5m])[1h:1m])", 'max_over_time(rate(a{x="1"}[5m])[1h:1m])'),
        ("1 + 1", "1 + 1"),
    ],
)
def test_a_query_is_narrowed_in_every_selector(house, query, narrow):
    from tocsin.promql.printer import format_expr
    from tocsin.web.api.explain import narrowed

    assert format_expr(narrowed(house.parts.engine.parse(query), "x", "1")) == narrow


async def test_marks_of_a_time_are_listed_oldest_first(house):
    responder = await house.as_role("responder")
    for text, t_ms in (("later", START_MS), ("earlier", START_MS - 60_000), ("last week", START_MS - 7 * DAY)):
        made = await responder.post(f"{API}/markers", json={"kind": "deploy", "service": "shop", "text": text, "t_ms": t_ms})
        assert made.status == 201
    found = (await responder.get(f"{API}/markers?from={START_MS - DAY}&to={START_MS}&service=shop")).json()["markers"]
    assert [mark["text"] for mark in found] == ["earlier", "later"]
    assert (await responder.get(f"{API}/markers?service=other")).json()["markers"] == []


@pytest.mark.parametrize(
    ("query", "inner"),
    [
        ("sum by (a) (rate(x[5m]))", "rate(x[5m])"),
        ("sum(rate(e[5m])) / sum(rate(x[5m])) > 0.05", "rate(e[5m])"),
        ("histogram_quantile(0.9, sum by (le) (rate(x[5m])))", "rate(x[5m])"),
        ("x", "x"),
    ],
)
def test_outer_aggregations_come_off(house, query, inner):
    from tocsin.promql.printer import format_expr

    assert format_expr(without_aggregations(house.parts.engine.parse(query))) == inner


def test_the_chart_of_a_rule_draws_the_measured_side_and_the_threshold(house):
    labels = Labels({"alertname": "Hot", "room": "k", "job": "home"})
    graph = graph_of(house.parts.engine, "temperature > 30", labels, START_MS, START_MS + 60_000)
    assert (graph.query, graph.threshold) == ('temperature{job="home"}', 30)
    assert graph_of(house.parts.engine, "absent(up)", labels, 0, 1).threshold is None
    assert graph_of(house.parts.engine, "broken(", labels, 0, 1) is None


# -- status page -------------------------------------------------------------------------------------------------------

MAPPED = WebSettings(
    status_pages={"shop": {"title": "Shop", "components": [{"name": "Website", "checks": ["shop-internal-id"]}]}}
)


@pytest.fixture
def settings(request):
    return getattr(request, "param", MAPPED)


@pytest.fixture
def watched(house):
    def write(tx):
        for check_id in ("shop-internal-id", "private"):
            tx.execute(
                sa.insert(check_states).values(
                    check_id=check_id, location="local", state="down", since_ms=1, message="refused 10.0.0.7", last_result={}
                )
            )
            tx.execute(sa.insert(check_changes).values(check_id=check_id, t_ms=START_MS - 3 * DAY, before="pending", after="up"))
            tx.execute(sa.insert(check_changes).values(check_id=check_id, t_ms=START_MS - DAY // 2, before="up", after="down"))

    house.db.write_now(write)
    return house


async def test_a_status_page_shows_mapped_names_only_and_needs_no_script(watched):
    answer = await watched.client.get("/status/shop")
    assert answer.status == 200 and "Website" in answer.text and len(answer.body) < 40_000
    for secret in ("shop-internal-id", "private", "10.0.0.7", "<script"):
        assert secret not in answer.text
    assert (await watched.client.get("/status/private")).status == 404
    assert (await watched.client.get("/status/other")).text == "404 page not found\n"


async def test_a_status_page_is_never_green_when_the_engine_is_silent(watched):
    answer = (await watched.client.get("/status/shop/status.json")).json()
    assert answer["stale"] is True
    assert answer["components"][0]["state"] == "unknown"
    assert "not reporting" in (await watched.client.get("/status/shop")).text
    silent = View("shop", "Shop", (), START_MS, stale=True, heard_ms=START_MS - 75_000)
    assert "Data 75 s old" in render(silent, BESIDE)
    assert as_json(silent)["data_age_ms"] == 75_000


def test_strips_have_words():
    days = "-" * 86 + "uugd"
    component = Component("Website", CheckState.DOWN, 0.98, days, (0,) * 89 + (12 * 60_000 - 1,))
    text = render(View("shop", "Shop", (component,), START_MS), BESIDE)
    assert "98.00 % up in 4 days" in text
    told = ["2023-11-14: down for 12 min", "2023-11-13: degraded", "2023-11-11 to 2023-11-12: operational"]
    assert re.findall("<li>(2023[^<]*)</li>", text) == told, "what is not known is no day of well-being"
    assert re.findall("<title>(2023[^<]*)</title>", text)[::-1] == [
        *told[:2],
        "2023-11-12: operational",
        "2023-11-11: operational",
    ]
    assert headline([component], stale=False) == "Affected: Website."
    assert headline([Component("x", CheckState.UP, 1.0, "u" * 90)], stale=False) == "All systems are operational."


async def test_each_day_says_how_long_it_was_down(watched):
    text = (await watched.client.get("/status/shop")).text
    assert "<li>2023-11-14: down for 12 h 00 min</li><li>2023-11-11 to 2023-11-13: operational</li>" in text


def test_a_page_of_twenty_components_with_a_bad_quarter_is_one_flight_of_packets():
    bad = "".join("ud-gu"[(day * 7 + 3) % 5] for day in range(90))
    minutes = tuple(day * 61_000 if letter == "d" else 0 for day, letter in enumerate(bad))
    many = tuple(Component(f"Component {n}", CheckState.UP, 0.99, bad[n:] + bad[:n], minutes) for n in range(20))
    assert len(gzip.compress(render(View("shop", "Shop", many, START_MS), BESIDE).encode())) <= 14 * 1024


def test_a_page_wears_its_owners_looks_and_asks_nobody_else_for_them():
    looks = Brand("https://shop.example/?a=1&b", "#0b57a4", "data:image/png;base64,AAAA")
    text = render(View("shop", "Shop", (), START_MS, brand=looks), BESIDE)
    assert text.index('<a href="https://shop.example/?a=1&amp;b">') < text.index("<h1>Shop</h1>")
    assert 'fill="#0b57a4"' in text and 'src="data:image/png;base64,AAAA"' in text and "style=" not in text
    assert "img-src data:" in text and 'class="bar"' not in render(View("shop", "Shop", (), START_MS), BESIDE)


# -- hostile texts -----------------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'><svg/onload=alert(1)>",
    "</title><script>alert(1)</script>",
    "javascript:alert(1)", "<a href=javascript:alert(1)>x</a>", "&lt;script&gt;", "{{7*7}}${7*7}", "\u202etxt.exe", "<!--", "]]>",
    "\x00\x1b[31m", "<iframe srcdoc='<script>alert(1)</script>'>", "<math><mi//xlink:href=\"data:x,<script>alert(1)</script>\">",
]  # fmt: skip


class Tags(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


_KNOWN_TAGS = {
    "html", "head", "meta", "title", "link", "body", "main", "p", "h1", "dl", "dt", "dd", "form", "input", "label", "button", "a",
    "ul", "ol", "li", "span", "strong", "br", "svg", "rect", "details", "summary", "h2", "h3", "article", "time",
}  # fmt: skip


def hostile_view(text: str) -> View:
    """A status page with `text` in every place that takes one."""
    story = Story((Update(1, "identified", text, text, START_MS),))
    planned = Planned(text, (text,), START_MS - 1, START_MS + 1)
    return View("shop", text, (Component(text, CheckState.UP, 1.0, "u" * 90),), START_MS, stories=(story,), planned=(planned,))


def assert_harmless(text: str) -> None:
    page = Tags(text)
    assert page.tags <= _KNOWN_TAGS, page.tags - _KNOWN_TAGS
    for name, value in page.attributes:
        assert not name.startswith("on") and name not in ("style", "srcdoc"), name
        if name in ("href", "action", "src") and value != ICON:
            assert re.match(r"(/[^/\\]|/$|https?://|#)", value) or value in ("pages.css", "feed.atom", "status.json"), value


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_texts_stay_texts_on_every_page(house, text):
    def write(tx):
        tx.execute(
            sa.insert(incidents).values(
                number=7, key="k", title=text, severity=text, urgency="high", state="acknowledged", receiver="web", service=text,
                acknowledged_by=text, policy={}, group_labels={}, created_ms=START_MS, remediation={}, extra={},
            )
        )  # fmt: skip
        return ensure_key(tx, house.parts.random)

    key = house.db.write_now(write)
    link = "/ack/" + sign(key, AckLink(7, text.encode("utf-8", "replace").decode(), START_MS + 60_000))
    for answer in (
        await house.client.get(link),
        await house.client.get("/login", query={"next": text}),
        await house.client.post("/login", form={"name": text, "password": text, "next": text}),
        await house.client.get("/signin", query={"t": text, "next": text}),
        await house.client.get("/ack/" + "x"),
    ):
        assert answer.headers["content-type"].startswith("text/html")
        assert_harmless(answer.text)
    assert_harmless(render(hostile_view(text), BESIDE))


def test_links_are_http_or_our_own_paths():
    assert safe_href("https://a.example/?a=1&b") == "https://a.example/?a=1&amp;b"
    assert safe_href("/i/7") == "/i/7"
    for bad in ("javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "//evil", "/\\evil", "vbscript:x", "/a\tb"):
        assert safe_href(bad) == "#"
