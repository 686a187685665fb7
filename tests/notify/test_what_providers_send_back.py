"""Delivery reports, presses fetched from Telegram, links in messages: right ones count, forged and foreign ones do not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
from tests.fakes.house import House, alert, directory, page, person, policy
from tests.fakes.ports import FakeHttp
from tests.fakes.virtual import VirtualClock, run_virtual

from tocsin.model.alert import PageReason
from tocsin.model.event import Actor
from tocsin.model.incident import ContactMethod, Person
from tocsin.model.notification import NotificationState
from tocsin.model.ports import HttpResponse
from tocsin.notify.inbound import Report, telegram_press, twilio_report
from tocsin.notify.links import AckLink, sign, verify
from tocsin.notify.settings import ChannelSettings
from tocsin.notify.telegram_poll import TelegramPoller

NOW = 1_767_225_600_000


def test_delivery_reports_say_only_what_is_final() -> None:
    assert twilio_report({"MessageSid": "SM1", "MessageStatus": "sent"}) is None
    report = twilio_report({"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003"})
    assert report is not None and report.state is NotificationState.FAILED and "30003" in report.text


def test_a_page_that_the_network_did_not_deliver_takes_the_next_way(tmp_path: Path) -> None:
    async def story() -> None:
        phone = ContactMethod("sms", "sms", "+33612345678")
        ana = Person("ana", methods=(phone,))
        h = House(
            directory(ana, person("ben"), policy=policy(["ana"], ["ben"])),
            tmp_path / "state.db",
            defaults={"sms": {"from": "+1", "account_sid": "AC1", "auth_token": "t"}, "email": {"smarthost": "m:25"}},
        )
        h.http.default = HttpResponse(201, {}, b'{"sid": "SM7", "status": "queued"}')
        async with h.running():
            await h.page(page(alert()))
            await h.wait(1)
            assert h.log()[0]["state"] == "accepted" and h.mails_to("ben") == 0
            assert await h.deliverer.report(Report("SM7", NotificationState.FAILED, "Twilio: undelivered 30003"))
            assert not await h.deliverer.report(Report("SM8", NotificationState.FAILED, "unknown"))
            await h.wait(1)
            assert h.log()[0]["state"] == "failed" and h.mails_to("ben") == 1

    run_virtual(story())


def test_a_press_in_telegram_names_the_incident() -> None:
    press = telegram_press({"update_id": 1, "callback_query": {"id": "q", "from": {"id": 7}, "data": "ack:42"}})
    assert press is not None and (press.incident, press.who) == (42, "7")
    assert telegram_press({"callback_query": {"id": "q", "from": {"id": 7}, "data": "ack:x"}}) is None
    assert telegram_press({"message": {}}) is None
    later = telegram_press({"callback_query": {"id": "q", "from": {"id": 7}, "data": "noise:42"}})
    assert press.answer == "acknowledge" and later is not None and later.answer == "noise"


def test_tocsin_fetches_presses_from_telegram_and_obeys_known_people_only() -> None:
    presses = [{"update_id": n, "callback_query": {"id": f"q{n}", "from": {"id": n}, "data": "ack:42"}} for n in (7, 8)]
    done: list[tuple[str, str]] = []

    async def command(name: str, args: object, actor: Actor) -> None:
        done.append((name, actor.name))

    async def story() -> None:
        http = FakeHttp()

        def route(request: object) -> HttpResponse:
            body = orjson.loads(request.body)  # type: ignore[attr-defined]
            result = [u for u in presses if u["update_id"] >= body.get("offset", 0)]
            return HttpResponse(200, {}, orjson.dumps({"ok": True, "result": result}))

        http.route, http.latency_s = route, 1.0
        ana = Person("ana", methods=(ContactMethod("telegram", "telegram", "7"),))
        settings = ChannelSettings({"telegram": {"bot_token": "1:t"}}, {"ana": ana})
        poller = TelegramPoller(clock=VirtualClock(), http=http, command=command, settings=settings)
        task = asyncio.create_task(poller.run())
        await asyncio.sleep(60)
        task.cancel()
        answers = [orjson.loads(r.body)["text"] for r in http.requests if r.url.endswith("answerCallbackQuery")]
        assert answers[0] == "Incident #42 is yours." and "does not know" in answers[1] and len(answers) == 2

    run_virtual(story())
    assert done == [("incident.acknowledge", "ana")]


def test_an_acknowledge_link_is_good_for_one_person_one_incident_and_one_day() -> None:
    key = b"k" * 32
    token = sign(key, AckLink(42, "ana maria", NOW + 1000))
    assert verify(key, token, NOW) == AckLink(42, "ana maria", NOW + 1000)
    assert verify(key, token, NOW + 1000) is None
    assert verify(b"x" * 32, token, NOW) is None and verify(b"", token, NOW) is None
    for i in range(len(token)):
        forged = token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :]
        assert verify(key, forged, NOW) is None, forged
    for nonsense in ("", ".", "...", "é" * 9, "1.2.3.4", token * 9):
        assert verify(key, nonsense, NOW) is None


def test_a_call_that_a_machine_answers_takes_the_next_way_and_nobody_is_called_for_an_end(tmp_path: Path) -> None:
    async def story() -> None:
        ana = Person("ana", methods=(ContactMethod("voice", "voice", "+33612345678"),))
        h = House(
            directory(ana, person("ben"), policy=policy(["ana"], ["ben"])),
            tmp_path / "state.db",
            defaults={"voice": {"from": "+15005550006", "account_sid": "AC1", "auth_token": "t"}, "email": {"smarthost": "m:25"}},
        )
        h.http.default = HttpResponse(201, {}, b'{"sid": "CA7", "status": "queued"}')
        async with h.running():
            await h.page(page(alert()))
            await h.wait(1)
            assert h.log()[0]["state"] == "accepted" and h.mails_to("ben") == 0
            assert await h.deliverer.report(Report("CA7", NotificationState.FAILED, "Twilio: answered by a machine"))
            await h.wait(1)
            assert h.log()[0]["state"] == "failed" and h.mails_to("ben") == 1
            await h.page(page(resolved=[alert(ends_at_ms=h.clock.now_ms())], reason=PageReason.ALL_RESOLVED))
            await h.wait(30)
            assert len(h.http.requests) == 1, "nobody is called for good news"

    run_virtual(story())


def test_a_phone_that_opted_out_is_shown_as_failed_and_the_page_reaches_somebody_all_the_same(tmp_path: Path) -> None:
    async def story() -> None:
        ana = Person("ana", methods=(ContactMethod("sms", "sms", "+33612345678"),))
        h = House(
            directory(ana, person("ben"), policy=policy(["ana"], ["ben"])),
            tmp_path / "state.db",
            defaults={"sms": {"from": "+1", "account_sid": "AC1", "auth_token": "t"}, "email": {"smarthost": "m:25"}},
        )
        h.http.default = HttpResponse(400, {}, b'{"code": 21610, "message": "Attempt to send to unsubscribed recipient"}')
        async with h.running():
            await h.page(page(alert()))
            await h.wait(2)
            (row,) = [row for row in h.log() if row["channel"] == "sms"]
            assert (row["state"], len(h.http.requests)) == ("failed", 1) and "unsubscribed" in row["state_reason"]
            assert h.mails_to("ben") == 1 and "notification_failed" in h.story()

    run_virtual(story())
