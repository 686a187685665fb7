"""What an incident's page tells besides its own decisions: who looked, what joined, what was deployed, what is left to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.fakes.house import House, alert, directory, page, person, policy
from tests.fakes.virtual import run_virtual

from tocsin.incidents.export import markdown
from tocsin.model.event import Actor
from tocsin.state.schema import markers

ANA, TOKEN = Actor("user", "ana", "ui"), Actor("token", "wall", "api")


def _house(tmp_path: Path) -> House:
    return House(directory(person("ana"), policy=policy(["ana"])), tmp_path / "state.db")


def _verbs(h: House) -> list[str]:
    return [entry["verb"] for entry in h.detail()["timeline"]]


def test_a_look_is_written_down_once_an_hour_and_for_people_only(tmp_path: Path) -> None:
    async def story() -> None:
        async with _house(tmp_path).running() as h:
            await h.page(page(alert("Down")))
            for actor in (ANA, ANA, TOKEN):
                await h.command("view", actor=actor)
            assert _verbs(h).count("viewed") == 1
            await h.wait(3601)
            await h.command("view", actor=ANA)
            assert _verbs(h).count("viewed") == 2
            assert h.detail()["state"] == "triggered", "looking is not taking"
            await h.command("resolve", actor=ANA)
            await h.wait(3601)
            await h.command("view", actor=ANA)
            assert _verbs(h).count("viewed") == 2

    run_virtual(story())


def test_alerts_that_join_and_deploys_before_it_stand_in_the_timeline(tmp_path: Path) -> None:
    async def story() -> None:
        async with _house(tmp_path).running() as h:
            await h.page(page(alert("Down", starts_at_ms=h.clock.now_ms() - 1000)))
            created = h.detail()["created_ms"]
            await _deploy(h, created - 60_000, "v2")
            await _deploy(h, created - 9 * 3_600_000, "v1")
            await h.wait(30)
            first = alert("Down", starts_at_ms=created - 1000)
            await h.page(page(first, alert("Slow", starts_at_ms=h.clock.now_ms())))
            found = h.detail()
            said = [entry["text"] for entry in found["timeline"]]
            assert [change["text"] for change in found["changes"]] == ["v2"]
            assert any("deploy" in text and "v2" in text for text in said)
            assert any(text.startswith("Slow") and "joins" in text for text in said)
            ids = [entry["id"] for entry in found["timeline"]]
            assert len(ids) == len(set(ids)), "each line has an address of its own"
            assert "v2" in markdown(found)

    run_virtual(story())


def test_action_items_are_told_in_words(tmp_path: Path) -> None:
    async def story() -> None:
        async with _house(tmp_path).running() as h:
            await h.page(page(alert("Down")))
            item: dict[str, Any] = {"text": "raise the pool", "owner": "ana", "due": "", "done": False}
            await h.command("remediation", actor=ANA, follow_ups=[item])
            await h.command("remediation", actor=ANA, follow_ups=[{**item, "done": True}])
            await h.command("remediation", actor=ANA, follow_ups=[])
            said = [entry["text"] for entry in h.detail()["timeline"] if entry["verb"] == "remediated"]
            assert said == [
                "action item for ana: raise the pool",
                "done: raise the pool",
                "action item taken off: raise the pool",
            ]

    run_virtual(story())


def test_a_later_incident_shows_what_helped_the_last_time(tmp_path: Path) -> None:
    async def story() -> None:
        async with _house(tmp_path).running() as h:
            await h.page(page(alert("Down")))
            await h.command("remediation", actor=ANA, action="rollback", summary="back to v1", cause="a leak", held=True)
            await h.command("resolve", actor=ANA)
            await h.wait(2 * 3600)
            await h.page(page(alert("Down", starts_at_ms=h.clock.now_ms())))
            [before] = h.detail(2)["similar"]
            assert (before["action"], before["cause"], before["held"]) == ("rollback", "a leak", True)
            assert "rollback: back to v1; cause: a leak; it held" in markdown(h.detail(2))

    run_virtual(story())


async def _deploy(h: House, t_ms: int, text: str) -> None:
    row = {"t_ms": t_ms, "kind": "deploy", "service": "", "text": text, "data": {}}
    await h.db.write(lambda tx: tx.execute(sa.insert(markers).values(**row)))
