"""Alerts that turn out to be another matter get an incident of their own, and what is said of them later goes there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.house import House, alert, directory, page, person, policy
from tests.fakes.virtual import run_virtual

from tocsin.errors import CommandError
from tocsin.incidents.audit import audit
from tocsin.model.alert import Alert, PageReason

A, B, C = (alert("Slow", instance=name) for name in "abc")
PEOPLE = directory(person("ana"), person("ben"), policy=policy(["ben"], ["ana"]))


def ended(one: Alert) -> Alert:
    return alert("Slow", ends_at_ms=9, instance=one.labels["instance"])


def states(house: House) -> dict[int, str]:
    return {row["number"]: row["state"] for row in house.incidents()}


def instances(house: House, number: int) -> list[str]:
    return sorted(row["labels"]["instance"] for row in house.detail(number)["alerts"])


def test_a_split_pages_anew_is_assigned_to_the_holder_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(PEOPLE, tmp_path / "s.db").running() as h:
            await h.page(page(A, B, C))
            await h.wait(1)
            await h.command("acknowledge")
            made = await h.command("split", alerts=[C.fingerprint])
            await h.wait(1)
            assert (made["number"], made["state"], made["assignee"]) == (2, "triggered", "ana")
            assert states(h) == {1: "acknowledged", 2: "triggered"}
            assert (instances(h, 1), instances(h, 2)) == (["a", "b"], ["c"])
            assert [row["incident"] for row in h.log() if row["kind"] == "page" and row["recipient"] == "ben"] == [1, 2]
            assert "split" in [line["verb"] for line in h.detail(1)["timeline"]]
            assert "split_from" in [line["verb"] for line in h.detail(2)["timeline"]]

            await h.page(page(A, B, resolved=[ended(C)], reason=PageReason.SOME_RESOLVED))
            await h.wait(1)
            assert states(h) == {1: "acknowledged", 2: "resolved"}
            await h.page(page(resolved=[ended(A), ended(B)], reason=PageReason.ALL_RESOLVED))
            await h.wait(1)
            assert states(h) == {1: "resolved", 2: "resolved"}
            assert instances(h, 1) == ["a", "b"], "an end does not bring an alert back to the incident that it left"
            assert h.db.read_now(lambda tx: audit(tx, h.clock.now_ms())) == []

    run_virtual(story())


def test_news_about_one_part_is_no_news_for_the_other(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(PEOPLE, tmp_path / "s.db").running() as h:
            await h.page(page(A, B))
            await h.wait(1)
            await h.command("split", alerts=[B.fingerprint])
            await h.wait(1)
            before = len(h.log())
            await h.page(page(A, B, C, reason=PageReason.NEW_ALERTS))
            await h.wait(1)
            assert (instances(h, 1), instances(h, 2)) == (["a", "c"], ["b"])
            assert {row["incident"] for row in h.log()[before:]} == {1}

    run_virtual(story())


def test_after_the_end_a_split_alert_that_fires_soon_reopens_its_own_incident_and_later_joins_its_group(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(PEOPLE, tmp_path / "s.db").running() as h:
            await h.page(page(A, B))
            await h.command("split", alerts=[B.fingerprint])
            await h.page(page(A, resolved=[ended(B)], reason=PageReason.SOME_RESOLVED))
            await h.wait(60)
            again = alert("Slow", starts_at_ms=20, instance="b")
            await h.page(page(A, again, reason=PageReason.NEW_ALERTS))
            await h.wait(1)
            assert states(h) == {1: "triggered", 2: "triggered"}
            await h.page(page(A, resolved=[ended(B)], reason=PageReason.SOME_RESOLVED))
            await h.wait(3600)
            await h.page(page(A, alert("Slow", starts_at_ms=30, instance="b"), reason=PageReason.NEW_ALERTS))
            await h.wait(1)
            assert states(h) == {1: "triggered", 2: "resolved"} and instances(h, 1) == ["a", "b"]

    run_virtual(story())


def test_the_next_generation_of_the_group_does_not_take_the_split_alert_along(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(PEOPLE, tmp_path / "s.db").running() as h:
            await h.page(page(A, B))
            await h.command("split", alerts=[B.fingerprint])
            await h.page(page(B, resolved=[ended(A)], reason=PageReason.SOME_RESOLVED))
            await h.wait(3600)
            assert states(h) == {1: "resolved", 2: "triggered"}
            await h.page(page(B, C, reason=PageReason.NEW_ALERTS))
            await h.wait(1)
            assert states(h) == {1: "resolved", 2: "triggered", 3: "triggered"}
            assert (instances(h, 2), instances(h, 3)) == (["b"], ["c"])

    run_virtual(story())


def test_merge_undoes_a_split_and_a_split_undoes_a_merge(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(PEOPLE, tmp_path / "s.db").running() as h:
            await h.page(page(A, B))
            await h.command("split", alerts=[B.fingerprint], title="another matter")
            assert h.detail(2)["title"] == "another matter"
            await h.command("merge", 2, into=1)
            assert instances(h, 1) == ["a", "b"] and states(h) == {1: "triggered", 2: "merged"}
            await h.page(page(A, resolved=[ended(B)], reason=PageReason.SOME_RESOLVED))
            assert states(h)[1] == "triggered"
            await h.page(page(C, group="other"))
            await h.command("merge", 3, into=1)
            made = await h.command("split", alerts=[C.fingerprint])
            assert made["number"] == 4 and instances(h, 4) == ["c"]
            await h.page(page(resolved=[ended(C)], reason=PageReason.ALL_RESOLVED, group="other"))
            assert states(h) == {1: "triggered", 2: "merged", 3: "merged", 4: "resolved"}

    run_virtual(story())


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ([], "expected `alerts`"),
        (["0" * 16], "has no alert"),
        ([A.fingerprint, B.fingerprint], "leave at least one"),
        ("a", "a list of fingerprints"),
    ],
)
def test_a_choice_that_is_no_split_is_refused_with_advice(tmp_path: Path, chosen: object, says: str) -> None:
    async def story() -> None:
        async with House(PEOPLE, tmp_path / "s.db").running() as h:
            await h.page(page(A, B))
            with pytest.raises(CommandError, match=says):
                await h.command("split", alerts=chosen)
            await h.command("resolve")
            with pytest.raises(CommandError, match="resolved"):
                await h.command("split", alerts=[A.fingerprint])

    run_virtual(story())
