"""Many incidents at once: few messages, one storm, nothing dropped."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.house import SLACK_URL, House, alert, directory, page, person, policy
from tests.fakes.virtual import run_virtual

from tocsin.model.alert import PageReason
from tocsin.model.incident import ContactMethod
from tocsin.model.ports import HttpResponse
from tocsin.model.route import Destination

GROUPS = 26
WAITING = "select count(*) from notifications where state in ('pending', 'sending', 'held')"
PHONE = ContactMethod("sms", "sms", "+33612345678")
TWILIO = {"sms": {"from": "+15005550006", "account_sid": "AC1", "auth_token": "t"}, "email": {"smarthost": "mail:25"}}


def answer(request: object) -> HttpResponse:
    if "Messages.json" in request.url:  # type: ignore[attr-defined]
        return HttpResponse(201, {}, b'{"sid": "SM1", "status": "queued"}')
    return HttpResponse(200, {}, b"ok")


def texts(h: House) -> int:
    return sum("Messages.json" in request.url for request in h.http.requests)


def house(tmp_path: Path) -> House:
    ana = person("ana", "email")
    ana = type(ana)(ana.name, methods=(*ana.methods, PHONE))
    people = directory(
        ana, policy=policy(["ana"], delay_ms=3_600_000), destinations=(Destination("slack", {"api_url": SLACK_URL}),)
    )
    h = House(people, tmp_path / "state.db", defaults=TWILIO)
    h.http.route = answer
    return h


def test_a_storm_of_many_groups_rings_twice_and_is_one_incident(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            for n in range(GROUPS):
                await h.page(page(alert(f"A{n}"), group=f"g{n}"))
                await h.wait(0.6)
            await h.wait(120)
            assert texts(h) <= 2
            assert h.mails_to("ana") <= 3
            opened = h.incidents("open")
            assert len(opened) == 21 and any(row["title"].startswith("Storm:") for row in opened)
            log = h.db.read_now(lambda tx: tx.exec_driver_sql("select distinct incident from notifications").all())
            assert len(log) == GROUPS + 1, "every incident has its rows"
            storm = next(row for row in opened if row["title"].startswith("Storm:"))
            assert len(h.detail(storm["number"])["alerts"]) == GROUPS - 20
            for n in range(GROUPS):
                gone = alert(f"A{n}", ends_at_ms=h.clock.now_ms())
                await h.page(page(resolved=[gone], reason=PageReason.ALL_RESOLVED, group=f"g{n}"))
            await h.wait(200)
            assert not h.incidents("open")
            waiting = h.db.read_now(lambda tx: tx.exec_driver_sql(WAITING).scalar())
            assert waiting == 0

    run_virtual(story())


def test_the_second_mail_and_the_second_sms_speak_for_all_that_came_meanwhile(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            for n in range(3):
                await h.page(page(alert(f"A{n}"), group=f"g{n}"))
                await h.wait(1)
            assert h.mails_to("ana") == 1 and texts(h) == 1
            await h.wait(9)
            assert h.mails_to("ana") == 2
            await h.wait(60)
            assert texts(h) == 2
            assert b"%2B1+more" in next(r.body for r in reversed(h.http.requests) if "Messages.json" in r.url)
            for channel in ("sms", "email"):
                states = {(row["incident"], row["state"]) for row in h.log() if row["channel"] == channel}
                assert states == {(1, "accepted"), (2, "accepted"), (3, "bundled")}

    run_virtual(story())


def test_news_of_a_storm_come_by_mail_now_and_then_and_its_end_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            for n in range(GROUPS):
                await h.page(page(alert(f"A{n}"), group=f"g{n}"))
            await h.wait(11)
            assert h.mails_to("ana") == 2 and b"Storm" in h.smtp.mails[-1].message
            for n in range(GROUPS, GROUPS + 4):
                await h.page(page(alert(f"A{n}"), group=f"g{n}"))
                await h.wait(35)
            assert h.mails_to("ana") == 2
            await h.wait(180)
            assert h.mails_to("ana") == 3, "one mail for all the news"
            for n in range(GROUPS + 4):
                gone = alert(f"A{n}", ends_at_ms=h.clock.now_ms())
                await h.page(page(resolved=[gone], reason=PageReason.ALL_RESOLVED, group=f"g{n}"))
            await h.wait(11)
            assert b"esolved" in h.smtp.mails[-1].message
            await h.wait(400)
            waiting = h.db.read_now(lambda tx: tx.exec_driver_sql(WAITING).scalar())
            assert waiting == 0

    run_virtual(story())
