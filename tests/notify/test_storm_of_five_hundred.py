"""Section 2.6 of the specification as a test: 500 alerts within a minute for one person with Slack, SMS and mail."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.house import House, alert, directory, page, person, policy
from tests.fakes.virtual import run_virtual

from tocsin.model.alert import PageReason
from tocsin.model.incident import ContactMethod
from tocsin.model.ports import HttpResponse

ALERTS = 500
PAGES = "select incident, channel, state from notifications where kind = 'page'"
WAITING = "select count(*) from notifications where state in ('pending', 'sending', 'held')"
SET_UP = {
    "sms": {"from": "+15005550006", "account_sid": "AC1", "auth_token": "t"},
    "email": {"smarthost": "mail:25"},
    "slack": {"bot_token": "xoxb-1"},
}


class Slack:
    """Answers as Slack and Twilio do, and keeps what stands in the channel."""

    def __init__(self) -> None:
        self.roots: list[str] = []
        self.thread_s: list[float] = []
        self.text: dict[str, str] = {}
        self.edits = self.sms = 0

    def __call__(self, request: Any) -> HttpResponse:
        if "Messages.json" in request.url:
            self.sms += 1
            return HttpResponse(201, {}, b'{"sid": "SM1", "status": "queued"}')
        body = orjson.loads(request.body)
        ts = str(body.get("ts") or f"1.{len(self.roots) + len(self.thread_s)}")
        if request.url.endswith("chat.update"):
            self.edits += 1
        elif body.get("thread_ts"):
            assert body["thread_ts"] in self.roots
            self.thread_s.append(self.clock())
            return HttpResponse(200, {}, orjson.dumps({"ok": True, "ts": ts, "channel": "D1"}))
        else:
            self.roots.append(ts)
        self.text[ts] = body["text"]
        return HttpResponse(200, {}, orjson.dumps({"ok": True, "ts": ts, "channel": "D1"}))

    clock: Any = None


def house(tmp_path: Path) -> tuple[House, Slack]:
    ana = person("ana", "email")
    methods = (*ana.methods, ContactMethod("sms", "sms", "+33612345678"), ContactMethod("slack", "slack", "D1"))
    people = directory(type(ana)(ana.name, methods=methods), policy=policy(["ana"], delay_ms=3_600_000))
    h, slack = House(people, tmp_path / "state.db", defaults=SET_UP), Slack()
    h.http.route = slack
    slack.clock = h.clock.monotonic_s
    return h, slack


def group(n: int, groups: int) -> str:
    return f"g{n % groups}"


@pytest.mark.parametrize("groups", [ALERTS, 1])
def test_one_root_two_texts_two_mails_and_a_row_for_all_that_is_bundled(tmp_path: Path, groups: int) -> None:
    async def story() -> None:
        h, slack = house(tmp_path)
        async with h.running():
            firing: dict[str, list[Any]] = {}
            for n in range(ALERTS):
                one = alert(f"A{n % groups}", instance=str(n))
                firing.setdefault(group(n, groups), []).append(one)
                if groups > 1 or n == ALERTS // 2:  # one group is told after its `group_wait`
                    await h.page(page(*firing[group(n, groups)], group=group(n, groups)))
                await h.wait(0.12)
            await h.wait(240)
            assert len(slack.roots) == 1
            assert slack.sms <= 2
            assert h.mails_to("ana") <= 2
            news_s = slack.thread_s[1:]  # the first line is the storm's own page, in the thread of the page before it
            assert all(after - before >= 29 for before, after in pairwise(news_s)), slack.thread_s
            rows = dict(h.db.read_now(lambda tx: [((i, c), s) for i, c, s in tx.exec_driver_sql(PAGES)]))
            if groups > 1:
                assert "Storm" in slack.text[slack.roots[0]], "the root is the storm's"
                assert len(rows) == 3 * (ALERTS + 1), "every incident and the storm, by three channels"
                assert set(rows.values()) <= {"accepted", "delivered", "bundled"}
            if groups == 1:
                await h.page(page(*firing["g0"], reason=PageReason.NEW_ALERTS, group="g0"))
            await recover(h, firing)
            assert not h.incidents("open")
            assert len(slack.roots) == 1, "ends are told in the thread"
            assert slack.sms <= 4
            assert not h.db.read_now(lambda tx: tx.exec_driver_sql(WAITING).scalar())

    run_virtual(story())


async def recover(h: House, firing: dict[str, list[Any]]) -> None:
    for name, alerts in firing.items():
        gone = [
            alert(one.labels.get("alertname"), instance=one.labels.get("instance"), ends_at_ms=h.clock.now_ms()) for one in alerts
        ]
        await h.page(page(resolved=gone, reason=PageReason.ALL_RESOLVED, group=name))
    await h.wait(900)
