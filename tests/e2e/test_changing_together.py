"""Two people change the same thing: who comes second is told, nothing typed is lost, and nothing is done twice."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, expect
from tests.e2e.test_every_page import violations
from tests.e2e.test_keyboard_only import CONFIG, fire
from tests.fakes.mail import FakeMail

API = "/api/tocsin/v1"


class Colleague:
    """Somebody else, by the API."""

    def __init__(self, page: Page, url: str) -> None:
        self._request, self._url = page.request, url
        csrf = self.get("/session")["csrf"]
        self._headers = {"x-csrf-token": csrf, "origin": url}

    def get(self, path: str) -> Any:
        return self._request.get(self._url + API + path).json()

    def post(self, path: str, body: Any = None) -> Any:
        answer = self._request.post(self._url + API + path, data=body or {}, headers=self._headers)
        assert answer.ok, answer.text()
        return answer.json()


def test_a_silence_is_changed_by_two(start_tocsin: Any, open_browser: Any, noise: Any) -> None:
    tocsin = start_tocsin(CONFIG)
    page = open_browser(tocsin)
    colleague = Colleague(page, tocsin.url)
    page.goto(tocsin.url + '/silences/new?m=service="shop"&for=1d')
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("For")).to_have_value("24")
    dialog.get_by_label("Why").fill("disks")
    dialog.get_by_role("button", name="Silence").click()
    expect(page.get_by_text(re.compile("^(23h|1d|24h).*left"))).to_be_visible()
    page.wait_for_url(tocsin.url + "/silences")
    [row] = colleague.get("/silences")["silences"]

    page.get_by_role("button", name="Edit", exact=True).click()
    assert violations(page) == []
    dialog.get_by_label("Why").fill("disks and fans")
    dialog.get_by_label("Ends").select_option("2")
    same = {name: row[name] for name in ("id", "matchers", "starts_at_ms")}
    colleague.post("/silences", {**same, "ends_at_ms": row["ends_at_ms"] + 3_600_000, "comment": "disks, longer"})
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_text("Somebody changed this meanwhile.")).to_be_visible()
    expect(dialog.get_by_label("Why")).to_have_value("disks and fans")
    dialog.get_by_role("button", name="Keep mine, then save").click()
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text(re.compile("Silence changed: until"))).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="disks and fans")).to_be_visible()
    [changed] = colleague.get("/silences")["silences"]
    assert (changed["id"], changed["comment"]) == (row["id"], "disks and fans")
    assert changed["ends_at_ms"] < row["ends_at_ms"]

    page.get_by_role("button", name="Edit", exact=True).click()
    dialog.get_by_label(re.compile("match all of")).fill('service="shop"\nteam="web"')
    expect(dialog.get_by_text("Other matchers make another silence")).to_be_visible()
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("A new silence stands for the old one")).to_be_visible()
    states = {one["id"]: (one["state"], len(one["matchers"])) for one in colleague.get("/silences")["silences"]}
    assert states.pop(row["id"]) == ("expired", 1) and [*states.values()] == [("active", 2)]
    conflicts = [line for line in noise.lines if "412" in line]
    assert len(conflicts) == 1 and noise.lines == conflicts, "the browser notes the refusal, and nothing else"


def test_a_report_is_written_while_the_incident_grows_and_a_colleague_writes_one_too(
    start_tocsin: Any, open_browser: Any
) -> None:
    tocsin = start_tocsin(CONFIG.replace("[alertname]", "[service]"))
    page = open_browser(tocsin)
    colleague = Colleague(page, tocsin.url)
    fire(tocsin, "Down")
    page.goto(tocsin.url + "/incidents")
    page.locator("#main [id^=incident-] a").first.click()
    page.get_by_role("button", name="Note what was done").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("In words").fill("rolled back")
    fire(tocsin, "Down", "Slow")  # another version of the incident, and none of the report
    expect(page.get_by_text("2 of 2 firing")).to_be_attached()
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved")).to_be_visible()

    page.get_by_role("region", name="What was done").get_by_role("button", name="Edit").click()
    dialog.get_by_label("Cause").fill("a release")
    colleague.post("/incidents/1/remediation", {"cause": "a disk"})
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_text("Somebody changed this meanwhile.")).to_be_visible()
    expect(dialog.get_by_label("Cause")).to_have_value("a release")
    dialog.get_by_role("button", name="Load theirs").click()
    expect(dialog.get_by_label("Cause")).to_have_value("a disk")
    dialog.get_by_label("Cause").fill("a disk, after a release")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    assert colleague.get("/incidents/1")["remediation"]["cause"] == "a disk, after a release"


def test_the_next_step_is_not_paged_twice_by_two_who_escalate_at_once(start_tocsin: Any, open_browser: Any) -> None:
    steps = "[{notify: ana, wait: 30m}, {notify: ben, wait: 30m}, {notify: ana, wait: 30m}]"
    with FakeMail() as mail:  # a page that cannot be delivered would climb by itself
        config = CONFIG.replace("[{notify: ana, wait: 30m}]", steps).replace("127.0.0.1:9", f"127.0.0.1:{mail.port}")
        tocsin = start_tocsin(config)
        page = open_browser(tocsin)
        colleague = Colleague(page, tocsin.url)
        fire(tocsin, "Down")
        page.goto(tocsin.url + "/incidents")
        page.locator("#main [id^=incident-] a").first.click()
        page.get_by_role("button", name="Escalate").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("ben is paged at once.")).to_be_visible()
        colleague.post("/incidents/1/escalate")
        dialog.get_by_role("button", name="Escalate").click()
        expect(page.get_by_text("somebody changed this since you looked")).to_be_visible()
        executed = [step["executed_ms"] > 0 for step in colleague.get("/incidents/1")["policy_steps"]]
        assert executed == [True, True, False]


def test_many_incidents_are_assigned_and_silenced_at_once(start_tocsin: Any, open_browser: Any, noise: Any) -> None:
    tocsin = start_tocsin(CONFIG)
    page = open_browser(tocsin)
    colleague = Colleague(page, tocsin.url)
    fire(tocsin, "One", "Two", "Three")
    page.goto(tocsin.url + "/incidents")
    boxes = page.locator("#main [id^=incident-] input[type=checkbox]")
    expect(boxes).to_have_count(3)
    boxes.nth(0).check()
    boxes.nth(1).check()
    assert violations(page) == []
    page.get_by_label(re.compile("^Assign #")).select_option("ben")
    expect(page.get_by_text(re.compile("are ben’s"))).to_be_visible()
    assignees = sorted(row["assignee"] for row in colleague.get("/incidents")["incidents"])
    assert assignees == ["", "ben", "ben"]
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("button", name="Silence", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Matches 2 alerts now")).to_be_visible()
    dialog.get_by_label("Why").fill("known")
    dialog.get_by_role("button", name="Silence").click()
    expect(page.get_by_text("Silenced until")).to_be_visible()
    page.goto(tocsin.url + "/alerts")
    page.get_by_label("Select One").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert download.value.suggested_filename == "alerts.csv" and "One,critical," in download.value.path().read_text()
    assert noise.lines == []
