"""Windows of planned work: which hold, and when the next begin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tocsin.alerts.route import default_routing
from tocsin.formats.matchers import parse_matchers
from tocsin.formats.routing_json import routing_to_json
from tocsin.model.recurrence import Occurrences, parse_rrule
from tocsin.model.route import MaintenanceWindow
from tocsin.web.api.maintenance import row_of

HOUR = 3_600_000


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def window(rule: str, start: str, hours: float = 2, zone: str = "UTC") -> MaintenanceWindow:
    when = Occurrences(parse_rrule(rule) if rule else None, datetime.fromisoformat(start), round(hours * HOUR), zone)
    return MaintenanceWindow("backup", tuple(parse_matchers('service="db"')), when, "nightly")


@pytest.mark.parametrize(
    ("made", "now", "active", "start"),
    [
        (window("FREQ=WEEKLY;BYDAY=SU", "2026-11-01T02:00"), "2026-11-22T03:00", True, "2026-11-22T02:00"),
        (window("FREQ=WEEKLY;BYDAY=SU", "2026-11-01T02:00"), "2026-11-22T05:00", False, "2026-11-29T02:00"),
        (window("", "2026-12-24T22:00"), "2026-11-22T05:00", False, "2026-12-24T22:00"),
        (window("", "2026-11-01T22:00"), "2026-11-22T05:00", False, ""),
        (
            window("FREQ=DAILY", "2026-03-01T02:30", 1, "Europe/Paris"),
            "2026-03-28T20:00",
            False,
            "2026-03-29T01:00",
        ),  # 02:30 does not exist that night
    ],
)
def test_the_occurrence_that_holds_else_the_next(made: MaintenanceWindow, now: str, active: bool, start: str) -> None:
    row = row_of(made, ms(now))
    assert (row.active, row.start_ms) == (active, ms(start) if start else 0)


async def test_windows_are_listed_over_the_api(house: Any) -> None:
    import dataclasses

    routing = dataclasses.replace(default_routing(), maintenance=(window("FREQ=DAILY", "2020-01-01T00:00", 1),))
    house.core.answers["alerts.routing"] = {"version": 1, "routing": routing_to_json(routing)}
    viewer = await house.as_role("viewer")
    [row] = (await viewer.get("/api/tocsin/v1/maintenance")).json()["windows"]
    assert (row["name"], row["matchers"], row["recurring"]) == ("backup", ['service="db"'], True)
