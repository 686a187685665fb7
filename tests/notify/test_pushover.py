"""Pushover: within its limits, ringing until answered, and what is answered in its app counts here."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from tests.fakes.house import House, alert, directory, page, policy
from tests.fakes.pushover import FakePushover
from tests.fakes.virtual import run_virtual
from tests.notify.test_real_ports_and_providers import NASTY, message

from tocsin.model.event import Actor
from tocsin.model.incident import ContactMethod, Person
from tocsin.model.notification import DeliveryOutcome, NotificationKind
from tocsin.model.ports import HttpResponse
from tocsin.notify.channel import Io, build
from tocsin.notify.http import RealHttp
from tocsin.notify.pushover_poll import ReceiptPoller
from tocsin.notify.smtp import RealSmtp

KEYS = {"token": "t" * 30, "user_key": "u" * 30}


async def send(server: FakePushover, refs: dict[str, Any], **more: Any) -> Any:
    async with RealHttp() as http:
        io = Io(http=http, smtp=RealSmtp(), now_ms=1, refs=refs)
        return await build("pushover", {**KEYS, "api_url": f"{server.url}/1/messages.json"}).send(message(**more), io)


@pytest.mark.parametrize("severity", ["critical", "warning"])
async def test_a_page_is_within_pushovers_limits_and_a_critical_one_rings_until_answered(severity: str) -> None:
    with FakePushover() as server:
        refs: dict[str, Any] = {}
        answer = await send(server, refs, title=NASTY * 9, lines=(NASTY * 40,), alerts=300, severity=severity)
        assert answer.outcome is DeliveryOutcome.ACCEPTED and not server.broken
        assert (refs.get("receipt"), list(server.receipts)) == (("r1", ["r1"]) if severity == "critical" else (None, []))


async def test_it_stops_ringing_when_somebody_has_it() -> None:
    with FakePushover() as server:
        refs: dict[str, Any] = {}
        await send(server, refs)
        await send(server, refs, kind=NotificationKind.ACKNOWLEDGED, state="acknowledged")
        assert server.receipts == {"r1": "cancelled"} and "receipt" not in refs and not server.broken


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        ("429", DeliveryOutcome.RETRY),
        ("500", DeliveryOutcome.RETRY),
        ("garbage", DeliveryOutcome.RETRY),
        ("drop", DeliveryOutcome.UNKNOWN),
    ],
)
async def test_only_pushovers_own_success_counts(act: str, outcome: DeliveryOutcome) -> None:
    with FakePushover() as server:
        server.script(act)
        assert (await send(server, {})).outcome is outcome


async def test_a_refused_key_is_final() -> None:
    with FakePushover() as server:
        async with RealHttp() as http:
            settings = {"token": "wrong", "user_key": "u", "api_url": f"{server.url}/1/messages.json"}
            answer = await build("pushover", settings).send(message(), Io(http=http, smtp=RealSmtp(), now_ms=1))
        assert answer.outcome is DeliveryOutcome.PERMANENT and "invalid" in answer.reason


def test_an_answer_in_the_app_acknowledges_here(tmp_path: Path) -> None:
    async def story() -> None:
        ana = Person("ana", methods=(ContactMethod("p", "pushover", "u" * 30),))
        h = House(directory(ana, policy=policy(["ana"])), tmp_path / "state.db", defaults={"pushover": {"token": "t" * 30}})
        pressed = [0]

        def answer(request: Any) -> HttpResponse:
            value = {"status": 1, "acknowledged": pressed[0]} if request.method == "GET" else {"status": 1, "receipt": "r1"}
            return HttpResponse(200, {}, orjson.dumps(value))

        h.http.route = answer

        async def command(name: str, args: Any, actor: Actor) -> Any:
            return await h.escalator.command(name, args, actor)

        poller = ReceiptPoller(
            db=h.db, clock=h.clock, http=h.http, command=command, report=h.deliverer.report, settings=h.settings
        )
        async with h.running():
            task = asyncio.create_task(poller.run())
            await h.page(page(alert()))
            await h.wait(60)
            asked = [r for r in h.http.requests if r.method == "GET"]
            assert 3 <= len(asked) <= 7 and asked[0].url == "https://api.pushover.net/1/receipts/r1.json?token=" + "t" * 30
            pressed[0] = 1
            await h.wait(20)
            assert h.incidents()[0]["acknowledged_by"] == "ana" and h.log()[0]["state"] == "read"
            before = len([r for r in h.http.requests if r.method == "GET"])
            await h.wait(60)
            assert len([r for r in h.http.requests if r.method == "GET"]) == before, "nobody asks again"
            forms = [parse_qs(r.body.decode()) for r in h.http.requests if r.url.endswith("messages.json")]
            assert forms[0]["priority"] == ["2"]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    run_virtual(story())
