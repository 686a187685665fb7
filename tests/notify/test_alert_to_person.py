"""From a page to people and back, on virtual time with fake providers."""

from __future__ import annotations

from pathlib import Path

import orjson
from tests.fakes.house import HOOK_URL, SLACK_URL, House, alert, directory, page, person, policy
from tests.fakes.virtual import run_virtual

from tocsin.model.alert import PageReason
from tocsin.model.incident import NotificationRule
from tocsin.model.ports import HttpResponse, SmtpAnswer
from tocsin.model.route import Destination


def house(tmp_path: Path, **more: object) -> House:
    people = directory(
        person("ana"),
        person("ben"),
        policy=policy(["ana"], ["ben"]),
        destinations=(
            Destination("slack", {"api_url": SLACK_URL, "channel": "#web"}),
            Destination("webhook", {"url": HOOK_URL, "secret": "s"}, index=1),
        ),
    )
    return House(people, tmp_path / "state.db", **more)  # type: ignore[arg-type]


def test_a_page_reaches_the_first_step_and_the_places_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            await h.page(page(alert()))
            await h.wait(1)
            assert [m.recipient for m in h.smtp.mails] == ["ana@shop.example"]
            assert sorted(r.url for r in h.http.requests) == [HOOK_URL, SLACK_URL]
            assert {row["state"] for row in h.log()} == {"accepted", "delivered"}
            body = orjson.loads(next(r.body for r in h.http.requests if r.url == HOOK_URL))
            assert body["status"] == "firing" and body["version"] == "4" and body["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"

    run_virtual(story())


def test_without_an_acknowledgement_the_next_step_is_paged(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            await h.page(page(alert()))
            await h.wait(299)
            assert h.mails_to("ben") == 0
            await h.wait(2)
            assert h.mails_to("ben") == 1

    run_virtual(story())


def test_an_acknowledgement_stops_the_escalation_and_tells_who_has_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            await h.page(page(alert()))
            await h.wait(10)
            row = await h.command("acknowledge")
            assert row["state"] == "acknowledged" and row["acknowledged_by"] == "ana"
            await h.wait(600)
            assert h.mails_to("ben") == 0
            kinds = [row["kind"] for row in h.log()]
            assert kinds == ["page"] * 3 + ["acknowledged"] * 3
            again = await h.command("acknowledge")
            assert again["version"] == row["version"]

    run_virtual(story())


def test_everybody_who_was_told_hears_of_the_end_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            await h.page(page(alert()))
            await h.wait(301)
            await h.page(page(resolved=[alert(ends_at_ms=h.clock.now_ms())], reason=PageReason.ALL_RESOLVED))
            await h.wait(60)
            ends = [row for row in h.log() if row["kind"] == "resolved"]
            assert sorted(row["recipient"] for row in ends) == ["ana", "ben", "web", "web"]
            assert h.incidents()[0]["state"] == "resolved"
            text = h.smtp.mails[-1].message.decode()
            assert "RESOLVED - Down on web" in text and "[CRIT #1] Down on web" in text

    run_virtual(story())


def test_a_rate_limited_slack_is_asked_again_when_it_said_and_delays_nobody_else(tmp_path: Path) -> None:
    async def story() -> None:
        h = house(tmp_path)
        answers = [HttpResponse(429, {"retry-after": "30"}, b"rate_limited")]

        def route(request: object) -> HttpResponse:
            if request.url == SLACK_URL and answers:  # type: ignore[attr-defined]
                return answers.pop()
            return HttpResponse(200, {}, b"ok")

        h.http.route = route
        async with h.running():
            await h.page(page(alert()))
            await h.wait(1)
            assert h.mails_to("ana") == 1
            await h.wait(28)
            assert [r.url for r in h.http.requests].count(SLACK_URL) == 1
            await h.wait(10)
            assert [r.url for r in h.http.requests].count(SLACK_URL) == 2
            assert {row["state"] for row in h.log()} == {"accepted", "delivered"}

    run_virtual(story())


def test_a_dead_way_to_a_person_is_replaced_by_the_next_contact_method(tmp_path: Path) -> None:
    async def story() -> None:
        ana = person("ana", "slack", "email", rules=(NotificationRule("slack"),))
        h = House(directory(ana, policy=policy(["ana"])), tmp_path / "state.db")
        h.http.route = lambda request: HttpResponse(404, {}, b"no_service")
        async with h.running():
            await h.page(page(alert()))
            await h.wait(1)
            assert [row["state"] for row in h.log()] == ["failed", "accepted"]
            assert h.mails_to("ana") == 1

    run_virtual(story())


def test_when_no_way_to_a_person_works_the_next_step_starts_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        people = directory(person("ana", "webhook"), person("ben"), policy=policy(["ana"], ["ben"]))
        h = House(people, tmp_path / "state.db")
        h.http.route = lambda request: HttpResponse(401, {}, b"")
        async with h.running():
            await h.page(page(alert()))
            await h.wait(1)
            assert h.mails_to("ben") == 1
            assert "escalated_early" in h.story()

    run_virtual(story())


def test_a_page_that_is_acknowledged_while_its_provider_is_down_is_never_sent(tmp_path: Path) -> None:
    async def story() -> None:
        h = house(tmp_path)
        h.smtp.answers.extend([SmtpAnswer(421, "try later", False)] * 3)
        async with h.running():
            await h.page(page(alert()))
            await h.wait(1)
            await h.command("acknowledge")
            await h.wait(600)
            assert h.mails_to("ana") == 0
            mail = next(row for row in h.log() if row["channel"] == "email")
            assert mail["state"] == "cancelled" and "acknowledged by ana" in mail["state_reason"]

    run_virtual(story())
