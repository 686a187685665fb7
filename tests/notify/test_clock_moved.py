"""A wall clock that is moved while a message is on its way, or while nobody runs, makes nothing early, late or expired."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes.house import HOOK_URL, House, alert, directory, page, person, policy
from tests.fakes.ports import Request
from tests.fakes.virtual import VirtualClock, run_virtual

from tocsin.model.ports import HttpError, HttpResponse
from tocsin.model.route import Destination

HOUR_MS = 3_600_000
HOOK = (Destination("webhook", {"url": HOOK_URL}),)


def meanwhile(house: House, step_ms: int, answer: HttpResponse | HttpError) -> Callable[[Request], object]:
    """An answer that comes after the clock was moved."""

    def answers(_request: Request) -> object:
        house.clock.jump_ms(step_ms)
        return answer

    return answers


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS, 30_000, -30_000])
def test_a_provider_that_asks_to_wait_is_left_alone_as_long_although_the_clock_is_moved(tmp_path: Path, step_ms: int) -> None:
    async def story() -> None:
        async with House(directory(destinations=HOOK), tmp_path / "s.db").running() as h:
            h.http.answers.append(meanwhile(h, step_ms, HttpResponse(429, {"retry-after": "20"}, b"")))
            await h.page(page(alert()))
            await h.wait(60)
            first, second = (request.at_s for request in h.http.requests)
            assert 20 <= second - first < 25
            assert [row["state"] for row in h.log()] == ["delivered"]

    run_virtual(story())


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS])
def test_a_page_that_is_refused_after_the_clock_was_moved_has_not_expired(tmp_path: Path, step_ms: int) -> None:
    async def story() -> None:
        people = directory(person("ana", "webhook"), policy=policy(["ana"]))
        async with House(people, tmp_path / "s.db").running() as h:
            h.http.answers.append(meanwhile(h, step_ms, HttpError("connection refused", sent=False)))
            await h.page(page(alert()))
            await h.wait(30)
            assert [row["state"] for row in h.log()] == ["delivered"]
            assert len(h.http.requests) == 2

    run_virtual(story())


def test_a_clock_set_back_while_tocsin_is_down_makes_no_retry_and_no_step_an_hour_late(tmp_path: Path) -> None:
    clock = VirtualClock()
    people = directory(person("ana", "webhook"), person("ben", "webhook"), policy=policy(["ana"], ["ben"], delay_ms=120_000))

    async def story() -> None:
        before = House(people, tmp_path / "s.db", clock=clock)
        before.http.default = HttpError("connection refused", sent=False)
        async with before.running():
            await before.page(page(alert()))
            await before.wait(15)
        clock.jump_ms(-HOUR_MS)
        after = House(people, tmp_path / "s.db", clock=clock, new_database=False)
        async with after.running():
            await after.wait(60)
            assert "ana" in {request.url.rsplit("/", 1)[1] for request in after.http.requests}
            await after.wait(120)
            assert "ben" in {request.url.rsplit("/", 1)[1] for request in after.http.requests}

    run_virtual(story())
