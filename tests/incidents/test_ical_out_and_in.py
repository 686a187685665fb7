"""Schedules as calendars and back."""

from __future__ import annotations

from tocsin.incidents.ical import calendar, overrides
from tocsin.incidents.oncall import shifts
from tocsin.incidents.schedule import parse_instant, parse_schedule

WEEKS = {"name": "l", "users": ["ana", "ben"], "anchor": "2026-01-05T09:00", "period": {"unit": "weeks"}}


def test_every_shift_is_an_event_with_lines_that_calendars_accept() -> None:
    schedule = parse_schedule({"tz": "Europe/Berlin", "layers": [WEEKS]}, name="web; the, long " + "name " * 20)
    start, end = parse_instant("2026-03-01T00:00:00Z"), parse_instant("2026-05-01T00:00:00Z")
    text = calendar(schedule, start, end, host="t.example")
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert text.count("BEGIN:VEVENT") == len(shifts(schedule, start, end))
    assert "DTSTART:20260323T080000Z" in text and "DTEND:20260330T070000Z" in text, "09:00 in winter and in summer"
    assert calendar(schedule, start, end, host="t", user="eve").count("VEVENT") == 0


def test_foreign_calendars_become_overrides_and_say_what_they_could_not_read() -> None:
    text = "\r\n".join(
        [
            "BEGIN:VCALENDAR",
            "BEGIN:VEVENT", "UID:1", "SUMMARY:ana", "DTSTART:20260301T080000Z", "DTEND:20260301T100000Z", "END:VEVENT",
            "BEGIN:VEVENT", "UID:2", "SUMMARY:Holiday cover: b", " en", "DTSTART;TZID=Europe/Berlin:20260329T023000",
            "DTEND;TZID=Europe/Berlin:20260329T120000", "END:VEVENT",
            "BEGIN:VEVENT", "SUMMARY:ben", "DTSTART;VALUE=DATE:20260401", "DTEND;VALUE=DATE:20260402", "END:VEVENT",
            "BEGIN:VEVENT", "SUMMARY:ana", "RRULE:FREQ=DAILY", "DTSTART:20260301T080000Z", "DTEND:20260301T100000Z", "END:VEVENT",
            "BEGIN:VEVENT", "SUMMARY:eve", "END:VEVENT",
            "BEGIN:VEVENT", "SUMMARY:ana", "DTSTART;TZID=Mars/X:20260301T080000", "DTEND:20260301T100000Z", "END:VEVENT",
            "END:VCALENDAR",
        ]
    )  # fmt: skip
    read, problems = overrides(text, time_zone="America/New_York", people={"ana", "ben"})
    assert [(o.users, o.start_ms) for o in read] == [
        (("ana",), parse_instant("2026-03-01T08:00:00Z")),
        (("ben",), parse_instant("2026-03-29T01:00:00Z")),
        (("ben",), parse_instant("2026-04-01T04:00:00Z")),
    ]
    assert len(problems) == 3
