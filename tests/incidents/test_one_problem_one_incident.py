"""The same alerts go to several receivers (`continue: true`): one incident, each receiver told as its own configuration says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.house import HOOK_URL, House, alert, directory, page, person, policy
from tests.fakes.virtual import run_virtual

from tocsin.errors import Place
from tocsin.incidents.people import Directory
from tocsin.model.alert import Alert, Page, PageReason, SuppressedBy, Suppression
from tocsin.model.incident import Policy
from tocsin.model.route import Destination, Receiver

MINUTE = 60
OVER, MORE, REPEAT = PageReason.ALL_RESOLVED, PageReason.NEW_ALERTS, PageReason.REPEAT
SILENCED = (SuppressedBy(Suppression.SILENCED, "s1"),)
PLACE = Place("tocsin.yaml", 3)
X, Y = alert("X"), alert("Y")


def over(one: Alert, at_ms: int = 5) -> Alert:
    return replace(one, ends_at_ms=at_ms)


def house(tmp_path: Path, *, other: str = "web") -> House:
    """Receivers `chat` and `mail` with places, `pager` with a place and a policy, `boss` with the policy `other`."""
    people = directory(person("ana"), person("ben"), policy=policy(["ana"], ["ben"]))
    policies = {**people.policies, "boss": Policy("boss", policy(["ben"]).steps)}
    made = {name: receiver(name, policy=name == "pager") for name in ("chat", "mail", "pager")}
    made["boss"] = Receiver("boss", (), other, PLACE)
    return House(replace(people, receivers=made, policies=policies), tmp_path / "s.db")


def receiver(name: str, *, policy: bool) -> Receiver:
    silent = name == "mail"
    destination = Destination("webhook", {"url": f"{HOOK_URL}/{name}"}, send_resolved=not silent)
    return Receiver(name, (destination,), "web" if policy else "", PLACE)


def at(name: str, *firing: Alert, resolved: Sequence[Alert] = (), reason: PageReason = PageReason.FIRST, **more: Any) -> Page:
    """A page of one receiver's group; the routes differ, the group labels do not."""
    made = replace(page(*firing, resolved=resolved, reason=reason, **more), receiver=name)
    return replace(made, group_key=f'{{}}/{{to="{name}"}}:{{alertname="g"}}')


def heard(h: House, name: str) -> list[tuple[str, list[str], str]]:
    """What came to a receiver's webhook: (status, alerts with their own, the reason)."""
    bodies = [orjson.loads(request.body) for request in h.http.requests if request.url.endswith(f"/{name}")]
    return [
        (
            body["status"],
            sorted(f"{one['labels']['alertname']} {one['status']}" for one in body["alerts"]),
            body["notification_reason"],
        )
        for body in bodies
    ]


FIRST = ("firing", ["X firing"], "first notification")
ENDED = ("resolved", ["X resolved"], "all alerts resolved")


def test_places_hear_each_as_configured_and_there_is_one_incident(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            for name in ("pager", "chat", "mail"):
                await h.page(at(name, X))
            await h.wait(1)
            assert [row["receiver"] for row in h.incidents()] == ["pager"]
            assert [heard(h, name) for name in ("pager", "chat", "mail")] == [[FIRST]] * 3
            assert h.mails_to("ana") == 1
            await h.page(at("chat", X, reason=REPEAT))
            await h.wait(1)
            assert [len(heard(h, name)) for name in ("pager", "chat", "mail")] == [1, 2, 1]
            assert h.mails_to("ana") == 1
            for name in ("chat", "pager", "mail"):
                await h.page(at(name, resolved=[over(X)], reason=OVER))
            await h.wait(1)
            assert heard(h, "pager") == [FIRST, ENDED]
            assert heard(h, "chat")[-1] == ENDED and len(heard(h, "chat")) == 3
            assert heard(h, "mail") == [FIRST], "it does not want to hear of ends"
            assert {row["state"] for row in h.log()} == {"accepted", "delivered"}
            assert h.mails_to("ana") == 2
            assert h.incidents()[0]["state"] == "resolved"

    run_virtual(story())


def test_every_body_names_the_group_of_its_own_receiver(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            await h.page(at("chat", X, Y))
            await h.page(at("pager", X))
            await h.wait(1)
            await h.command("acknowledge")
            await h.wait(1)
            for name in ("chat", "pager"):
                bodies = [orjson.loads(request.body) for request in h.http.requests if request.url.endswith(f"/{name}")]
                assert len(bodies) == 2, "paged, and told who has it"
                assert {body["groupKey"] for body in bodies} == {f'{{}}/{{to="{name}"}}:{{alertname="g"}}'}
                assert {body["receiver"] for body in bodies} == {name}
                assert {len(body["alerts"]) for body in bodies} == ({2} if name == "chat" else {1})

    run_virtual(story())


def test_a_policy_that_comes_second_is_adopted_and_begins_at_its_first_step(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            await h.page(at("chat", X))
            await h.wait(30)
            assert h.mails_to("ana") == 0
            await h.page(at("pager", X))
            await h.wait(1)
            (row,) = h.incidents()
            assert (row["receiver"], row["policy"], row["state"]) == ("pager", "web", "triggered")
            assert (h.mails_to("ana"), h.mails_to("ben")) == (1, 0)
            assert (heard(h, "chat"), heard(h, "pager")) == ([FIRST], [FIRST])
            texts = [entry["text"] for entry in h.detail()["timeline"] if entry["verb"] == "policy_adopted"]
            assert texts == ["receiver pager hears of the same alerts and leads to web: escalation starts at its first step"]
            await h.wait(5 * MINUTE)
            assert h.mails_to("ben") == 1
            assert h.detail()["receivers"] == ["chat", "pager"]

    run_virtual(story())


def test_an_acknowledgement_covers_the_policy_that_comes_later(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            await h.page(at("chat", X))
            await h.wait(1)
            await h.command("acknowledge")
            await h.page(at("pager", X))
            await h.wait(20 * MINUTE)
            assert (h.mails_to("ana"), h.mails_to("ben")) == (0, 0)
            assert heard(h, "pager") == [FIRST], "its place still hears that it fires"
            await h.command("unacknowledge")
            await h.wait(1)
            assert h.mails_to("ana") == 1

    run_virtual(story())


def test_two_receivers_of_one_policy_page_its_people_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            await h.page(at("pager", X))
            await h.page(at("boss", X))
            await h.wait(1)
            assert len(h.incidents()) == 1 and h.mails_to("ana") == 1
            await h.page(at("boss", X, Y, reason=MORE))
            await h.wait(1)
            assert h.mails_to("ana") == 2, "an alert that they did not know of"
            assert len(heard(h, "pager")) == 1
            await h.page(at("pager", resolved=[over(X)], reason=OVER))
            await h.wait(1)
            assert heard(h, "pager")[-1] == ENDED
            assert h.incidents()[0]["state"] == "triggered" and h.mails_to("ana") == 2
            await h.wait(6 * MINUTE)
            assert h.mails_to("ben") == 1, "escalation goes on"
            await h.page(at("boss", resolved=[over(X), over(Y)], reason=OVER))
            await h.wait(1)
            assert h.incidents()[0]["state"] == "resolved"
            assert h.mails_to("ana") == 3

    run_virtual(story())


def test_other_people_get_an_incident_of_their_own_that_names_the_first(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, other="boss").running() as h:
            await h.page(at("pager", X))
            await h.page(at("boss", X))
            await h.page(at("chat", X))
            await h.wait(1)
            assert sorted(row["number"] for row in h.incidents()) == [1, 2]
            assert (h.mails_to("ana"), h.mails_to("ben")) == (1, 1)
            assert (h.detail(1)["linked"], h.detail(2)["linked"]) == ([2], [1])
            assert h.detail(1)["receivers"] == ["pager", "chat"]

    run_virtual(story())


@pytest.mark.parametrize("second", ["pager", "chat"])
def test_other_alerts_or_other_group_labels_are_another_problem(tmp_path: Path, second: str) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            first = "chat" if second == "pager" else "pager"
            await h.page(at(first, X))
            await h.page(at(second, Y))
            await h.page(at(second, X, group="other"))
            await h.wait(1)
            assert len(h.incidents()) == 2 or len(h.incidents()) == 3

    run_virtual(story())


def test_the_pager_is_over_while_chat_goes_on_and_comes_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            await h.page(at("chat", X, Y))
            await h.page(at("pager", X))
            await h.wait(1)
            await h.page(at("pager", resolved=[over(X)], reason=OVER))
            await h.page(at("chat", Y, resolved=[over(X)], reason=PageReason.SOME_RESOLVED))
            await h.wait(1)
            assert heard(h, "pager") == [FIRST, ENDED] and h.mails_to("ana") == 2
            (row,) = h.incidents()
            assert (row["state"], row["receiver"]) == ("triggered", "chat")
            assert [status for status, *_ in heard(h, "chat")] == ["firing", "firing"]
            await h.wait(30 * MINUTE)
            assert (h.mails_to("ana"), h.mails_to("ben")) == (2, 0), "nobody is escalated to for what only chat hears of"
            again = replace(X, starts_at_ms=99)
            await h.page(at("pager", again))
            await h.wait(1)
            assert h.mails_to("ana") == 3 and h.incidents()[0]["receiver"] == "pager"
            await h.page(at("pager", resolved=[over(again, 100)], reason=OVER))
            await h.page(at("chat", resolved=[over(again, 100), over(Y, 100)], reason=OVER))
            await h.wait(1)
            assert h.incidents()[0]["state"] == "resolved"
            ends = [[status for status, *_ in heard(h, name)].count("resolved") for name in ("chat", "pager")]
            assert ends == [1, 2] and h.mails_to("ana") == 4

    run_virtual(story())


def test_it_reopens_by_whichever_group_comes_first(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            for name in ("chat", "pager"):
                await h.page(at(name, X))
            await h.wait(1)
            for name in ("chat", "pager"):
                await h.page(at(name, resolved=[over(X)], reason=OVER))
            await h.wait(1)
            assert h.incidents()[0]["state"] == "resolved"
            again = replace(X, starts_at_ms=99)
            await h.page(at("chat", again, reason=PageReason.FIRST))
            await h.wait(1)
            assert (len(heard(h, "chat")), len(heard(h, "pager")), h.mails_to("ana")) == (3, 2, 2)
            await h.page(at("pager", again, reason=PageReason.FIRST))
            await h.wait(1)
            assert (len(heard(h, "chat")), len(heard(h, "pager")), h.mails_to("ana")) == (3, 3, 3)
            (row,) = h.incidents()
            assert (row["number"], row["state"], row["receiver"]) == (1, "triggered", "pager")

    run_virtual(story())


def test_a_group_that_is_silenced_at_the_end_hears_of_it_later_and_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            await h.page(at("pager", X))
            await h.page(at("chat", X))
            await h.wait(1)
            await h.page(at("chat", muted=[(X, SILENCED)], reason=PageReason.SUPPRESSED))
            await h.page(at("pager", resolved=[over(X)], reason=OVER))
            await h.wait(1)
            assert (h.incidents()[0]["state"], len(heard(h, "chat")), len(heard(h, "pager"))) == ("resolved", 1, 2)
            await h.page(at("chat", resolved=[over(X)], reason=OVER))
            await h.page(at("chat", resolved=[over(X)], reason=OVER))
            await h.wait(1)
            assert heard(h, "chat") == [FIRST, ENDED]

    run_virtual(story())


def test_what_a_person_resolved_stays_quiet_for_every_receiver(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            for name in ("chat", "pager"):
                await h.page(at(name, X))
            await h.wait(1)
            await h.command("resolve")
            await h.wait(1)
            assert [len(heard(h, name)) for name in ("chat", "pager")] == [2, 2]
            for name in ("chat", "pager"):
                await h.page(at(name, X, reason=REPEAT))
            await h.wait(1)
            assert [len(heard(h, name)) for name in ("chat", "pager")] == [2, 2]
            for name in ("chat", "pager"):
                await h.page(at(name, X, Y, reason=MORE))
            await h.wait(1)
            assert [len(heard(h, name)) for name in ("chat", "pager")] == [3, 3]
            assert [row["state"] for row in h.incidents()] == ["triggered"]

    run_virtual(story())


def test_a_graver_alert_of_the_pager_takes_an_acknowledged_chat_incident_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path).running() as h:
            mild = alert("M", severity="warning")
            await h.page(at("chat", mild))
            await h.wait(1)
            await h.command("acknowledge")
            await h.page(at("pager", mild, X))
            await h.wait(1)
            (row,) = h.incidents()
            assert (row["state"], row["severity"]) == ("triggered", "critical")
            assert h.mails_to("ana") >= 1

    run_virtual(story())


def test_a_restart_forgets_nothing_of_it(tmp_path: Path) -> None:
    async def story() -> None:
        first = house(tmp_path)
        async with first.running() as h:
            for name in ("chat", "pager"):
                await h.page(at(name, X))
            await h.wait(1)
        people: Directory = first.people
        async with House(people, tmp_path / "s.db", clock=first.clock, new_database=False).running() as h:
            for name in ("chat", "pager"):
                await h.page(at(name, resolved=[over(X)], reason=OVER))
            await h.wait(1)
            assert (heard(h, "chat"), heard(h, "pager")) == ([ENDED], [ENDED])

    run_virtual(story())
