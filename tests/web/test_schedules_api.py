"""Questions about schedules over HTTP: by name, in a body, and as a calendar. The command is the core's own function."""

from __future__ import annotations

import pytest

from tocsin.incidents.people import Directory
from tocsin.incidents.questions import schedule_query
from tocsin.incidents.schedule import parse_schedule
from tocsin.model.incident import Person

API = "/api/tocsin/v1/schedules"
WEEKLY = {
    "tz": "Europe/Berlin",
    "layers": [
        {"name": "primary", "users": ["ana", "ben"], "anchor": "2026-01-05T09:00", "period": {"unit": "weeks", "every": 1}}
    ],
}
DAYTIME = {"tz": "UTC", "layers": [{**WEEKLY["layers"][0], "restrictions": [{"start": "08:00", "end": "20:00"}]}]}


@pytest.fixture
async def viewer(house):
    people = Directory(
        persons={"ana": Person("ana"), "ben": Person("ben")},
        schedules={"web": parse_schedule(WEEKLY, name="web"), "day": parse_schedule(DAYTIME, name="day")},
        external_url="https://tocsin.example",
    )
    house.core.answers["schedule.query"] = lambda args, actor: schedule_query(people, args, house.clock.now_ms())
    return await house.as_role("viewer")


async def test_who_is_on_call_at_an_instant(viewer):
    found = (await viewer.get(f"{API}/web/oncall", query={"at": "2026-12-25T03:00+01:00"})).json()
    assert found["users"] == ["ana"] and found["at"] == "2026-12-25T02:00:00Z" and "layer primary" in found["why"]
    # A plus that nobody escaped arrives as a space.
    assert (await viewer.get(f"{API}/web/oncall?at=2026-12-25T03:00+01:00")).json() == found
    assert (await viewer.get(f"{API}/web/oncall")).json()["at"] == "2023-11-14T22:13:20Z", "now, when nothing is said"


async def test_shifts_gaps_and_the_next_change(viewer):
    window = {"from": "2026-03-02T00:00:00Z", "until": "2026-03-10T00:00:00Z"}
    shifts = (await viewer.get(f"{API}/web/shifts", query=window)).json()["shifts"]
    assert [(s["start"], s["users"]) for s in shifts] == [
        ("2026-03-02T00:00:00Z", ["ben"]), ("2026-03-02T08:00:00Z", ["ana"]), ("2026-03-09T08:00:00Z", ["ben"])
    ]  # fmt: skip
    assert (await viewer.get(f"{API}/web/gaps", query=window)).json()["gaps"] == []
    night = (await viewer.get(f"{API}/day/gaps", query={**window, "until": "2026-03-02T23:00:00Z"})).json()["gaps"]
    assert night[0] == {"start": "2026-03-02T00:00:00Z", "end": "2026-03-02T08:00:00Z"}
    change = (await viewer.get(f"{API}/web/next-change", query={"after": "2026-03-28T12:00:00Z"})).json()
    assert (change["at"], change["users"]) == ("2026-03-30T07:00:00Z", ["ana"]), "09:00 in Berlin, in summer time by then"


async def test_the_calendar_feed_holds_the_shifts_of_one_person(viewer):
    answer = await viewer.get(f"{API}/web.ics?user=ana")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/calendar")
    assert answer.text.startswith("BEGIN:VCALENDAR\r\n") and "On call: ana" in answer.text and "On call: ben" not in answer.text
    assert "@tocsin.example" in answer.text


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("none/oncall", 404, "no schedule"),
        ("none.ics", 404, "no schedule"),
        ("web/oncall?at=tomorrow", 422, "at: "),
        ("web/oncall?at=2026-12-25T03:00", 422, "offset"),
        ("web/shifts?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", 422, "until: "),
        ("web/shifts?from=2026-01-01T00:00:00Z&until=2036-01-01T00:00:00Z", 422, "until: "),
        ("web/oncall?at=999999999999999", 422, "at: "),
    ],
)
async def test_what_cannot_be_answered_says_which_parameter(viewer, path, status, said):
    answer = await viewer.get(f"{API}/{path}")
    assert answer.status == status and said in answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_schedule_in_the_body_is_answered_or_refused_with_its_path(viewer, house):
    queries = [{"q": "oncall_at", "at": "2026-01-06T00:00:00Z"}, {"q": "next_change", "after": "2026-01-06T00:00:00Z"}]
    answer = await viewer.post(f"{API}/evaluate", json={"schedule": WEEKLY, "queries": queries})
    assert answer.json() == {"answers": [["ana"], "2026-01-12T08:00:00Z"]}
    wrong = {**WEEKLY, "layers": [{**WEEKLY["layers"][0], "period": {"unit": "moons"}}]}
    refused = await viewer.post(f"{API}/evaluate", json={"schedule": wrong, "queries": queries})
    assert refused.status == 422 and "layers[0].period.unit" in refused.json()["detail"]
    for body in ([], {"schedule": 5}, {"schedule": WEEKLY, "queries": 7}, {"schedule": WEEKLY, "queries": [{}] * 101}):
        assert (await viewer.post(f"{API}/evaluate", json=body)).status == 422, body
    assert (await viewer.post(f"{API}/evaluate", body=b"{")).status == 400
    assert (await house.client.get(f"{API}/web/oncall")).status == 401


async def test_layers_by_themselves_the_one_that_wins_first(house):
    spare = {"name": "spare", "users": ["ben"], "anchor": "2026-01-05T00:00", "period": {"unit": "days", "every": 1}}
    evening = {**spare, "name": "evening", "users": ["ana"], "restrictions": [{"start": "18:00", "end": "22:00"}]}
    two = Directory(schedules={"two": parse_schedule({"tz": "UTC", "layers": [spare, evening]}, name="two")})
    house.core.answers["schedule.query"] = lambda args, actor: schedule_query(two, args, house.clock.now_ms())
    asked = {"from": "2026-03-02T00:00:00Z", "until": "2026-03-03T00:00:00Z"}
    viewer = await house.as_role("viewer")
    layers = (await viewer.get(f"{API}/two/layers", query=asked)).json()["layers"]
    assert [layer["name"] for layer in layers] == ["evening", "spare"]
    assert layers[0]["shifts"] == [{"start": "2026-03-02T18:00:00Z", "end": "2026-03-02T22:00:00Z", "users": ["ana"]}]
    assert layers[1]["shifts"] == [{"start": asked["from"], "end": asked["until"], "users": ["ben"]}], "as if alone"
