"""Who is on call: the specification's cases in hard zones, and the closed form against a naive walk, minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.incidents.oncall import NEXT_CHANGE_MS, gaps, next_change, oncall_at, resolve, seconds_by_user, shifts
from tocsin.incidents.schedule import ScheduleError, evaluate, format_instant, parse_instant, parse_schedule

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "America/Havana"]
MINUTE_MS = 60_000


def at(text: str) -> int:
    return parse_instant(text)


@pytest.mark.parametrize(
    ("zone", "wall", "last", "instant"),
    [
        ("Europe/Berlin", "2026-03-29T02:30", False, "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-10-25T02:30", False, "2026-10-25T00:30:00Z"),
        ("Europe/Berlin", "2026-10-25T02:30", True, "2026-10-25T01:30:00Z"),
        ("America/Chicago", "2026-03-08T02:30", False, "2026-03-08T08:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", False, "2026-10-03T15:30:00Z"),
        ("Pacific/Apia", "2011-12-30T12:00", False, "2011-12-30T10:00:00Z"),
        ("Asia/Kathmandu", "2026-01-05T09:00", False, "2026-01-05T03:15:00Z"),
        ("America/Havana", "2025-03-09T00:30", False, "2025-03-09T05:00:00Z"),
    ],
)
def test_wall_times_in_gaps_and_folds_mean_what_the_contract_says(zone: str, wall: str, last: bool, instant: str) -> None:
    assert format_instant(resolve(datetime.fromisoformat(wall), zone, last=last)) == instant


def layer(unit: str = "days", every: int = 1, users: Any = ("ana", "ben", "chi"), **more: Any) -> dict[str, Any]:
    return {"name": "l", "users": list(users), "anchor": "2026-01-05T09:00", "period": {"unit": unit, "every": every}, **more}


def schedule(*layers: dict[str, Any], tz: str = "Europe/Berlin", **more: Any) -> Any:
    return parse_schedule({"tz": tz, "layers": list(layers), **more}, name="s")


def test_turns_before_the_anchor_are_defined() -> None:
    s = schedule(layer())
    assert [oncall_at(s, at(f"2026-01-0{d}T12:00:00Z")) for d in (4, 5, 6)] == [("chi",), ("ana",), ("ben",)]


def test_months_clamp_to_their_end_counted_from_the_anchor() -> None:
    s = schedule({**layer("months"), "anchor": "2026-01-31T09:00"}, tz="UTC")
    edges = [format_instant(shift.start_ms) for shift in shifts(s, at("2026-02-01T00:00:00Z"), at("2026-06-15T00:00:00Z"))][1:]
    assert edges == [f"2026-{day}T09:00:00Z" for day in ("02-28", "03-31", "04-30", "05-31")]


def test_an_hourly_turn_that_the_clock_skips_has_no_length_and_keeps_its_number() -> None:
    s = schedule({**layer("hours"), "anchor": "2026-03-29T00:00"}, tz="Europe/Berlin")
    users = [oncall_at(s, at(f"2026-03-29T0{h}:30:00Z"))[0] for h in range(3)]
    assert users == ["ben", "ana", "ben"], "01:00, then 03:00 (turn 2 fell into the gap), then 04:00"


def test_a_window_over_midnight_belongs_to_the_day_it_starts_and_never_shrinks_in_the_fold() -> None:
    night = layer(users=["ana"], restrictions=[{"days": ["sat"], "start": "22:00", "end": "02:30"}])
    s = schedule(night)
    assert gaps(s, at("2026-10-24T20:00:00Z"), at("2026-10-25T01:30:00Z")) == []
    assert oncall_at(s, at("2026-10-25T01:30:00Z")) == () and oncall_at(s, at("2026-10-24T19:59:00Z")) == ()


def test_a_weekend_window_spans_days_and_an_equal_start_and_end_is_a_whole_day() -> None:
    weekend = layer(users=["ana"], restrictions=[{"from": "fri 17:00", "to": "mon 09:00"}])
    assert seconds_by_user(schedule(weekend, tz="UTC"), at("2026-01-05T00:00:00Z"), at("2026-01-12T00:00:00Z")) == {
        "ana": 9 * 3600 + 7 * 3600 + 48 * 3600
    }
    day = layer(users=["ana"], restrictions=[{"days": ["wed"], "start": "09:00", "end": "09:00"}])
    assert seconds_by_user(schedule(day, tz="UTC"), at("2026-01-05T00:00:00Z"), at("2026-01-12T00:00:00Z")) == {"ana": 86_400}


def test_the_last_layer_with_somebody_wins_and_overrides_follow_in_order() -> None:
    s = schedule(
        layer(users=["ana"]),
        layer(users=["ben"], restrictions=[{"start": "10:00", "end": "12:00"}]),
        tz="UTC",
        overrides=[
            {"start": "2026-02-02T10:30:00Z", "end": "2026-02-02T11:30:00Z", "mode": "add", "users": ["dee"]},
            {"start": "2026-02-02T11:00:00Z", "end": "2026-02-02T13:00:00Z", "mode": "swap", "from": "ben", "to": "ana"},
            {"start": "2026-02-02T12:30:00Z", "end": "2026-02-02T14:00:00Z", "mode": "set", "users": ["eve"]},
        ],
    )
    times = ("09:00", "10:00", "10:30", "11:00", "11:30", "12:00", "12:30", "14:00")
    people = [",".join(oncall_at(s, at(f"2026-02-02T{t}:00Z"))) for t in times]
    assert people == ["ana", "ben", "ben,dee", "ana,dee", "ana", "ben", "eve", "ana"]


def test_the_shape_of_the_specification_is_answered_in_its_words() -> None:
    request = {
        "schedule": {"tz": "UTC", "layers": [layer("weeks", users=["ana", ["ben", "chi"]])]},
        "queries": [
            {"q": "oncall_at", "at": "2026-01-12T09:00:00Z"},
            {"q": "shifts", "from": "2026-01-12T08:00:00Z", "until": "2026-01-12T10:00:00Z"},
            {"q": "gaps", "from": "2026-01-12T08:00:00Z", "until": "2026-01-12T10:00:00Z"},
            {"q": "next_change", "after": "2026-01-12T09:00:00Z"},
            {"q": "seconds_by_user", "from": "2026-01-12T08:00:00Z", "until": "2026-01-12T10:00:00Z"},
        ],
    }
    assert evaluate(request)["answers"] == [
        ["ben", "chi"],
        [
            {"start": "2026-01-12T08:00:00Z", "end": "2026-01-12T09:00:00Z", "users": ["ana"]},
            {"start": "2026-01-12T09:00:00Z", "end": "2026-01-12T10:00:00Z", "users": ["ben", "chi"]},
        ],
        [],
        "2026-01-19T09:00:00Z",
        {"ana": 3600, "ben": 3600, "chi": 3600},
    ]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"tz": "Mars/Olympus"}, "tz"),
        ({"layers": [{**layer(), "period": {"unit": "fortnights"}}]}, "layers[0].period.unit"),
        ({"layers": [{**layer(), "anchor": "2026-01-05T09:00Z"}]}, "layers[0].anchor"),
        ({"layers": [{**layer(), "restrictions": [{"days": ["someday"]}]}]}, "layers[0].restrictions[0].days"),
        (
            {"layers": [layer()], "overrides": [{"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}]},
            "overrides[0].end",
        ),
        ({"layrs": []}, "layrs"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(change: dict[str, Any], path: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        parse_schedule({"tz": "UTC", **change})
    assert caught.value.path == path


# -- against a naive walk --

_users = st.lists(st.sampled_from(["ana", "ben", "chi", "dee"]), min_size=1, max_size=4)
_windows = st.one_of(
    st.just([]),
    st.lists(
        st.builds(
            lambda days, start, end: {"days": days, "start": f"{start:02d}:30", "end": f"{end:02d}:00"},
            st.lists(st.sampled_from(["mon", "tue", "sat", "sun"]), min_size=1, max_size=3, unique=True),
            st.integers(0, 23),
            st.integers(0, 23),
        ),
        min_size=1,
        max_size=2,
    ),
)
_units = st.sampled_from([("hours", 1), ("hours", 7), ("days", 1), ("weeks", 1), ("months", 1)])


def _walk_layer(given_layer: dict[str, Any], zone: str, t_ms: int) -> str:
    """The contract read aloud: count handoffs one by one, look at windows day by day."""
    wall_now = datetime.fromtimestamp(t_ms / 1000, ZoneInfo(zone)).replace(tzinfo=None)
    windows = given_layer.get("restrictions", [])
    if windows and not any(
        _inside(window, zone, wall_now.date() + timedelta(days=d), t_ms) for window in windows for d in (-2, -1, 0, 1)
    ):
        return ""
    anchor = datetime.fromisoformat(given_layer["anchor"])
    unit, every = given_layer["period"]["unit"], given_layer["period"]["every"]

    def handoff(k: int) -> int:
        if unit == "months":
            month = anchor.month - 1 + k * every
            year, month = anchor.year + month // 12, month % 12 + 1
            for day in (anchor.day, 30, 29, 28):
                try:
                    return resolve(anchor.replace(year=year, month=month, day=min(day, anchor.day)), zone)
                except ValueError:
                    continue
        return resolve(
            anchor + k * every * {"hours": timedelta(hours=1), "days": timedelta(days=1), "weeks": timedelta(weeks=1)}[unit], zone
        )

    k = 0
    while handoff(k) > t_ms:
        k -= 1
    while any(handoff(k + ahead) <= t_ms for ahead in (1, 2, 25)):
        k += 1
    return str(given_layer["users"][k % len(given_layer["users"])])


def _inside(window: dict[str, Any], zone: str, day: Any, t_ms: int) -> bool:
    if ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][day.weekday()] not in window["days"]:
        return False
    start = datetime.combine(day, datetime.strptime(window["start"], "%H:%M").time())
    end = datetime.combine(day, datetime.strptime(window["end"], "%H:%M").time())
    if end <= start:
        end += timedelta(days=1)
    return resolve(start, zone) <= t_ms < resolve(end, zone, last=True)


@settings(max_examples=15, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    users=_users,
    unit=_units,
    windows=_windows,
    near=st.sampled_from(
        ["2026-03-29", "2026-10-25", "2026-11-01", "2026-04-05", "2026-10-04", "2028-02-28", "2026-12-31", "2026-03-08"]
    ),
)
def test_the_closed_form_equals_a_walk_by_minutes(
    zone: str, users: list[str], unit: tuple[str, int], windows: Any, near: str
) -> None:
    made = {**layer(unit[0], unit[1], users=users), "anchor": f"{near[:8]}01T02:30", "restrictions": windows}
    s = schedule(made, tz=zone)
    start = int(datetime.fromisoformat(near).replace(tzinfo=UTC).timestamp() * 1000) - 6 * 3_600_000
    for t_ms in range(start, start + 36 * 3_600_000, 29 * MINUTE_MS):
        expected = _walk_layer(made, zone, t_ms)
        assert oncall_at(s, t_ms) == ((expected,) if expected else ()), (format_instant(t_ms), made, zone)


@settings(max_examples=15, deadline=None)
@given(zone=st.sampled_from(ZONES), users=_users, unit=_units, windows=_windows, day=st.integers(0, 400))
def test_shifts_gaps_and_next_change_tile_the_time(
    zone: str, users: list[str], unit: tuple[str, int], windows: Any, day: int
) -> None:
    s = schedule({**layer(unit[0], unit[1], users=users), "restrictions": windows}, tz=zone)
    start = at("2026-01-01T00:00:00Z") + day * 86_400_000
    end = start + 9 * 86_400_000
    spans = sorted([(x.start_ms, x.end_ms) for x in shifts(s, start, end)] + gaps(s, start, end))
    assert [a for a, _ in spans] == [start, *(b for _, b in spans[:-1])] and spans[-1][1] == end
    total = sum(x.end_ms - x.start_ms for x in shifts(s, start, end))
    assert sum(seconds_by_user(s, start, end).values()) * 1000 == total
    change = next_change(s, start)
    if change is None:
        assert all(oncall_at(s, t) == oncall_at(s, start) for t in range(start, start + NEXT_CHANGE_MS, 7_200_000))
    else:
        assert oncall_at(s, change) != oncall_at(s, start) == oncall_at(s, change - 1)
