"""While the store is being read, incidents are obeyed and the rest waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tocsin.app.early import waiting
from tocsin.app.phases import START_SECONDS, Phases
from tocsin.clock import SystemClock
from tocsin.errors import CommandError
from tocsin.model.event import SYSTEM, Actor


async def answer(args: Any, _actor: Actor) -> Any:
    return args["n"]


async def test_an_acknowledgement_does_not_wait_and_a_question_about_rules_does() -> None:
    opened = asyncio.Event()
    table = waiting({"incident.acknowledge": answer, "alerts.post": answer, "rules.state": answer}, opened)
    assert await table["incident.acknowledge"]({"n": 1}, SYSTEM) == 1
    assert await table["alerts.post"]({"n": 2}, SYSTEM) == 2
    asked = asyncio.ensure_future(table["rules.state"]({"n": 3}, SYSTEM))
    await asyncio.sleep(0)
    assert not asked.done()
    opened.set()
    assert await asked == 3


async def test_who_waits_too_long_is_told_that_it_starts() -> None:
    table = waiting({"rules.state": answer}, asyncio.Event(), patience_s=0.001)
    with pytest.raises(CommandError, match="reads its store") as refused:
        await table["rules.state"]({"n": 1}, SYSTEM)
    assert refused.value.status == 503


def test_a_start_is_told_phase_by_phase() -> None:
    phases = Phases(SystemClock())
    phases.done("state")
    phases.done("store")
    phases.say()
    assert START_SECONDS.value("state") >= 0
