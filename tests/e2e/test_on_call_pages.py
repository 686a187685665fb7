"""On call in the browser: an incident on its rung, a contact that is tried, a turn given away, a span drawn over the week."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect
from tests.e2e.test_every_page import violations
from tests.e2e.test_override_pages import fire
from tests.fakes.mail import FakeMail

DUTY = """
global: {{smtp_smarthost: "127.0.0.1:{mail}", smtp_from: tocsin@shop.example, smtp_require_tls: false}}
users:
  - {{name: admin, email: admin@shop.example, quiet_hours: {{from: "22:00", to: "07:00", time_zone: Europe/Paris}}}}
  - {{name: ben, full_name: Ben Okoro, email: ben@shop.example}}
policies:
  - name: default
    steps: [{{notify: "schedule:duty", wait: 30m}}, {{notify: ben, wait: 10m}}]
    repeat: 1
schedules:
  - name: duty
    tz: UTC
    layers:
      - {{name: spare, from: "2020-01-06T00:00", anchor: "2020-01-06T00:00", users: [ben]}}
      - {{name: main, from: "2020-01-06T00:00", anchor: "2020-01-06T00:00", users: [admin]}}
receivers: [{{name: ops, policy: default}}]
route: {{receiver: ops, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}}
"""


def test_an_incident_stands_on_its_rung_and_stops_there_when_somebody_has_it(
    start_tocsin: Any, open_browser: Any, noise: Any
) -> None:
    with FakeMail() as mail:
        tocsin = start_tocsin(DUTY.format(mail=mail.port))
        page = open_browser(tocsin, timezone_id="UTC")
        page.goto(tocsin.url + "/oncall/policies/default")
        ladder = page.get_by_role("region", name="Ladder")
        expect(ladder.get_by_role("listitem").first).to_contain_text("admin")
        expect(ladder).to_contain_text("begins again, once")
        expect(page.get_by_text("Nobody is being paged by it")).to_be_visible()
        expect(page.get_by_role("region", name="Where it is used")).to_contain_text("ops")

        fire(tocsin, "CheckoutErrors")
        first = ladder.get_by_role("listitem").first
        expect(first).to_contain_text(re.compile(r"#1\s+was paged here; step 2 of 2 in (29|30)m"))
        assert violations(page) == []
        page.get_by_role("button", name="Acknowledge").click()
        expect(first).to_contain_text("stopped here: admin has it")
        assert noise.lines == []


def test_a_way_is_tried_a_turn_given_away_and_a_span_drawn(start_tocsin: Any, open_browser: Any, noise: Any) -> None:
    with FakeMail() as mail:
        tocsin = start_tocsin(DUTY.format(mail=mail.port))
        page = open_browser(tocsin, timezone_id="UTC")
        page.goto(tocsin.url + "/oncall?week=2030-W10")
        people = page.get_by_role("region", name="People")
        expect(people).to_contain_text("22:00 – 07:00 (Europe/Paris), critical gets through")
        ben = people.get_by_role("listitem").filter(has_text="Ben Okoro")
        ben.get_by_role("button", name="Send a test message to ben").click()
        expect(ben.get_by_role("status")).to_contain_text("accepted by the provider")
        assert [one["recipients"] for one in mail.mails] == [["ben@shop.example"]]

        # An administrator sets Ben's quiet hours; those of the file are not changed here.
        expect(people.get_by_role("button", name="the quiet hours of admin")).to_have_count(0)
        ben.get_by_role("button", name="Set the quiet hours of ben").click()
        form = page.get_by_role("dialog", name="Quiet hours of ben")
        expect(form.get_by_role("status")).to_contain_text("end at 07:00 of the next day")
        form.get_by_role("checkbox", name="All day").check()
        expect(form.get_by_role("button", name="Save")).to_be_disabled()
        form.get_by_role("checkbox", name="Sat").check()
        form.get_by_role("checkbox", name="Sun").check()
        assert violations(page) == []
        form.get_by_role("button", name="Save").click()
        expect(ben).to_contain_text("All day, Sat and Sun (UTC), critical gets through")

        # From Tuesday noon to Wednesday six o'clock, over two lanes: the form opens with these hours.
        tuesday, wednesday = (page.get_by_role("list", name=re.compile(f"^{day} ")).first for day in ("Tue", "Wed"))
        tuesday.scroll_into_view_if_needed()
        from_box, to_box = tuesday.bounding_box(), wednesday.bounding_box()
        assert from_box is not None and to_box is not None
        page.mouse.move(from_box["x"] + from_box["width"] / 2, from_box["y"] + from_box["height"] / 2)
        page.mouse.down()
        page.mouse.move(to_box["x"] + to_box["width"] / 4, to_box["y"] + to_box["height"] / 2, steps=5)
        page.mouse.up()
        form = page.get_by_role("dialog", name="Override")
        expect(form.get_by_label("From")).to_have_value("2030-03-05T12:00")
        expect(form.get_by_label("Until")).to_have_value("2030-03-06T06:00")
        form.get_by_label("Who takes it").select_option("ben")
        form.get_by_role("button", name="Save override").click()
        expect(page.get_by_role("button", name=re.compile("^ben, Tue 5 12:00–24:00, by an override"))).to_be_visible()
        lanes = page.get_by_text("Layers and overrides").locator("..")
        expect(lanes.get_by_role("list", name="override")).to_contain_text("ben")
        expect(lanes.get_by_role("list", name="main")).to_contain_text("admin")
        assert violations(page) == []

        page.get_by_role("button", name="Cover me").click()
        form = page.get_by_role("dialog", name="Cover me")
        expect(form.get_by_label("Your turn")).to_have_value("0")
        expect(form.get_by_label("Who covers you")).to_have_value("ben")
        assert violations(page) == []
        form.get_by_label("Until").evaluate(
            "it => { const d = new Date(it.form.querySelectorAll('input')[0].value + 'Z'); d.setUTCHours(d.getUTCHours() + 2);"
            " it.value = d.toISOString().slice(0, 16); it.dispatchEvent(new Event('input', { bubbles: true })) }"
        )
        expect(form.get_by_role("status")).to_contain_text("ben instead of you, 2h")
        form.get_by_role("button", name="Cover me").click()
        expect(page.get_by_text(re.compile("ben covers you on duty until"))).to_be_visible()
        page.keyboard.press("u")
        expect(page.get_by_text("Undone")).to_be_visible()
        assert noise.lines == []
