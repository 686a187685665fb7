"""Slack's Socket Mode against a fake Slack that drops, hangs, refreshes and repeats: every press acts once, acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.fakes.ports import FakeHttp, SeededRandom
from tests.fakes.slack_socket import FakeSlackSocket

from tocsin.clock import SystemClock
from tocsin.errors import CommandError
from tocsin.model.event import Actor
from tocsin.model.incident import ContactMethod, Person
from tocsin.notify.answers import Answers
from tocsin.notify.channel import build
from tocsin.notify.http import RealHttp
from tocsin.notify.settings import ChannelSettings
from tocsin.notify.slack_actions import SlackActions
from tocsin.notify.socket_mode import SocketMode

ANA = Person("ana", methods=(ContactMethod("s", "slack", "@ana", {"user_id": "U1"}),))


class House:
    """A Socket Mode client on real time and a real connection."""

    def __init__(self, slack: FakeSlackSocket, http: RealHttp) -> None:
        self.slack, self.http = slack, http
        self.done: list[tuple[str, dict[str, Any], str]] = []
        self.slow_s = 0.0
        self.settings = self.with_token(slack.token)
        actions = SlackActions(answers=Answers(settings=lambda: self.settings, command=self._command), http=http)
        self.client = SocketMode(clock=SystemClock(), http=http, random=SeededRandom(), obey=actions.obey, ack_within_s=0.5)
        self.client.apply(self.settings)

    def with_token(self, token: str) -> ChannelSettings:
        return ChannelSettings({"slack": {"app_token": token, "web_api": self.slack.web_api}}, {"ana": ANA})

    async def _command(self, name: str, args: Mapping[str, Any], actor: Actor) -> None:
        await asyncio.sleep(self.slow_s)
        if args["number"] == 404:
            raise CommandError(404, "not_found", "there is no incident #404")
        self.done.append((name, dict(args), actor.name))


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[House]:
    async with FakeSlackSocket() as slack, RealHttp() as http:
        house = House(slack, http)
        task = asyncio.create_task(house.client.run())
        try:
            await slack.until(lambda: house.client.state() == "connected")
            yield house
            assert not slack.problems
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_button_acts_in_the_persons_name_and_is_acknowledged_in_time() -> None:
    async with connected() as house:
        for action in ("acknowledge", "escalate", "silence", "resolve", "real", "noise", "duplicate"):
            envelope = await house.slack.press(action)
            await house.slack.until(lambda envelope=envelope: envelope in house.slack.acks)
        assert house.done == [
            ("incident.acknowledge", {"number": 42}, "ana"),
            ("incident.escalate", {"number": 42}, "ana"),
            ("incident.silence", {"number": 42, "duration_ms": 3_600_000}, "ana"),
            ("incident.resolve", {"number": 42}, "ana"),
            *(("incident.verdict", {"number": 42, "verdict": word}, "ana") for word in ("real", "noise", "duplicate")),
        ]
        assert max(house.slack.acks.values()) < 3
        assert house.slack.replies[0]["text"] == "Silenced for 1 hour."


async def test_an_envelope_that_comes_twice_acts_once_and_is_acknowledged() -> None:
    async with connected() as house:
        envelope = await house.slack.press(times=3)
        await house.slack.until(lambda: envelope in house.slack.acks and house.done)
        last = await house.slack.press("resolve")
        await house.slack.until(lambda: last in house.slack.acks)
        assert [name for name, _, _ in house.done] == ["incident.acknowledge", "incident.resolve"]


async def test_a_slow_command_does_not_hold_up_the_acknowledgement_or_other_presses() -> None:
    async with connected() as house:
        house.slow_s = 30.0
        slow = await house.slack.press()
        await asyncio.sleep(0.05)
        house.slow_s = 0.0
        quick = await house.slack.press("resolve")
        await house.slack.until(lambda: quick in house.slack.acks)
        assert slow not in house.slack.acks
        await house.slack.until(lambda: slow in house.slack.acks)
        assert house.done == [("incident.resolve", {"number": 42}, "ana")]


async def test_strangers_and_refusals_are_told_and_nothing_else_happens() -> None:
    async with connected() as house:
        await house.slack.press(user="U9")
        await house.slack.press(number=404)
        await house.slack.until(lambda: len(house.slack.replies) == 2)
        texts = " ".join(reply["text"] for reply in house.slack.replies)
        assert "does not know you" in texts and "no incident #404" in texts and not house.done
        assert all(reply["response_type"] == "ephemeral" for reply in house.slack.replies)


async def test_before_slack_ends_a_link_the_next_is_open_and_presses_on_the_old_one_still_count() -> None:
    async with connected() as house:
        await house.slack.send({"type": "disconnect", "reason": "refresh_requested"})
        await house.slack.until(lambda: house.slack.opened == 2)
        assert len(house.slack.links) == 2
        envelope = "late"
        payload = {"type": "block_actions", "user": {"id": "U1"}, "actions": [{"action_id": "acknowledge", "value": "7"}]}
        await house.slack.send({"type": "interactive", "envelope_id": envelope, "payload": payload}, link=0)
        await house.slack.until(lambda: envelope in house.slack.acks)
        assert house.done == [("incident.acknowledge", {"number": 7}, "ana")]
        await house.slack.links[0].close()
        await house.slack.press()
        await house.slack.until(lambda: len(house.done) == 2)


async def test_a_link_that_breaks_is_opened_again() -> None:
    async with connected() as house:
        await house.slack.drop()
        await house.slack.until(lambda: house.slack.opened == 2 and house.client.state() == "connected")
        await house.slack.press()
        await house.slack.until(lambda: house.done)


async def test_a_link_that_hangs_counts_as_gone() -> None:
    async with FakeSlackSocket() as slack, RealHttp() as http:
        slack.greets = False
        async with http.websocket(f"ws://127.0.0.1:{slack.port}/link", heartbeat_s=0.1) as socket, asyncio.timeout(5):
            assert await socket.receive() is None


async def test_nonsense_and_foreign_envelopes_end_nothing() -> None:
    async with connected() as house:
        for value in (
            "not json",
            "[]",
            {"type": "hello"},
            {"type": "interactive", "envelope_id": "x", "payload": {"actions": [3]}},
        ):
            await house.slack.send(value)
        odd = {"type": "block_actions", "user": 3, "actions": [{"action_id": "acknowledge", "value": "1e9"}]}
        await house.slack.send({"type": "interactive", "envelope_id": "y", "payload": odd})
        await house.slack.send({"type": "events_api", "envelope_id": "z", "payload": {}})
        await house.slack.until(lambda: {"x", "y", "z"} <= set(house.slack.acks))
        assert not house.done and house.slack.opened == 1


async def test_a_refused_token_says_so_and_a_new_one_is_used_at_once() -> None:
    async with FakeSlackSocket() as slack, RealHttp() as http:
        house = House(slack, http)
        house.client.apply(house.with_token("xapp-wrong"))
        task = asyncio.create_task(house.client.run())
        await slack.until(lambda: "invalid_auth" in house.client.state())
        house.client.apply(house.settings)
        await slack.until(lambda: house.client.state() == "connected")
        house.client.apply(ChannelSettings())
        await slack.until(lambda: not slack.links)
        assert house.client.state() == ""
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_port_without_websockets_says_so() -> None:
    client = SocketMode(clock=SystemClock(), http=FakeHttp(default=None), random=SeededRandom())
    client.apply(ChannelSettings({"slack": {"app_token": "xapp-1"}}))
    assert client.state() == "connecting"


def test_a_bot_token_in_the_place_of_the_app_token_is_named() -> None:
    with pytest.raises(ValueError, match=r"xapp-.*bot_token"):
        build("slack", {"api_url": "https://hooks.example/x", "app_token": "xoxb-1"})
