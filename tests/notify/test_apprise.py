"""The channel `apprise`, with the library's own json:// notifier against a server that answers as told."""

from __future__ import annotations

import builtins
import json
from typing import Any

import pytest
from tests.fakes.provider import Answer, Provider, Seen
from tests.notify.test_real_ports_and_providers import message

from tocsin.model.incident import ContactMethod, Person
from tocsin.model.notification import DeliveryOutcome, NotificationKind
from tocsin.notify.channel import Io, build, registry
from tocsin.notify.http import RealHttp
from tocsin.notify.settings import ChannelSettings
from tocsin.notify.smtp import RealSmtp

pytest.importorskip("apprise", reason="the extra 'apprise' is not installed")


class FakeJson(Provider):
    """Takes what apprise's json:// posts."""

    name = "json"

    def handle(self, seen: Seen) -> Answer:
        return Answer(200, b"{}", parsed=json.loads(seen.body))


async def send(settings: dict[str, Any], refs: dict[str, Any] | None = None, **more: Any) -> Any:
    async with RealHttp() as http:
        io = Io(http=http, smtp=RealSmtp(), now_ms=1, refs=refs if refs is not None else {})
        return await build("apprise", settings).send(message(**more), io)


async def test_a_page_goes_through_apprise_with_title_text_and_kind() -> None:
    with FakeJson() as server:
        answer = await send({"urls": f"json://127.0.0.1:{server.port}/x"})
        assert answer.outcome is DeliveryOutcome.ACCEPTED and not answer.delivered
        await send({"urls": f"json://127.0.0.1:{server.port}/x"}, kind=NotificationKind.RESOLVED, state="resolved")
        first, last = (seen.parsed for seen in server.accepted)
        assert first["title"] == "CRITICAL - web is down" and "https://tocsin.example/ack/x" in first["message"]
        assert (first["type"], last["type"]) == ("failure", "success")


async def test_of_several_urls_only_those_that_failed_are_tried_again() -> None:
    with FakeJson() as good, FakeJson() as bad:
        bad.script("500", times=1)
        settings = {"urls": [f"json://127.0.0.1:{bad.port}/", f"json://127.0.0.1:{good.port}/"]}
        refs: dict[str, Any] = {}
        answer = await send(settings, refs)
        assert answer.outcome is DeliveryOutcome.RETRY and "json" in answer.reason
        assert (await send(settings, refs)).outcome is DeliveryOutcome.ACCEPTED
        assert len(good.accepted) == 1 and len(bad.accepted) == 1


async def test_a_service_that_hangs_is_given_up_on_and_may_have_taken_it() -> None:
    with FakeJson() as server:
        server.script("hang", seconds=1.0)
        answer = await send({"urls": f"json://127.0.0.1:{server.port}/", "timeout_s": 0.2})
        assert answer.outcome is DeliveryOutcome.UNKNOWN and "0.2 s" in answer.reason


def test_a_url_that_apprise_does_not_know_is_named_without_its_secret() -> None:
    with pytest.raises(ValueError, match=r"URL 1 \(nonsense://") as caught:
        build("apprise", {"urls": "nonsense://hunter2@x"})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValueError, match="urls"):
        build("apprise", {"urls": []})


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "apprise":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"pip install 'tocsin\[apprise\]'"):
        build("apprise", {"urls": "json://127.0.0.1/"})


def test_somebody_whose_only_contacts_are_best_effort_is_named() -> None:
    way, mail = ContactMethod("a", "apprise", "json://x"), ContactMethod("m", "email", "ben@x")
    people = {"ana": Person("ana", methods=(way,)), "ben": Person("ben", methods=(way, mail)), "eve": Person("eve")}
    assert registry()["apprise"].best_effort
    assert ChannelSettings(persons=people).best_effort_only() == ["ana"]
