"""Several incidents in one message: the most urgent one speaks, the others are named in it."""

from __future__ import annotations

from pathlib import Path

import orjson
from tests.fakes.house import House, alert, directory, page, person, policy
from tests.fakes.virtual import run_virtual


def test_what_is_critical_is_never_a_line_in_a_mail_about_a_warning(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(directory(person("ana"), policy=policy(["ana"])), tmp_path / "state.db").running() as h:
            for name, severity in (("First", "warning"), ("Slow", "warning"), ("Gone", "critical")):
                await h.page(page(alert(name, severity=severity), group=name))
                await h.wait(1)
            await h.wait(20)
            first, second = (str(mail.message) for mail in h.smtp.mails)
            assert "First on web" in first
            assert "[CRIT #3] Gone on web" in second and "1 also firing: #2 Slow on web" in second

    run_virtual(story())


def test_a_program_is_told_of_each_incident_by_itself(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(directory(person("ana", "webhook"), policy=policy(["ana"])), tmp_path / "state.db").running() as h:
            for i in range(6):
                await h.page(page(alert(f"A{i}"), group=f"A{i}"))
                await h.wait(1)
            await h.wait(20)
            bodies = [orjson.loads(request.body) for request in h.http.requests]
            told = [one["labels"]["alertname"] for body in bodies for one in body["alerts"]]
            assert sorted(told) == [f"A{i}" for i in range(6)]

    run_virtual(story())
