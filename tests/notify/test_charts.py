"""Charts in messages: drawn right, signed, added where a channel can, and never waited for."""

from __future__ import annotations

import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from tests.fakes.chats import FakeChats
from tests.fakes.house import House, alert, directory, page, person, policy
from tests.fakes.mail import FakeMail
from tests.fakes.slack import FakeSlack
from tests.fakes.virtual import run_virtual
from tests.notify.test_real_ports_and_providers import NASTY, message

import tocsin.web.static
from tocsin.model.alert import Alert
from tocsin.model.labels import Labels
from tocsin.model.notification import DeliveryOutcome, Notification
from tocsin.model.series import Matrix, QueryResult, ValueType
from tocsin.notify.channel import Io, build
from tocsin.notify.chart import Chart, Size, figure, png, svg
from tocsin.notify.chart_look import DARK, LIGHT, MOST_LINES, PAGE
from tocsin.notify.figures import in_unit
from tocsin.notify.http import RealHttp
from tocsin.notify.links import ChartLink, chart_url, verify_chart
from tocsin.notify.pictures import Picture, Pictures
from tocsin.notify.smtp import RealSmtp
from tocsin.web.charts import Evidence, picture, plot

PNG = b"\x89PNG\r\n\x1a\n"
START_MS = 1_767_225_600_000
RULE = "https://tocsin.example/graph?g0.expr=rate%28errors%5B5m%5D%29+%3E+5&g0.tab=1"


def drawing(rows: int = 2, **more: Any) -> Chart:
    t_ms = START_MS + 15_000 * np.arange(100, dtype=np.int64)
    values = np.tile(np.linspace(0, 10, 100), (rows, 1))
    values[0, 40:50] = np.nan
    given: dict[str, Any] = {"threshold": 5.0, "since_ms": START_MS + 900_000, **more}
    return Chart(given.pop("title", "errors"), tuple(f"instance=i{n}" for n in range(rows)), t_ms, values, **given)


# -- drawing -----------------------------------------------------------------------------------------------------------


def test_a_chart_has_lines_with_gaps_the_limit_and_since_when() -> None:
    root = ElementTree.fromstring(svg(drawing()))
    paths = root.findall("{*}path")
    texts = [text.text for text in root.findall("{*}text")]
    assert len(paths) == 3, "the first line has a gap"
    assert "limit 5" in texts and "00:00 UTC" in texts and "instance=i1" in texts
    assert any(rect.get("opacity") for rect in root.findall("{*}rect"))


@pytest.mark.parametrize("rows", [1, 8, 40])
@pytest.mark.parametrize("value", [0.0, 1e-9, -3.0, 7e13, float("inf"), float("nan")])
def test_whatever_the_values_the_drawing_is_well_formed(rows: int, value: float) -> None:
    t_ms = START_MS + 1000 * np.arange(3, dtype=np.int64)
    chart = Chart(NASTY, tuple([NASTY] * rows), t_ms, np.full((rows, 3), value), value, START_MS + 1000, left_out=3)
    drawn = svg(chart)
    assert (
        "<script" not in drawn
        and "nan" not in drawn.lower().replace("dominant", "")
        and ElementTree.fromstring(drawn) is not None
    )


def test_figures_on_the_axis_are_short() -> None:
    assert [figure(v) for v in (0, 0.05, 1500, 2.5e7, -3e9, 1e-7)] == ["0", "0.05", "1.5k", "25M", "-3G", "1.0e-07"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.99998, "ratio", "99.998 %"),
        (0.9999999, "ratio", "> 99.9999 %"),
        (1.0, "ratio", "100 %"),
        (0.5, "%", "50 %"),
        (0.000213, "s", "213 µs"),
        (0.412, "s", "412 ms"),
        (300, "s", "5 min"),
        (1536, "bytes", "1.5 KiB"),
        (0, "bytes/s", "0 B/s"),
        (1, "bool", "yes"),
        (2500, "/s", "2.5k /s"),
        (float("nan"), "s", "–"),
        (float("-inf"), "", "−∞"),
    ],
)
def test_figures_have_their_unit(value: float, unit: str, text: str) -> None:
    assert in_unit(value, unit) == text


def test_a_drawing_has_the_size_the_colours_and_the_zone_that_were_asked_for() -> None:
    drawn = svg(
        drawing(threshold=None, since_ms=0, limits=(3.0,), unit="s"), look=DARK, size=Size(400, 200), zone=ZoneInfo("Asia/Tokyo")
    )
    assert 'viewBox="0 0 400 200"' in drawn and DARK.colours["paper"] in drawn and "09:00 JST" in drawn and "limit 3 s" in drawn
    page = svg(drawing(), look=PAGE)
    assert 'class="fill-ink"' in page and "#" not in page, "the page's style sheet has the colours"
    css = (Path(tocsin.web.static.__file__).parent / "pages.css").read_text()
    for number in range(MOST_LINES):
        pair = f"light-dark({LIGHT.colours[str(number)].lower()}, {DARK.colours[str(number)].lower()})"
        assert f".chart .fill-{number} {{ fill: {pair}; }}" in css and f".chart .stroke-{number} {{ stroke: {pair}; }}" in css


def test_it_becomes_a_png() -> None:
    pytest.importorskip("resvg_py", reason="the extra 'charts' is not installed")
    assert png(svg(drawing())).startswith(PNG)


# -- what is drawn -----------------------------------------------------------------------------------------------------


class Asked:
    """A queryable with one answer; remembers the question."""

    def __init__(self, *labels: dict[str, str]) -> None:
        self.labels, self.query = labels, ""

    def instant(self, query: str, t_ms: int) -> QueryResult:
        raise NotImplementedError

    def range(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> QueryResult:
        self.query, self.span_ms = query, end_ms - start_ms
        t_ms = np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)
        values = np.ones((len(self.labels), len(t_ms)))
        return QueryResult(ValueType.MATRIX, matrix=Matrix(tuple(Labels(one) for one in self.labels), t_ms, values))


def evidence(expression: str, *labels: dict[str, str]) -> Evidence:
    return Evidence("web", START_MS, [(expression, one) for one in labels or ({"alertname": "A", "instance": "i1"},)])


@pytest.mark.parametrize(
    ("expression", "query", "limit"),
    [
        ("rate(errors[5m]) > 5", "rate(errors[5m])", 5.0),
        ("(up == 0)", "up", 0.0),
        ("0.1 < (a / b)", "(a / b)", 0.1),
        ("a > -2", "a", -2.0),
        ("a > on (x) b", "a > on (x) b", None),
        ("absent(up)", "absent(up)", None),
    ],
)
def test_the_side_with_the_figure_is_the_limit_and_the_other_is_drawn(expression: str, query: str, limit: float | None) -> None:
    asked = Asked({"instance": "i1"})
    drawn = plot(asked, evidence(expression), START_MS + 600_000)
    assert drawn is not None and (asked.query, drawn.threshold) == (query, limit)
    assert asked.span_ms == 3_600_000


def test_the_alerts_own_series_are_drawn_and_named_by_what_tells_them_apart() -> None:
    asked = Asked({"instance": "i1", "job": "web"}, {"instance": "i2", "job": "web"}, {"instance": "i3", "job": "web"})
    mine = ({"alertname": "A", "job": "web", "instance": "i1"}, {"alertname": "A", "job": "web", "instance": "i3"})
    drawn = plot(asked, evidence("errors > 5", *mine), START_MS)
    assert drawn is not None and drawn.names == ("instance=i1", "instance=i3")
    nobody = plot(asked, evidence("errors > 5", {"alertname": "other", "job": "db"}), START_MS)
    assert nobody is not None and len(nobody.names) == 3


def test_a_chart_begins_where_its_samples_do() -> None:
    class Young(Asked):
        def range(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> QueryResult:
            found = super().range(query, start_ms, end_ms, step_ms)
            assert found.matrix is not None
            found.matrix.values[:, :100] = np.nan
            return found

    drawn = plot(Young({"instance": "i1"}), evidence("errors > 5"), START_MS)
    assert drawn is not None and len(drawn.t_ms) == 141 and np.isfinite(drawn.values).all()


def test_nothing_to_draw_is_no_picture() -> None:
    assert picture(Asked(), evidence("errors > 5"), START_MS) == b""
    assert plot(Asked({}), evidence("errors >"), START_MS) is not None, "what cannot be parsed is asked as it is"


def test_a_chart_address_is_for_one_incident_and_expires() -> None:
    key = b"k" * 32
    url = chart_url("https://t.example", key, incident=42, at_ms=START_MS)
    token = url.removeprefix("https://t.example/charts/").removesuffix(".png")
    assert verify_chart(key, token, START_MS) == ChartLink(42, START_MS, START_MS + 7 * 86_400_000)
    assert verify_chart(key, token, START_MS + 7 * 86_400_000) is None
    for forged in ("43" + token[2:], token[:-1] + ("A" if token[-1] != "A" else "B"), "", "...", "é"):
        assert verify_chart(key, forged, START_MS) is None


# -- in messages -------------------------------------------------------------------------------------------------------


def ready(image: bytes = PNG + b"x" * 500) -> Picture:
    done: Future[bytes] = Future()
    done.set_result(image)
    return Picture("https://t.example/charts/x.png", done)


async def send(name: str, settings: dict[str, Any], shown: Picture, refs: dict[str, Any], *, illustrate: bool = False) -> Any:
    async with RealHttp() as http:
        io = Io(http=http, smtp=RealSmtp(), now_ms=START_MS, refs=refs, host="t.example", picture=shown)
        channel, given = build(name, settings), message(chart_url=shown.url)
        answer = await channel.send(given, io)
        return await channel.illustrate(given, io, await shown.png(1)) if illustrate else answer


async def test_a_mail_shows_the_chart_when_it_is_ready_and_goes_without_when_it_hangs() -> None:
    with FakeMail() as mail:
        settings = {"to": "ana@shop.example", "smarthost": f"127.0.0.1:{mail.port}", "from": "tocsin@t.example"}
        assert (await send("email", settings, ready(), {})).outcome is DeliveryOutcome.ACCEPTED
        hung = Picture("https://t.example/charts/x.png", Future())
        assert (await send("email", settings, hung, {})).outcome is DeliveryOutcome.ACCEPTED
        assert not mail.broken
        first, second = (kept["html"] for kept in mail.mails)
        assert "cid:chart@tocsin" in first and "cid:" not in second
        assert all("https://t.example/charts/x.png" in kept["text"] for kept in mail.mails)


async def test_slack_gets_the_chart_in_the_thread_of_the_message() -> None:
    with FakeSlack() as slack:
        settings = {"bot_token": "xoxb-1", "channel": "C01", "web_api": f"{slack.url}/api"}
        refs: dict[str, Any] = {}
        assert await send("slack", settings, ready(), refs, illustrate=True) == ""
        assert not slack.broken and slack.files[0]["thread_ts"] == refs["ts"]
        slack.script("garbage")
        assert "Slack" in await build("slack", settings).illustrate(message(), Io(RealHttp(), RealSmtp(), 1, refs), PNG)


async def test_telegram_gets_the_chart_as_an_answer_without_a_sound() -> None:
    with FakeChats() as chats:
        settings = {"bot_token": "1:t", "chat_id": 42, "api_url": chats.url}
        assert await send("telegram", settings, ready(), {}, illustrate=True) == ""
        assert not chats.broken and b"disable_notification" in chats.seen[-1].body.encode()


def rule_alert() -> Alert:
    given = alert()
    return Alert(given.labels, given.annotations, given.starts_at_ms, 0, generator_url=RULE, value=7.0)


def hangs(_: Notification) -> bytes:
    threading.Event().wait(0.5)
    return PNG


def breaks(_: Notification) -> bytes:
    raise RuntimeError("no memory for a picture")


@pytest.mark.parametrize("draw", [hangs, breaks])
def test_a_page_goes_out_although_its_chart_hangs_or_fails(tmp_path: Path, draw: Callable[[Notification], bytes]) -> None:
    async def story() -> None:
        h = House(
            directory(person("ana", "email", "slack"), policy=policy(["ana"])), tmp_path / "state.db", pictures=Pictures(draw)
        )
        async with h.running():
            await h.page(page(rule_alert()))
            await h.wait(1)
            assert {(row["channel"], row["state"]) for row in h.log()} == {("email", "accepted"), ("slack", "delivered")}
            mail = message_from_bytes(h.smtp.mails[0].message, policy=default)
            assert "/charts/1." in mail.get_body(("plain",)).get_content() and "cid:" not in mail.as_string()

    run_virtual(story())


def test_a_page_of_somebody_elses_rule_has_no_chart(tmp_path: Path) -> None:
    async def story() -> None:
        h = House(directory(person("ana", "email"), policy=policy(["ana"])), tmp_path / "state.db", pictures=Pictures(breaks))
        async with h.running():
            await h.page(page(alert()))
            await h.wait(1)
            assert h.mails_to("ana") == 1 and b"/charts/" not in h.smtp.mails[0].message

    run_virtual(story())


def test_a_storm_draws_a_few_charts_and_links_the_rest() -> None:
    pictures = Pictures(lambda note: PNG)
    notes = [message().notification for _ in range(100)]
    shown = [pictures.of(replace(note, incident=n + 1), "u").drawing for n, note in enumerate(notes)]
    assert 0 < sum(drawing is not None for drawing in shown) <= 20
    assert pictures.of(replace(notes[0], incident=1), "u").drawing is shown[0], "each incident is drawn once"
